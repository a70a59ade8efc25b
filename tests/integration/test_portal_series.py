"""Readings downsampled, compared with the obvious computation."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plumbline.domain.reading import format_time
from portal_process import Client, get_json
from portal_world import BASE, add_readings, angle_deg, reading_times
from series_oracle import plain_series

_ME = "/api/v1/devices"


@pytest.mark.parametrize(
    ("hours", "points"), [(1, 2000), (1, 10), (24, 7), (24, 1), (2160, 2000), (2160, 13)]
)
def test_a_series_equals_the_obvious_computation(
    client: Client, database_url: str, hours: int, points: int
) -> None:
    """With an outage of two hours and one of ten days."""
    first = datetime(2026, 2, 1, 3, 0, 0, 123456, tzinfo=UTC)
    times = [
        *reading_times(first, 300, 29.9),
        *reading_times(first + timedelta(hours=4), 300, 61.3),
        *reading_times(first + timedelta(days=14), 400, 7200.7),
    ]
    add_readings(database_url, "mast", times)
    last = first + timedelta(hours=hours)
    body = get_json(
        client,
        f"{_ME}/mast/series",
        **{"from": format_time(first), "to": format_time(last), "points": points},
    )
    readings = [(moment, angle_deg(index)) for index, moment in enumerate(times)]
    expected = plain_series(readings, first, last, points)
    assert {name: body[name] for name in expected} == expected
    assert len(body["t"]) <= 2000
    inside = [angle for moment, angle in readings if first <= moment < last]
    assert min(v for v in body["min"] if v is not None) == min(inside)
    assert max(v for v in body["max"] if v is not None) == max(inside)
    assert sum(body["count"]) == len(inside)


def test_a_gap_stays_a_gap_in_a_series(client: Client, database_url: str) -> None:
    add_readings(
        database_url,
        "mast",
        [*reading_times(BASE, 60, 60), *reading_times(BASE + timedelta(hours=3), 60, 60)],
    )
    for points in (8, 24, 480):
        body = get_json(
            client,
            f"{_ME}/mast/series",
            **{"from": "2026-01-05T00:00:00Z", "to": "2026-01-05T04:00:00Z", "points": points},
        )
        assert body["mean"].count(None) == 1, points
        assert body["count"][body["mean"].index(None)] == 0


def test_the_edges_of_a_series(client: Client, database_url: str) -> None:
    add_readings(database_url, "mast", [BASE])
    at = format_time(BASE)
    later = format_time(BASE + timedelta(microseconds=1))
    path = f"{_ME}/mast/series"
    alone = {"t": [at], "min": [0.0], "max": [0.0], "mean": [0.0], "count": [1]}
    nothing: dict[str, list[Any]] = {name: [] for name in alone}
    for query, expected in (
        ({"from": at, "to": later, "points": 2000}, alone),
        ({"from": at, "to": at}, nothing),  # the end is not part of the range
        ({"from": later, "to": "2026-04-05T00:00:00Z", "points": 1}, nothing),
        ({"from": "2099-01-01T00:00:00Z", "to": "2099-03-01T00:00:00Z"}, nothing),
        ({"from": "2099-01-01T00:00:00+14:00", "to": "2100-01-01T00:00:00-12:00"}, nothing),
        ({}, nothing),  # the last 24 hours
    ):
        body = get_json(client, path, **query)
        assert {name: body[name] for name in alone} == expected, query
    for_ever = {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}
    whole = get_json(client, path, **for_ever)
    assert (whole["count"], whole["min"]) == ([1], [0.0])
    for points in (0, -1, 2001):
        assert client.get(f"{path}?points={points}").status == 422
    assert client.get(f"{path}?from={later}&to={at}").status == 422
    assert client.get(f"{path}?from=2099-01-01T00:00:00Z").status == 422, "later than now"
    assert client.get(f"{_ME}/nobody/series").status == 404
