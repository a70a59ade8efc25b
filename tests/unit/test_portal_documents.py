"""The OpenAPI document and the reference page say what the table of routes says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from plumbline.portal.openapi import document, problem_kinds
from plumbline.portal.problems import Kind
from plumbline.portal.reference import render
from plumbline.portal.route import Route
from plumbline.portal.routes import ROUTES
from plumbline.portal.schemas import SCHEMAS

_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "rest.md"
_DOCUMENT = document(ROUTES)
_DOCUMENTED = [route for route in ROUTES if route.operation is not None]
_NAMES = [f"{route.method} {route.path}" for route in _DOCUMENTED]


def test_the_page_is_what_the_table_makes() -> None:
    """`python -m plumbline.portal.reference > docs/reference/rest.md` after a change."""
    assert _PAGE.read_text("utf-8") == render(ROUTES)


def test_every_route_of_the_contract_is_there() -> None:
    api = "/api/v1"
    one = f"{api}/devices/{{device_id}}"
    assert {(route.method, route.path) for route in _DOCUMENTED} >= {
        ("GET", "/health"),
        ("GET", "/api/openapi.json"),
        *((method, f"{api}/session") for method in ("GET", "POST", "DELETE")),
        ("GET", f"{api}/devices"),
        ("GET", one),
        ("GET", f"{one}/status"),
        ("GET", f"{one}/readings"),
        ("GET", f"{one}/series"),
        ("GET", f"{one}/readings.csv"),
        ("GET", f"{one}/readings.parquet"),
        ("POST", f"{one}/commands"),
        ("GET", f"{one}/commands"),
        ("GET", f"{api}/commands/{{command_id}}"),
        ("GET", f"{api}/stats"),
        ("GET", f"{api}/quarantine"),
        ("GET", f"{api}/ledger"),
    }


@pytest.mark.parametrize("route", _DOCUMENTED, ids=_NAMES)
def test_every_operation_says_its_parameters_and_every_problem(route: Route) -> None:
    operation = route.operation
    assert operation is not None
    described = _DOCUMENT["paths"][route.path][route.method.lower()]
    assert described["operationId"] == operation.operation_id
    in_path = {part[1:-1] for part in route.path.split("/") if part.startswith("{")}
    named = {one["name"] for one in described["parameters"] if one["in"] == "path"}
    assert named == in_path
    assert all(one["description"] for one in described["parameters"])
    for kind in problem_kinds(route, operation):
        assert str(kind.value.status) in described["responses"]
    assert (described["security"] == []) == (route.role == "public")
    changes = route.method not in {"GET", "HEAD"}
    assert route.csrf == changes, "whatever changes something is protected"


@pytest.mark.parametrize("route", _DOCUMENTED, ids=_NAMES)
def test_every_parameter_shows_what_it_may_be(route: Route) -> None:
    for one in _DOCUMENT["paths"][route.path][route.method.lower()]["parameters"]:
        schema = one["schema"]
        shown = {"examples", "enum", "default"} & schema.keys()
        assert shown or one["name"] == "X-CSRF-Token", one["name"]
        _check(schema)
        if schema["type"] == "integer":
            assert {"minimum", "maximum"} <= schema.keys()


@pytest.mark.parametrize("route", _DOCUMENTED, ids=_NAMES)
def test_every_answer_says_its_headers(route: Route) -> None:
    described = _DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    for status, response in described.items():
        headers = response["headers"]
        assert {"X-Request-Id", "RateLimit"} <= headers.keys()
        assert ("Retry-After" in headers) == (status in {"429", "503"})
        for header in headers.values():
            if "$ref" in header:
                assert header["$ref"].rpartition("/")[2] in _DOCUMENT["components"]["headers"]


def test_every_member_of_a_body_says_what_it_is() -> None:
    for name in set(SCHEMAS) - {"Health"}:
        for member, schema in _members(SCHEMAS[name]):
            said = {"description", "$ref", "const", "examples", "items", "enum"} & schema.keys()
            assert said, f"{name}.{member}"


def _members(schema: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for value in schema.values():
            yield from _members(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _members(value)


def test_operation_ids_are_unique() -> None:
    names = [route.operation.operation_id for route in ROUTES if route.operation is not None]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_one_and_its_examples_fit(name: str) -> None:
    """Also deep inside; references resolve within the document."""
    _check(SCHEMAS[name])


def _check(schema: object) -> None:
    if isinstance(schema, dict):
        if "examples" in schema and isinstance(schema["examples"], list):
            validator = Draft202012Validator(
                {**schema, "components": _DOCUMENT["components"]}, validate_formats=True
            )
            for example in schema["examples"]:
                assert validator.is_valid(example), (schema, example)
        for value in schema.values():
            _check(value)
    elif isinstance(schema, list):
        for value in schema:
            _check(value)


def test_every_kind_of_problem_is_on_the_page() -> None:
    page = _PAGE.read_text("utf-8")
    assert all(f"`{kind.slug}`" in page for kind in Kind)
