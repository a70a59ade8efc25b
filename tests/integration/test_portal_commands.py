"""Commands through the API: stored once, relayed in order, taken back while nobody has them."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from e2e.conftest import wait_until
from plumbline.adapters.postgres.queue import PostgresQueue
from plumbline.ports import QueueMessage
from portal_process import Answer, Client, PortalProcess
from portal_world import LORAWAN, open_queue

_INTERVAL = {"command": "set_interval", "params": {"interval_s": 300}}


@pytest.fixture
def queue(database_url: str, portal: PortalProcess) -> Iterator[PostgresQueue]:
    """Yield the queue of commands to MQTT devices."""
    assert portal.port
    with open_queue(database_url, "mqtt-command") as opened:
        yield opened


def send(
    client: Client,
    body: object = None,
    device: str = "tower",
    key: str | None = None,
) -> Answer:
    return client.request(
        "POST",
        f"/api/v1/devices/{device}/commands",
        json_body=_INTERVAL if body is None else body,
        headers={"Idempotency-Key": key} if key else {},
    )


def end(database_url: str, command_id: str) -> None:
    """Bring a command to its end, as its device's answer would."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE commands SET state = 'acknowledged', acknowledged_at = now(), ended_at = now()"
            " WHERE command_id = %s",
            (command_id,),
        )


def receive(queue: PostgresQueue) -> list[QueueMessage]:
    """Take what is in the queue, waiting for the first."""
    messages = queue.receive(10, wait_s=20)
    queue.delete([message.receipt_handle for message in messages])
    return messages


def test_commands_reach_the_queue_of_their_protocol_in_order_each_when_the_last_has_ended(
    client: Client, queue: PostgresQueue, database_url: str
) -> None:
    sent = [send(client) for _ in range(5)]
    lorawan = send(client, {"command": "reboot"}, "bridge")
    assert {answer.status for answer in [*sent, lorawan]} == {202}
    for answer in sent:
        (message,) = receive(queue)
        body = json.loads(message.body)
        assert body.keys() == {"command_id", "command", "params", "issued_at", "expires_at"}
        assert body["command_id"] == answer.json()["command_id"] == message.deduplication_id
        assert message.group_id == "tower"
        assert queue.depth().visible == 0, "only one of a device is on its way"
        end(database_url, body["command_id"])
    with open_queue(database_url, "lorawan-command") as other:
        (message,) = receive(other)
    assert message.attributes["dev_eui"] == LORAWAN.dev_eui
    assert message.attributes["sensor_model"] == LORAWAN.sensor_model
    found = client.get("/api/v1/devices/tower/commands?limit=2").json()
    assert [one["command_id"] for one in found["items"]] == [
        answer.json()["command_id"] for answer in (sent[4], sent[3])
    ]
    assert found["items"][0]["issued_by"] == "operator"
    rest = client.get(f"/api/v1/devices/tower/commands?cursor={found['next_cursor']}").json()
    assert len(rest["items"]) == 3
    location = sent[0].header("location")
    assert location is not None
    assert client.get(location).json()["state"] == "acknowledged"


