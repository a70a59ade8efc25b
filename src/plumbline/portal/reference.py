"""The reference page of the API, of the table of routes: `python -m plumbline.portal.reference`.

``docs/reference/rest.md`` is what this prints; a test holds the two together.
"""

import sys
from collections.abc import Sequence

from plumbline.portal.openapi import problem_kinds
from plumbline.portal.problems import Kind
from plumbline.portal.route import Operation, Parameter, Route
from plumbline.portal.routes import ROUTES

_HEAD = """\
# REST API

What the portal answers, route by route. The running portal describes itself in more detail:
`/docs` to look at and try, `/api/openapi.json` (OpenAPI 3.1) for machines. This page is made from
the same table (`python -m plumbline.portal.reference`).

Angles are degrees, times RFC 3339 UTC, `battery_level` is per cent, `temperature` °C, `rssi` dBm,
`snr` dB.

- **Who asks**: `Authorization: Bearer TOKEN`, or the cookie of a session; then whatever changes
  something needs `X-CSRF-Token`, which signing in gave. `viewer` < `operator` < `admin`.
- **Lists** come in pages: `{"items": […], "next_cursor": …}` and `Link: <…>; rel="next"`. What was
  there at the beginning is seen exactly once, in order, whatever arrives meanwhile.
- **Reads** carry a weak `ETag`; with `If-None-Match` an unchanged answer is 304. Answers are
  compressed with gzip where the caller accepts it.
- **Cached answers** (`status`, `stats`) say how old they are: `synced_at`, `age_s`, `Age`. Without
  the cache they come from the database: slower, never different.
- **Errors** are problem details (RFC 9457, `application/problem+json`). Unknown and repeated
  parameters are errors, not ignored.
- Every answer has an `X-Request-Id`; one that the caller sent is kept if it is plain.
"""


def render(routes: Sequence[Route]) -> str:
    """Return the page."""
    parts = [_HEAD]
    documented = [(route, route.operation) for route in routes if route.operation is not None]
    for tag in dict.fromkeys(operation.tag for _, operation in documented):
        parts.append(f"\n## {tag.capitalize()}\n")
        parts += [_route(route, op) for route, op in documented if op.tag == tag]
    parts.append("\n## Problems\n\n| status | type `urn:plumbline:problem:…` | title |\n")
    parts.append("| --- | --- | --- |\n")
    parts += [
        f"| {kind.value.status} | `{kind.slug}` | {kind.value.title} |\n"
        for kind in sorted(Kind, key=lambda kind: kind.value.status)
    ]
    return "".join(parts)


def _route(route: Route, operation: Operation) -> str:
    lines = [
        f"\n### `{route.method} {route.path}`\n",
        f"{operation.summary}. Role: {route.role}.\n",
        f"{operation.description}\n",
    ]
    if operation.parameters:
        lines += ["| parameter | in | |", "| --- | --- | --- |"]
        lines += [_parameter(one) for one in operation.parameters]
        lines.append("")
    good = "; ".join(f"{one.status} {one.description.lower()}" for one in operation.success)
    kinds = ", ".join(f"`{kind.slug}`" for kind in problem_kinds(route, operation))
    lines.append(f"Answers: {good}. Problems: {kinds}.")
    return "\n".join(lines) + "\n"


def _parameter(parameter: Parameter) -> str:
    schema = parameter.schema
    limits = []
    if "enum" in schema:
        limits.append(" ".join(f"`{word}`" for word in schema["enum"]))
    if "minimum" in schema:
        limits.append(f"{schema['minimum']:,} to {schema['maximum']:,}")
    if "maxLength" in schema:
        limits.append(f"at most {schema['maxLength']} characters")
    if "default" in schema:
        limits.append(f"default `{schema['default']}`")
    if schema.get("format") == "date-time":
        limits.append("RFC 3339 with offset")
    text = "; ".join([parameter.description, *limits])
    return f"| `{parameter.name}` | {parameter.place} | {text} |"


if __name__ == "__main__":
    sys.stdout.write(render(ROUTES))
