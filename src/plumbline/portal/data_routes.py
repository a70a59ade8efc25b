"""The routes of devices, readings, commands and of the account, as they are documented."""

from plumbline.portal import account_of_messages, commands, devices, exports, readings, series
from plumbline.portal.problems import Kind
from plumbline.portal.route import Operation, Parameter, Route, Success
from plumbline.portal.schemas import ref
from plumbline.portal.shared_parts import (
    COMMAND,
    DEVICE,
    FROM,
    MATCH,
    OF_DEVICE,
    TO,
    ZONE,
    cursor,
    found,
    in_query,
    limit,
    paged,
)

_API = "/api/v1"
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
            success=paged("Device", "One page of devices"),
            parameters=(
                in_query(
                    "status",
                    "Only devices whose present status this is",
                    {"type": "string", "enum": devices.STATUSES},
                ),
                in_query(
                    "search",
                    "Only devices whose id or name holds this text, in any case",
                    {
                        "type": "string",
                        "maxLength": devices.MAX_SEARCH,
                        "pattern": r"^[^\x00]*$",
                        "examples": ["tower"],
                    },
                ),
                limit(devices.DEFAULT_LIMIT, devices.MAX_LIMIT),
                cursor(devices.CURSORS),
                MATCH,
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
            success=found("DeviceDetail", "The device"),
            parameters=(DEVICE, MATCH),
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
            success=found("DeviceStatus", "The status", Age="Whole seconds since `synced_at`"),
            parameters=(DEVICE, MATCH),
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
            success=paged("Reading", "One page of readings"),
            parameters=(
                DEVICE,
                FROM,
                TO,
                in_query(
                    "order",
                    "Oldest first, or newest first",
                    {"type": "string", "enum": list(readings.ORDERS), "default": "asc"},
                ),
                limit(readings.DEFAULT_LIMIT, readings.MAX_LIMIT),
                cursor(readings.CURSORS),
                MATCH,
            ),
            problems=(Kind.INVALID, Kind.NOT_FOUND),
        ),
    ),
    Route(
        "GET",
        f"{_API}/devices/{{device_id}}/series",
        series.show_series,
        role="viewer",
        operation=Operation(
            operation_id="show_series",
            tag="readings",
            summary="Readings downsampled",
            description="The range is cut into `points` buckets of equal width; each keeps the"
            " least, the greatest and the mean `tilt_angle` (degrees) and how many readings it"
            " holds. Buckets of 10 minutes and more begin at whole five minutes of UTC, the first"
            " one up to five minutes before `from`, and last whole five minutes, so that there may"
            " be a third fewer; only readings from `from` until before `to` count. A gap stays a"
            " gap. Without `to` until now; without `from` 24 hours.",
            success=found("Series", "Columns"),
            parameters=(
                DEVICE,
                FROM,
                TO,
                in_query(
                    "points",
                    "How many buckets",
                    {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": series.MAX_POINTS,
                        "default": series.DEFAULT_POINTS,
                    },
                ),
                MATCH,
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
                parameters=(DEVICE, FROM, TO, ZONE),
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
            success=paged("Command", "One page of commands"),
            parameters=(
                DEVICE,
                in_query(
                    "state", "Only in this state", {"type": "string", "enum": commands.STATES}
                ),
                limit(commands.DEFAULT_LIMIT, commands.MAX_LIMIT),
                cursor(commands.CURSORS),
                MATCH,
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
                DEVICE,
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
            success=found("Command", "The command"),
            parameters=(COMMAND, MATCH),
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
            parameters=(COMMAND,),
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
            success=found("FleetStatistics", "The numbers", Age="Whole seconds since `synced_at`"),
            parameters=(MATCH,),
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
            success=paged("QuarantineEntry", "One page of refused messages"),
            parameters=(
                OF_DEVICE,
                in_query(
                    "reason",
                    "Only with this reason",
                    {"type": "string", "enum": account_of_messages.REASONS},
                ),
                limit(account_of_messages.DEFAULT_LIMIT, account_of_messages.MAX_LIMIT),
                cursor(account_of_messages.CURSORS),
                MATCH,
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
            success=found("Ledger", "The account"),
            parameters=(OF_DEVICE, MATCH),
            problems=(Kind.INVALID,),
        ),
    ),
)