def test_a_repeated_key_gives_the_same_command(client: Client, database_url: str) -> None:
    """Also where both come at once, which is when it matters."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: send(client, key="k-1"), range(8)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json()["command_id"] for answer in answers}) == 1
    other = send(client, {"command": "reboot"}, key="k-1")
    assert other.status == 422
    assert other.json()["type"] == "urn:plumbline:problem:idempotency-key-reused"
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT count(*) FROM commands").fetchone()
        audited = connection.execute(
            "SELECT count(*) FROM audit_log WHERE action = 'command.send'"
        ).fetchone()
    assert (rows, audited) == ((1,), (1,))


def test_a_key_is_of_the_user_who_made_it(portal: PortalProcess, client: Client) -> None:
    """Who guesses another's key neither gets the other's command nor is kept from an own one."""
    mine = send(client, key="k-1").json()["command_id"]
    token = portal.api_token("operator", "read", "write", username="another")
    other = portal.client(headers={"Authorization": f"Bearer {token}"})
    for body in (_INTERVAL, {"command": "reboot"}):
        answer = send(other, body, key=f"k-{'1' if body is _INTERVAL else '2'}")
        assert answer.status == 202
        assert answer.json()["command_id"] != mine
        assert answer.json()["issued_by"] == "another"
    assert send(client, key="k-1").json()["command_id"] == mine
    assert send(client, {"command": "zero"}, key="k-2").status == 202


def test_a_command_is_taken_back_only_while_nobody_can_have_it(
    client: Client, queue: PostgresQueue, database_url: str
) -> None:
    first, second, third = (send(client).json()["command_id"] for _ in range(3))
    wait_until(lambda: queue.depth().visible == 1, 20, "the first command in the queue")
    for command_id in (third, first):  # one that waits, one that is queued and not received yet
        taken = client.request("POST", f"/api/v1/commands/{command_id}/cancel")
        assert (taken.status, taken.json()["state"]) == (200, "cancelled")
        assert taken.json()["cancelled_at"] == taken.json()["ended_at"] is not None
    (message,) = queue.receive(10, wait_s=20)
    assert json.loads(message.body)["command_id"] == second, "its turn came with the cancellation"
    late = client.request("POST", f"/api/v1/commands/{second}/cancel")
    assert (late.status, late.json()["type"]) == (409, "urn:plumbline:problem:conflict")
    queue.change_visibility([message.receipt_handle], 0)
    again = client.request("POST", f"/api/v1/commands/{second}/cancel")
    assert again.status == 409, "a handler may have published it"
    assert client.request("POST", f"/api/v1/commands/{first}/cancel").status == 409
    end(database_url, second)
    assert queue.depth().in_flight + queue.depth().visible == 1, "nothing more comes"


def test_what_waits_is_relayed_after_a_restart(
    portal: PortalProcess, client: Client, queue: PostgresQueue, database_url: str
) -> None:
    """A command that was stored just before a crash goes on its way, and exactly once."""
    command_id = send(client).json()["command_id"]
    wait_until(lambda: queue.depth().visible == 1, 20, "the command in the queue")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE commands SET relayed_at = NULL, attempts = 0")
        row = ("SELECT relayed_at IS NOT NULL FROM commands WHERE command_id = %s", (command_id,))

        def relayed() -> bool:
            found = connection.execute(*row).fetchone()
            return found == (True,)

        wait_until(relayed, 20, "the relay to look by itself")
    assert queue.depth().visible == 1
    assert portal.log.count("Traceback") == 0


def test_what_waited_too_long_expires_instead(
    client: Client, queue: PostgresQueue, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO commands (command_id, device_id, protocol, command, params, issued_by,"
            " request_hash, issued_at, expires_at) VALUES (gen_random_uuid(), 'tower', 'mqtt',"
            " 'reboot', '{}', 'x', '', now() - interval '2 h', now() - interval '1 h')"
        )
    path = "/api/v1/devices/tower/commands?state=expired"
    wait_until(lambda: len(client.get(path).json()["items"]) == 1, 20, "the command to expire")
    assert queue.depth().visible == 0


def test_what_is_no_command_is_refused(client: Client, database_url: str) -> None:
    bodies: list[object] = [
        [],
        {"command": "explode"},
        {"command": "reboot", "params": {"x": 1}},
        {"command": "reboot", "extra": 1},
        {"command": "set_interval"},
        {"command": "set_interval", "params": {"interval_s": True}},
        {"command": "set_interval", "params": {"interval_s": 1.5}},
        {"command": "set_interval", "params": {"interval_s": 0}},
        {"command": "set_threshold", "params": {}},
        {"command": "set_threshold", "params": {"threshold_deg": 1, "min_deg": 0, "max_deg": 1}},
        {"command": "set_threshold", "params": {"min_deg": 2, "max_deg": 1}},
        {"command": "reboot", "expires_in_s": 0},
        {"command": "reboot", "expires_in_s": 10**9},
        {"command": "reboot", "params": None},
    ]
    for body in bodies:
        answer = send(client, body)
        assert answer.status == 422, (body, answer)
        assert answer.json()["detail"]
    path = "/api/v1/devices/tower/commands"
    for raw in (b"", b"{", b"\xff", b'{"command":"reboot","params":{"a":1e999}}', b"[" * 30_000):
        answer = client.request(
            "POST", path, body=raw, headers={"Content-Type": "application/json"}
        )
        assert answer.status == 422, (raw[:30], answer)
    assert client.request("POST", path, body=b"{}").status == 415
    assert send(client, key="a b").status == 422
    for body in ({"command": "identify"}, {"command": "reboot", "expires_in_s": 60}):
        answer = send(client, body, "bridge")
        assert answer.status == 422, (body, answer)
    assert (
        "milesight-em310-tilt has no command identify"
        in send(client, {"command": "identify"}, "bridge").json()["detail"]
    )
    assert send(client, device="nobody").status == 404
    assert send(client, device="-wall").status == 404, "it reports, but is not registered"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE devices SET disabled_at = now() WHERE device_id = 'tower'")
        assert send(client).status == 409
        assert connection.execute("SELECT count(*) FROM commands").fetchone() == (0,)


def test_the_ledger_does_not_count_commands(client: Client, queue: PostgresQueue) -> None:
    send(client)
    wait_until(lambda: queue.depth().visible == 1, 20, "the command in the queue")
    account = client.get("/api/v1/ledger").json()
    assert (account["balanced"], account["received"], account["in_flight"]) == (True, 0, 0)
