"""The routes of devices, readings, commands and of the account, as they are documented."""

from plumbline.portal import account_of_messages, commands, devices, exports, readings
from plumbline.portal.problems import Kind
from plumbline.portal.query import Cursors
from plumbline.portal.route import Operation, Parameter, Route, Schema, Success
from plumbline.portal.schemas import DEVICE_ID, page, ref

_API = "/api/v1"
_TIME = "2026-01-31T12:00:00Z"
_TAG = "The value's tag, for `If-None-Match`; weak"
_NEXT = {"Link": 'The next page: `<…>; rel="next"`; absent on the last'}


def _query(name: str, description: str, schema: Schema) -> Parameter:
    return Parameter(name, "query", description, schema)


def _limit(default: int, maximum: int) -> Parameter:
    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return _query("limit", "At most so many", schema)


_DEVICE = Parameter("device_id", "path", "Id of the device", DEVICE_ID, required=True)
_COMMAND = Parameter(
    "command_id",
    "path",
    "Id of the command",
    {"type": "string", "format": "uuid", "examples": ["0f8fad5b-d9cb-469f-a165-70867728950e"]},
    required=True,
)


def _cursor(cursors: Cursors) -> Parameter:
    description = "`next_cursor` of the page before, with the same other parameters; opaque"
    schema = {
        "type": "string",
        "pattern": cursors.pattern,
        "examples": [cursors.make(cursors.example)],
    }
    return _query("cursor", description, schema)


_MATCH = Parameter(
    "If-None-Match",
    "header",
    "Tags that the caller has; the same value is then not sent again",
    {"type": "string", "examples": ['W/"3b0c5ff0e7f9a3c1d2b4a6e8"']},
)
_FROM = _query(
    "from",
    "Readings of this time or later",
    {"type": "string", "format": "date-time", "examples": [_TIME]},
)
_TO = _query(
    "to",
    "Readings before this time",
    {"type": "string", "format": "date-time", "examples": [_TIME]},
)
_ZONE = _query(
    "tz",
    "IANA time zone in which times are written, with their offset; `UTC` or Area/City",
    {
        "type": "string",
        "maxLength": exports.MAX_ZONE,
        "default": "UTC",
        "examples": ["Europe/Berlin"],
    },
)
_OF_DEVICE = _query("device_id", "Only of this device", DEVICE_ID)

_UNCHANGED = Success(304, "The caller has it already", media_type=None, headers={"ETag": _TAG})


def _found(schema: str, description: str, **headers: str) -> tuple[Success, Success]:
    good = Success(200, description, ref(schema), headers={"ETag": _TAG, **headers})
    return good, _UNCHANGED


def _paged(schema: str, description: str) -> tuple[Success, Success]:
    good = Success(200, description, page(schema), headers={"ETag": _TAG, **_NEXT})
    return good, _UNCHANGED


_CACHED = (
    " From the cache, which the sync fills; else from the database. `age_s` and `Age` say how long"
    " ago it was read there."
)
_COMMAND_EXAMPLE = {
    "command": "set_interval",
    "params": {"interval_s": 300},
    "expires_in_s": 86_400,
}
_CSV = (
    "RFC 4180, UTF-8, with a header line; angles in degrees, `battery_level` in per cent,"
    " `temperature` in °C, `rssi` in dBm, `snr` in dB. A text that a spreadsheet would execute"
    " begins with an apostrophe."
)
_PARQUET = "Apache Parquet, Zstandard; units stand in the columns' metadata."

