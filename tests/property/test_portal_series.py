"""A series keeps what matters, whatever the readings, the range and the number of points."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbline.domain.reading import format_time
from plumbline.local.servers.redis import RedisServer
from portal_process import Client, PortalProcess
from portal_world import BASE
from series_oracle import plain_series

_DAYS = 92
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000
_RANGE_US = st.one_of(
    st.integers(1, 2 * _SECOND_US),
    st.integers(3600 * _SECOND_US, 90 * 86_400 * _SECOND_US),
)
_ANGLES = st.one_of(
    st.floats(-180, 180).map(lambda angle: angle + 0.0), st.sampled_from([0.1, -180.0, 180.0, 1e-9])
)


@st.composite
def _cases(draw: st.DrawFn) -> tuple[int, int, dict[int, float]]:
    """Draw a range and a number of points, and readings by microseconds after its beginning.

    Most lie at the edges of buckets, or just beside.
    """
    range_us, points = draw(_RANGE_US), draw(st.integers(1, 2000))
    width_us = -(-range_us // points)
    beside = st.tuples(st.integers(-1, points + 1), st.integers(-1, 1)).map(
        lambda bucket: bucket[0] * width_us + bucket[1]
    )
    anywhere = st.integers(-1, range_us + 1)
    offsets_us = draw(st.lists(st.one_of(beside, anywhere), unique=True, max_size=40))
    within = [
        offset for offset in offsets_us if 0 <= offset + _SECOND_US < 91 * 86_400 * _SECOND_US
    ]
    return range_us, points, {offset: draw(_ANGLES) for offset in within}


@pytest.fixture(scope="module")
def client(
    module_database_url: str, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """Yield a client that may read; there is room for 92 days of readings."""
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT ensure_sensor_data_partition(%s::date + n) FROM generate_series(-1, %s) n",
            (BASE, _DAYS),
        )
    log_path: Path = tmp_path_factory.mktemp("portal") / "portal.log"
    with PortalProcess(module_database_url, redis_server.url, log_path) as running:
        token = running.api_token("viewer", "read")
        yield running.client(headers={"Authorization": f"Bearer {token}"})


@settings(max_examples=100, deadline=None)
@given(case=_cases())
def test_a_series_is_what_the_obvious_computation_gives(
    client: Client, module_database_url: str, case: tuple[int, int, dict[int, float]]
) -> None:
    range_us, points, angles = case
    device_id = uuid4().hex
    first = BASE + timedelta(seconds=1)
    last = first + range_us * _MICROSECOND
    readings: list[tuple[datetime, float]] = [
        (first + offset_us * _MICROSECOND, angles[offset_us]) for offset_us in sorted(angles)
    ]
    _store(module_database_url, device_id, readings)
    query = {"from": format_time(first), "to": format_time(last), "points": points}
    answer = client.get(f"/api/v1/devices/{device_id}/series?{urlencode(query)}")
    assert answer.status == 200, answer
    body = answer.json()
    expected = plain_series(readings, first, last, points)
    assert {name: body[name] for name in expected} == expected
    assert len(body["t"]) <= points
    moments = [datetime.fromisoformat(text) for text in body["t"]]
    assert moments == sorted(set(moments))
    for low, mean, high in zip(body["min"], body["mean"], body["max"], strict=True):
        assert low is None or low <= mean <= high


def _store(database_url: str, device_id: str, readings: list[tuple[datetime, float]]) -> None:
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO devices (device_id, protocol) VALUES (%s, 'mqtt')", (device_id,)
        )
        cursor.executemany(
            'INSERT INTO sensor_data (device_id, "timestamp", tilt_angle, status, received_at,'
            " delivery_id) VALUES (%s, %s, %s, 'normal', %s, %s)",
            [(device_id, moment, angle, moment, uuid4()) for moment, angle in readings],
        )
