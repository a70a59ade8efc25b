"""What the read routes answer, compared with what is in the database."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import psycopg
import pytest

from plumbline.domain.reading import format_time
from portal_process import Client, PortalProcess, get_json
from portal_world import (
    BASE,
    LORAWAN,
    add_device,
    add_readings,
    add_refusal,
    angle_deg,
)

_ME = "/api/v1/devices"


@pytest.fixture
def client(portal: PortalProcess) -> Client:
    """Return a client that may read."""
    token = portal.api_token("viewer", "read")
    return portal.client(headers={"Authorization": f"Bearer {token}"})


_READ_PARQUET = """
import io, json, sys
import pyarrow.parquet
table = pyarrow.parquet.read_table(io.BytesIO(sys.stdin.buffer.read()))
json.dump({
    "columns": table.to_pydict(),
    "types": {field.name: str(field.type) for field in table.schema},
    "units": {f.name: f.metadata[b"unit"].decode() for f in table.schema if f.metadata},
}, sys.stdout, default=str)
"""


def read_parquet(data: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Read a file in another process: Arrow would stay in this one's memory for all tests."""
    done = subprocess.run(
        [sys.executable, "-c", _READ_PARQUET], input=data, check=True, capture_output=True
    )
    return json.loads(done.stdout)


def pages(client: Client, path: str, **query: object) -> list[list[dict[str, Any]]]:
    """Follow the cursors; the Link header must say the same."""
    found = []
    url: str | None = f"{path}?{urlencode(query)}"
    while url is not None:
        answer = client.get(url)
        assert answer.status == 200, answer
        body = answer.json()
        found.append(body["items"])
        link = answer.header("link")
        assert (link is None) == (body["next_cursor"] is None)
        url = None if link is None else link.partition("<")[2].partition(">")[0]
    return found


def test_the_fleet_is_listed_searched_and_filtered(client: Client) -> None:
    devices = get_json(client, _ME)["items"]
    assert [one["device_id"] for one in devices] == ["-wall", "bridge", "tower"]
    wall, bridge, tower = devices
    assert (wall["registered"], bridge["current_status"]) == (False, None)
    assert tower["name"] == "North tower"
    assert tower["tilt_angle"] == angle_deg(199)
    assert [one["device_id"] for one in get_json(client, _ME, search="NORTH")["items"]] == ["tower"]
    assert [one["device_id"] for one in get_json(client, _ME, search="%")["items"]] == []
    assert len(get_json(client, _ME, status="normal")["items"]) == 2
    assert [len(page) for page in pages(client, _ME, limit=2)] == [2, 1]


def test_one_device_and_its_status(client: Client) -> None:
    tower, bridge = get_json(client, f"{_ME}/tower"), get_json(client, f"{_ME}/bridge")
    assert tower["created_at"] is not None
    assert tower["lorawan"] is None
    assert bridge["lorawan"] == asdict(LORAWAN)
    status = get_json(client, f"{_ME}/tower/status")
    assert status["last_seen"] == format_time(BASE + timedelta(minutes=199))
    assert 0 <= status["age_s"] < 60
    for path in ("nobody", "nobody/status", "bridge/status", "a%2Fb", "%00", "a" * 51):
        assert client.get(f"{_ME}/{path}").status == 404, path


def test_readings_come_page_by_page_in_both_orders(client: Client) -> None:
    path = f"{_ME}/tower/readings"
    ascending = [one for page in pages(client, path, limit=33) for one in page]
    assert [one["tilt_angle"] for one in ascending] == [angle_deg(i) for i in range(200)]
    descending = [one for page in pages(client, path, limit=33, order="desc") for one in page]
    assert descending == ascending[::-1]
    some = get_json(
        client, path, **{"from": "2026-01-05T01:00:00+01:00", "to": "2026-01-05T00:03:00Z"}
    )["items"]
    assert [one["timestamp"] for one in some] == [
        f"2026-01-05T00:0{minute}:00Z" for minute in range(3)
    ]
    assert get_json(client, f"{_ME}/bridge/readings")["items"] == []


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_stay_right_while_readings_arrive(
    client: Client, database_url: str, order: str
) -> None:
    """What was there is seen once, in order, whatever arrives before, between and behind."""
    path = f"{_ME}/tower/readings"
    before = {one["timestamp"] for one in get_json(client, path)["items"]}
    seen: list[str] = []
    cursor = None
    arrivals = 0
    while True:
        query = {"limit": 17, "order": order} | ({"cursor": cursor} if cursor else {})
        body = get_json(client, path, **query)
        seen += [one["timestamp"] for one in body["items"]]
        add_readings(
            database_url,
            "tower",
            [BASE + timedelta(seconds=arrivals * 600 + 30), BASE + timedelta(days=1 + arrivals)],
        )
        arrivals += 1
        cursor = body["next_cursor"]
        if cursor is None or arrivals > 60:
            break
    assert len(seen) == len(set(seen))
    assert before <= set(seen)
    moments = [datetime.fromisoformat(text) for text in seen]
    assert moments == sorted(moments, reverse=order == "desc")


