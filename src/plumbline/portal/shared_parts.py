"""Parameters and answers that several routes share, as they are documented."""

from plumbline.portal.exports import MAX_ZONE
from plumbline.portal.query import Cursors
from plumbline.portal.route import Parameter, Schema, Success
from plumbline.portal.schemas import DEVICE_ID, page, ref

_TIME = "2026-01-31T12:00:00Z"
_TAG = "The value's tag, for `If-None-Match`; weak"
_NEXT = {"Link": 'The next page: `<…>; rel="next"`; absent on the last'}


def in_query(name: str, description: str, schema: Schema) -> Parameter:
    """Return a parameter of the query."""
    return Parameter(name, "query", description, schema)


def limit(default: int, maximum: int) -> Parameter:
    """Return the parameter that bounds a page."""
    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return in_query("limit", "At most so many", schema)


DEVICE = Parameter("device_id", "path", "Id of the device", DEVICE_ID, required=True)
COMMAND = Parameter(
    "command_id",
    "path",
    "Id of the command",
    {"type": "string", "format": "uuid", "examples": ["0f8fad5b-d9cb-469f-a165-70867728950e"]},
    required=True,
)


def cursor(cursors: Cursors) -> Parameter:
    """Return the parameter that continues a list."""
    description = "`next_cursor` of the page before, with the same other parameters; opaque"
    schema = {
        "type": "string",
        "pattern": cursors.pattern,
        "examples": [cursors.make(cursors.example)],
    }
    return in_query("cursor", description, schema)


MATCH = Parameter(
    "If-None-Match",
    "header",
    "Tags that the caller has; the same value is then not sent again",
    {"type": "string", "examples": ['W/"3b0c5ff0e7f9a3c1d2b4a6e8"']},
)
FROM = in_query(
    "from",
    "Readings of this time or later",
    {"type": "string", "format": "date-time", "examples": [_TIME]},
)
TO = in_query(
    "to",
    "Readings before this time",
    {"type": "string", "format": "date-time", "examples": [_TIME]},
)
ZONE = in_query(
    "tz",
    "IANA time zone in which times are written, with their offset; `UTC` or Area/City",
    {
        "type": "string",
        "maxLength": MAX_ZONE,
        "default": "UTC",
        "examples": ["Europe/Berlin"],
    },
)
OF_DEVICE = in_query("device_id", "Only of this device", DEVICE_ID)

_UNCHANGED = Success(304, "The caller has it already", media_type=None, headers={"ETag": _TAG})


def found(schema: str, description: str, **headers: str) -> tuple[Success, Success]:
    """Return the answers of a route that gives one thing."""
    good = Success(200, description, ref(schema), headers={"ETag": _TAG, **headers})
    return good, _UNCHANGED


def paged(schema: str, description: str) -> tuple[Success, Success]:
    """Return the answers of a route that gives one page of a list."""
    good = Success(200, description, page(schema), headers={"ETag": _TAG, **_NEXT})
    return good, _UNCHANGED