DATA_ROUTES = (
    Route(
        "GET",
        "/health",
        devices.health,
        role="public",
        operation=Operation(
            operation_id="health",
            tag="about",
            summary="Whether the portal can serve",
            description="200 while the database answers, 503 otherwise.",
            success=(Success(200, "It can", ref("Health")),),
            problems=(Kind.UNAVAILABLE,),
        ),
    ),
    Route(
        "GET",
        f"{_API}/devices",
        devices.list_devices,
        role="viewer",
        operation=Operation(
            operation_id="list_devices",
            tag="devices",
            summary="The fleet",
            description="Devices that are registered or have reported, by id, with their newest"
            " status.",
            success=_paged("Device", "One page of devices"),
            parameters=(
                _query(
                    "status",
                    "Only devices whose present status this is",
                    {"type": "string", "enum": devices.STATUSES},
                ),
                _query(
                    "search",
                    "Only devices whose id or name holds this text, in any case",
                    {
                        "type": "string",
                        "maxLength": devices.MAX_SEARCH,
                        "pattern": r"^[^\x00]*$",
                        "examples": ["tower"],
                    },
                ),
                _limit(devices.DEFAULT_LIMIT, devices.MAX_LIMIT),
                _cursor(devices.CURSORS),
                _MATCH,
            ),
            problems=(Kind.INVALID,),
        ),
    ),
    Route(
        "GET",
        f"{_API}/devices/{{device_id}}",
        devices.show_device,
        role="viewer",
        operation=Operation(
            operation_id="show_device",
            tag="devices",
            summary="One device",
            description="Its entry in the registry, and its newest status.",
            success=_found("DeviceDetail", "The device"),
            parameters=(_DEVICE, _MATCH),
            problems=(Kind.INVALID, Kind.NOT_FOUND),
        ),
    ),
    Route(
        "GET",
        f"{_API}/devices/{{device_id}}/status",
        devices.show_status,
        role="viewer",
        operation=Operation(
            operation_id="show_status",
            tag="devices",
            summary="A device's status",
            description="What its newest reading said." + _CACHED,
            success=_found("DeviceStatus", "The status", Age="Whole seconds since `synced_at`"),
            parameters=(_DEVICE, _MATCH),
            problems=(Kind.INVALID, Kind.NOT_FOUND),
        ),
    ),
    Route(
        "GET",
        f"{_API}/devices/{{device_id}}/readings",
        readings.list_readings,
        role="viewer",
        operation=Operation(
            operation_id="list_readings",
            tag="readings",
            summary="Readings as they are",
            description="By their time. Readings that arrive while somebody reads page by page come"
            " in their place if that is still ahead, and move nothing.",
            success=_paged("Reading", "One page of readings"),
            parameters=(
                _DEVICE,
                _FROM,
                _TO,
                _query(
                    "order",
                    "Oldest first, or newest first",
                    {"type": "string", "enum": list(readings.ORDERS), "default": "asc"},
                ),
                _limit(readings.DEFAULT_LIMIT, readings.MAX_LIMIT),
                _cursor(readings.CURSORS),
                _MATCH,
            ),
            problems=(Kind.INVALID, Kind.NOT_FOUND),
        ),
    ),
    Route(
        "GET",
        f"{_API}/devices/{{device_id}}/series",
        readings.show_series,
        role="viewer",
        operation=Operation(
            operation_id="show_series",
            tag="readings",
            summary="Readings downsampled",
            description="The range is cut into `points` buckets of equal width; each keeps the"
            " least, the greatest and the mean `tilt_angle` (degrees) and how many readings it"
            " holds. A gap stays a gap. Without `to` until now; without `from` 24 hours.",
            success=_found("Series", "Columns"),
            parameters=(
                _DEVICE,
                _FROM,
                _TO,
                _query(
                    "points",
                    "How many buckets",
                    {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": readings.MAX_POINTS,
                        "default": readings.DEFAULT_POINTS,
                    },
                ),
                _MATCH,
            ),
            problems=(Kind.INVALID, Kind.NOT_FOUND),
        ),
    ),
    *(
        Route(
            "GET",
            f"{_API}/devices/{{device_id}}/readings.{suffix}",
            handler,
            role="viewer",
            operation=Operation(
                operation_id=f"export_{suffix}",
                tag="readings",
                summary=f"Readings as {name}",
                description=description,
                success=(
                    Success(
                        200,
                        "The file, oldest reading first",
                        {"type": "string", "contentMediaType": media_type},
                        media_type=media_type,
                        headers={"Content-Disposition": "A name for the file"},
                    ),
                ),
                parameters=(_DEVICE, _FROM, _TO, _ZONE),
                problems=(Kind.INVALID, Kind.NOT_FOUND),
            ),
        )
        for suffix, name, handler, media_type, description in (
            (
                "csv",
                "CSV",
                exports.export_csv,
                exports.CSV_TYPE.partition(";")[0],
                _CSV,
            ),
            (
                "parquet",
                "Parquet",
                exports.export_parquet,
                exports.PARQUET_TYPE,
                _PARQUET,
            ),
        )
    ),
    Route(
        "GET",
        f"{_API}/devices/{{device_id}}/commands",
        commands.list_commands,
        role="viewer",
        operation=Operation(
            operation_id="list_commands",
            tag="commands",
            summary="A device's commands",
            description="Newest first.",
            success=_paged("Command", "One page of commands"),
            parameters=(
                _DEVICE,
                _query("state", "Only in this state", {"type": "string", "enum": commands.STATES}),
                _limit(commands.DEFAULT_LIMIT, commands.MAX_LIMIT),
                _cursor(commands.CURSORS),
                _MATCH,
            ),
            problems=(Kind.INVALID, Kind.NOT_FOUND),
        ),
    ),
    Route(
        "POST",
        f"{_API}/devices/{{device_id}}/commands",
        commands.send_command,
        role="operator",
        csrf=True,
        operation=Operation(
            operation_id="send_command",
            tag="commands",
            summary="Send a command",
            description="Accepted means stored: it will be sent whatever stops, until it expires."
            " What became of it, `GET /api/v1/commands/{command_id}` says. Commands of one device"
            " are sent in the order in which they were accepted, each when the one before is at its"
            " end. A repetition with the same `Idempotency-Key` gives the same command and sends"
            " nothing again.",
            success=(
                Success(
                    202,
                    "Accepted",
                    ref("Command"),
                    headers={"Location": "Where the command can be looked at"},
                ),
            ),
            parameters=(
                _DEVICE,
                Parameter(
                    "Idempotency-Key",
                    "header",
                    "Of the caller's choice, for one command; kept with it",
                    {"type": "string", "pattern": "^[!-~]{1,128}$", "examples": ["b7e1-42"]},
                ),
            ),
            problems=(
                Kind.INVALID,
                Kind.NOT_FOUND,
                Kind.CONFLICT,
                Kind.UNSUPPORTED_MEDIA_TYPE,
                Kind.IDEMPOTENCY_KEY_REUSED,
            ),
            body=ref("NewCommand"),
            body_example=_COMMAND_EXAMPLE,
        ),
    ),
    Route(
        "GET",
        f"{_API}/commands/{{command_id}}",
        commands.show_command,
        role="viewer",
        operation=Operation(
            operation_id="show_command",
            tag="commands",
            summary="One command",
            description="What became of it, and when.",
            success=_found("Command", "The command"),
            parameters=(_COMMAND, _MATCH),
            problems=(Kind.INVALID, Kind.NOT_FOUND),
        ),
    ),
    Route(
        "POST",
        f"{_API}/commands/{{command_id}}/cancel",
        commands.cancel_command,
        role="operator",
        csrf=True,
        operation=Operation(
            operation_id="cancel_command",
            tag="commands",
            summary="Take a command back",
            description="While it is `queued` and nobody can have it, as all of a device's commands"
            " are but the first; 409 where it is too late.",
            success=(Success(200, "Taken back", ref("Command")),),
            parameters=(_COMMAND,),
            problems=(Kind.INVALID, Kind.NOT_FOUND, Kind.CONFLICT),
        ),
    ),
    Route(
        "GET",
        f"{_API}/stats",
        devices.show_statistics,
        role="viewer",
        operation=Operation(
            operation_id="show_statistics",
            tag="devices",
            summary="The fleet in numbers",
            description="Counts over all devices that have reported." + _CACHED,
            success=_found("FleetStatistics", "The numbers", Age="Whole seconds since `synced_at`"),
            parameters=(_MATCH,),
            problems=(Kind.INVALID,),
        ),
    ),
    Route(
        "GET",
        f"{_API}/quarantine",
        account_of_messages.list_quarantine,
        role="viewer",
        operation=Operation(
            operation_id="list_quarantine",
            tag="account",
            summary="What was refused",
            description="Newest first, without the messages' bytes (`plumbline quarantine show`).",
            success=_paged("QuarantineEntry", "One page of refused messages"),
            parameters=(
                _OF_DEVICE,
                _query(
                    "reason",
                    "Only with this reason",
                    {"type": "string", "enum": account_of_messages.REASONS},
                ),
                _limit(account_of_messages.DEFAULT_LIMIT, account_of_messages.MAX_LIMIT),
                _cursor(account_of_messages.CURSORS),
                _MATCH,
            ),
            problems=(Kind.INVALID,),
        ),
    ),
    Route(
        "GET",
        f"{_API}/ledger",
        account_of_messages.show_ledger,
        role="viewer",
        operation=Operation(
            operation_id="show_ledger",
            tag="account",
            summary="The account of every delivery",
            description="Every message that the broker handed over, and what became of it: the sums"
            " agree, or `mismatches` says where they do not.",
            success=_found("Ledger", "The account"),
            parameters=(_OF_DEVICE, _MATCH),
            problems=(Kind.INVALID,),
        ),
    ),
)