_LISTS = (
    _ME,
    f"{_ME}/-wall/readings",
    f"{_ME}/-wall/readings?order=desc",
    f"{_ME}/tower/commands",
    "/api/v1/quarantine",
)


@pytest.mark.parametrize("path", _LISTS)
def test_pages_of_any_size_make_the_same_list(
    client: Client, portal: PortalProcess, database_url: str, path: str
) -> None:
    operator = portal.client(
        headers={"Authorization": f"Bearer {portal.api_token('operator', 'write')}"}
    )
    for _ in range(5):
        operator.request(
            "POST", f"{_ME}/tower/commands", json_body={"command": "identify", "params": {}}
        )
        add_refusal(database_url, "tower")
    plain, _, query = path.partition("?")
    order = dict(parse_qsl(query))
    whole = get_json(client, plain, limit=1000, **order)["items"]
    assert len(whole) >= 3
    for limit in (1, 2, 3, len(whole) - 1, len(whole), len(whole) + 1):
        found = pages(client, plain, limit=limit, **order)
        assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
        assert [one for page in found for one in page] == whole, limit


def test_commands_and_refusals_that_arrive_move_no_page(
    client: Client, portal: PortalProcess, database_url: str
) -> None:
    operator = portal.client(
        headers={"Authorization": f"Bearer {portal.api_token('operator', 'write')}"}
    )

    def arrive() -> None:
        operator.request("POST", f"{_ME}/tower/commands", json_body={"command": "reboot"})
        add_refusal(database_url, "tower")

    for _ in range(4):
        arrive()
    for path, key in ((f"{_ME}/tower/commands", "command_id"), ("/api/v1/quarantine", "id")):
        whole = [one[key] for one in get_json(client, path)["items"]]
        seen: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            body = get_json(client, path, limit=2, **cursor)
            seen += [one[key] for one in body["items"]]
            if body["next_cursor"] is None:
                break
            cursor = {"cursor": body["next_cursor"]}
            arrive()
        assert seen == whole


def test_device_pages_stay_right_while_devices_arrive(client: Client, database_url: str) -> None:
    first = get_json(client, _ME, limit=2)
    add_device(database_url, "aaa")
    add_device(database_url, "steeple")
    rest = get_json(client, _ME, limit=9, cursor=first["next_cursor"])
    assert [one["device_id"] for one in first["items"]] == ["-wall", "bridge"]
    assert [one["device_id"] for one in rest["items"]] == ["steeple", "tower"]


def test_csv_holds_every_reading_and_nothing_a_spreadsheet_would_execute(client: Client) -> None:
    answer = client.get(f"{_ME}/-wall/readings.csv?tz=Europe%2FBerlin")
    assert answer.status == 200
    assert answer.header("content-disposition") == 'attachment; filename="readings--wall.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert len(rows) == 50
    assert rows[0]["device_id"] == "'-wall"
    assert rows[0]["timestamp"] == "2026-01-05T01:00:00.000000+01:00"
    assert [float(row["tilt_angle"]) for row in rows] == [angle_deg(i) for i in range(50)]
    utc = client.get(f"{_ME}/-wall/readings.csv?to={quote('2026-01-05T00:06:00Z')}").body
    assert utc.decode().splitlines()[1].split(",")[1] == "2026-01-05T00:00:00.000000+00:00"
    assert len(utc.splitlines()) == 3
    packed = client.get(f"{_ME}/-wall/readings.csv", headers={"Accept-Encoding": "gzip"})
    assert packed.header("content-encoding") == "gzip"
    assert len(packed.body) < len(answer.body) / 3


def test_parquet_holds_every_reading_with_types_and_units(client: Client) -> None:
    answer = client.get(f"{_ME}/tower/readings.parquet?tz=Asia%2FKolkata")
    assert answer.status == 200
    table = read_parquet(answer.body)
    assert table["columns"]["tilt_angle"] == [angle_deg(i) for i in range(200)]
    assert table["columns"]["timestamp"][0] == "2026-01-05 05:30:00+05:30"
    assert table["columns"]["tilt_x"] == [None] * 200
    assert table["types"]["timestamp"] == "timestamp[us, tz=Asia/Kolkata]"
    assert table["units"]["tilt_angle"] == "deg"


def test_an_export_of_nothing_is_a_whole_file(client: Client) -> None:
    assert len(client.get(f"{_ME}/bridge/readings.csv").body.splitlines()) == 1
    empty = read_parquet(client.get(f"{_ME}/bridge/readings.parquet").body)
    assert empty["columns"]["tilt_angle"] == []
    assert empty["types"]["tilt_angle"] == "double"
    assert client.get(f"{_ME}/nobody/readings.csv").status == 404
    assert client.get(f"{_ME}/tower/readings.csv?tz=Mars/Olympus").status == 422
    assert client.get(f"{_ME}/tower/readings.csv?tz=../../etc/passwd").status == 422


