"""Tags, cursors, routes: what needs no server."""

import pytest
from starlette.requests import Request

from plumbline.adapters.postgres.exports import spreadsheet_cell
from plumbline.portal import commands, devices
from plumbline.portal.answers import matches, takes_gzip
from plumbline.portal.dispatch import RouteTable
from plumbline.portal.problems import Kind, Problem
from plumbline.portal.query import Query
from plumbline.portal.routes import ROUTES


def request(query: str = "", **headers: str) -> Request:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "query_string": query.encode(), "headers": named})


@pytest.mark.parametrize(
    ("header", "same"),
    [
        (None, False),
        ("*", True),
        ('W/"a"', True),
        ('"a"', True),
        ('"b", W/"a"', True),
        ('"b"', False),
        ("a", False),
    ],
)
def test_tags_are_compared_weakly(header: str | None, *, same: bool) -> None:
    assert matches(header, 'W/"a"') is same


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("", False),
        ("gzip", True),
        ("br;q=1, GZIP ;q=0.5", True),
        ("gzip; q=0", False),
        ("gzip;q=0.000", False),
        ("*", True),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("*;q=0, gzip", True),
    ],
)
def test_gzip_is_sent_to_who_accepts_it(header: str, *, takes: bool) -> None:
    assert takes_gzip(request(accept_encoding=header)) is takes


def test_cursors_of_another_list_are_refused() -> None:
    given = devices.CURSORS.make("tower")
    assert Query(request(f"cursor={given}"), ("cursor",)).cursor(devices.CURSORS) == "tower"
    for wrong in (given + "=", given + "%0A", "tower", "d.", "d.%00"):
        with pytest.raises(Problem):
            Query(request(f"cursor={wrong}"), ("cursor",)).cursor(devices.CURSORS)
    with pytest.raises(Problem):
        Query(request(f"cursor={given}"), ("cursor",)).cursor(commands.CURSORS)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-wall", "@x", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_execute_begins_with_an_apostrophe(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


def test_other_text_stays_as_it_is() -> None:
    assert spreadsheet_cell("tower-1") == "tower-1"


def test_every_route_is_found_under_its_own_path() -> None:
    table = RouteTable(ROUTES)
    for route in ROUTES:
        path = route.path.replace("{", "").replace("}", "")
        assert table.find(route.method, path)[0] is route


def test_an_unknown_path_and_an_unknown_method_differ() -> None:
    table = RouteTable(ROUTES)
    with pytest.raises(Problem) as caught:
        table.find("GET", "/api/v1/devices/tower/")
    assert caught.value.kind is Kind.NOT_FOUND
    with pytest.raises(Problem) as caught:
        table.find("PATCH", "/api/v1/devices/tower/commands")
    assert caught.value.kind is Kind.METHOD_NOT_ALLOWED
    assert caught.value.headers["Allow"] == "GET, HEAD, POST"