def test_quarantine_and_ledger(client: Client) -> None:
    entries = get_json(client, "/api/v1/quarantine")["items"]
    assert [one["reason"] for one in entries] == ["unknown_topic", "invalid_json"]
    assert [one["device_id"] for one in entries] == [None, "tower"]
    assert len(get_json(client, "/api/v1/quarantine", device_id="tower")["items"]) == 1
    assert [len(page) for page in pages(client, "/api/v1/quarantine", limit=1)] == [1, 1]
    assert get_json(client, "/api/v1/ledger")["balanced"] is True
    stats = get_json(client, "/api/v1/stats")
    assert (stats["devices"], stats["by_status"]) == (2, {"normal": 2})
    assert stats["stalest_device_id"] in {"tower", "-wall"}


_WRONG = (
    "limit=0",
    "limit=1001000",
    "limit=1e3",
    "limit=%EF%BC%91",
    "limit=1&limit=2",
    "form=2026-01-01T00:00:00Z",
    "from=2026-01-01",
    "from=2026-01-01T00:00:00",
    "from=2026-13-01T00:00:00Z",
    "from=0001-01-01T00:00:00%2B23:00",
    "cursor=d.tower",
    "cursor=r.-1",
    "cursor=r.01",
    "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
    "order=timestamp",
    "cursor=xxxx",
    "cursor=YWZ0ZXI6MQ==",
    "cursor=" + "A" * 5000,
    "%ff=1",
    "search=%00",
)


def test_a_wrong_query_is_a_problem_that_says_what(client: Client) -> None:
    for query in _WRONG:
        answer = client.get(f"{_ME}/tower/readings?{query}")
        assert answer.status == 422, (query, answer)
        assert answer.header("content-type") == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == 422
        assert problem["detail"]


def test_an_unchanged_answer_is_not_sent_again(client: Client, database_url: str) -> None:
    for path in ("/api/v1/devices", "/api/v1/devices/tower/status", "/api/v1/stats"):
        first = client.get(path)
        tag = first.header("etag")
        assert tag is not None
        again = client.get(path, headers={"If-None-Match": f'"other", {tag}'})
        assert (again.status, again.body) == (304, b"")
        assert again.header("etag") == tag
    add_device(database_url, "new")
    path = "/api/v1/devices"
    assert client.get(path, headers={"If-None-Match": tag}).status == 200


def test_head_answers_as_get_without_a_body(client: Client) -> None:
    assert client.request("HEAD", "/api/v1/devices").body == b""
    assert client.request("HEAD", "/api/v1/devices").status == 200
    wrong = client.request("PUT", "/api/v1/devices")
    assert (wrong.status, wrong.header("allow")) == (405, "GET, HEAD")


def test_long_answers_are_compressed_where_that_is_accepted(client: Client) -> None:
    path = f"{_ME}/tower/readings"
    plain = client.get(path)
    packed = client.get(path, headers={"Accept-Encoding": "br, gzip"})
    assert packed.header("content-encoding") == "gzip"
    assert len(packed.body) < len(plain.body) / 5
    refused = client.get(path, headers={"Accept-Encoding": "gzip;q=0"})
    assert refused.header("content-encoding") is None


def test_the_log_has_one_line_of_json_a_request(portal: PortalProcess, client: Client) -> None:
    answer = client.get("/api/v1/devices?search=secret", headers={"X-Request-Id": "my-own-id-1"})
    assert answer.header("x-request-id") == "my-own-id-1"
    forged = client.get("/api/v1/stats", headers={"X-Request-Id": 'x"}{"event":"forged'})
    assert "forged" not in (forged.header("x-request-id") or "")
    portal.__exit__()
    lines = [json.loads(line) for line in portal.log.splitlines()]
    (mine,) = [line for line in lines if line.get("request_id") == "my-own-id-1"]
    assert (mine["status"], mine["route"], mine["user"]) == (200, "/api/v1/devices", "viewer")
    assert "secret" not in portal.log


def test_docs_work_from_what_is_installed(portal: PortalProcess) -> None:
    client = portal.client()
    root = client.get("/")
    assert (root.status, root.header("location")) == (307, "/docs")
    page = client.get("/docs")
    assert page.status == 200
    assert b"http://" not in page.body + client.get("/docs/start.js").body
    assert b"https://" not in page.body
    policy = page.header("content-security-policy")
    assert policy is not None
    assert "script-src 'self'" in policy
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"):
        assert client.get(f"/docs/{asset}").status == 200
    for other in ("..%2f..%2fflask_swagger_ui.py", "index.html", "VERSION"):
        assert client.get(f"/docs/{other}").status == 404


def test_health_says_no_more_than_it_must(portal: PortalProcess, database_url: str) -> None:
    assert portal.client().get("/health").json() == {"status": "ok"}
    name = database_url.rpartition("/")[2]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0'.encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid()",
            (name,),
        )
        answer = portal.client().get("/health")
        connection.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1'.encode())
    assert answer.status == 503
    assert answer.json()["type"] == "urn:plumbline:problem:unavailable"
    assert name.encode() not in answer.body
