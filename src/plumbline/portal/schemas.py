"""JSON Schemas of what the API takes and gives, by name; units stand in the descriptions."""

from typing import Any

from plumbline.domain.command import (
    DEFAULT_LIFE,
    MAX_LIFE_S,
    MIN_LIFE_S,
    PARAMETERS,
    Choice,
    CommandState,
    ParameterRule,
    Verb,
    Whole,
)
from plumbline.domain.device import DeviceClass, NetworkServer
from plumbline.domain.reading import Status
from plumbline.domain.reason import Reason

JsonSchema = dict[str, Any]

_TIME = "2026-01-31T12:00:00Z"
_UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"

DEVICE_ID: JsonSchema = {
    "type": "string",
    "pattern": "^[A-Za-z0-9_-]{1,50}$",
    "examples": ["tower-north"],
}


def time(description: str, *, null: bool = False) -> JsonSchema:
    """Return the schema of a time."""
    return {
        "type": ["string", "null"] if null else "string",
        "format": "date-time",
        "description": f"{description}; RFC 3339, UTC",
        "examples": [_TIME],
    }


def number(  # noqa: PLR0913 - each is one property of a number, most by keyword
    description: str,
    unit: str,
    example: float,
    *,
    bounds: tuple[float, float] | None = None,
    null: bool = False,
    whole: bool = False,
) -> JsonSchema:
    """Return the schema of a number with its unit."""
    kind = "integer" if whole else "number"
    schema: JsonSchema = {
        "type": [kind, "null"] if null else kind,
        "description": f"{description}, {unit}" if unit else description,
        "examples": [example],
    }
    if bounds is not None:
        schema["minimum"], schema["maximum"] = bounds
    return schema


def text(description: str, example: str, *, null: bool = False) -> JsonSchema:
    """Return the schema of a text."""
    return {
        "type": ["string", "null"] if null else "string",
        "description": description,
        "examples": [example],
    }


def choice(words: list[str], description: str, *, null: bool = False) -> JsonSchema:
    """Return the schema of one of some words."""
    return {
        "type": ["string", "null"] if null else "string",
        "enum": [*words, None] if null else words,
        "description": description,
    }


def record(properties: dict[str, JsonSchema], description: str = "") -> JsonSchema:
    """Return the schema of an object that has exactly these members."""
    schema: JsonSchema = {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }
    return schema | ({"description": description} if description else {})


def _nullable(schema: JsonSchema) -> JsonSchema:
    return schema | {"type": [schema["type"], "null"]}


def page(of: str) -> JsonSchema:
    """Return the schema of one page of a list of a named schema."""
    return record(
        {
            "items": {"type": "array", "items": ref(of)},
            "next_cursor": text(
                "Give it as `cursor` for the next page; null on the last",
                "d.tower-north",
                null=True,
            ),
        }
    )


def ref(name: str) -> JsonSchema:
    """Return a reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


_STATUS_WORDS = [status.value for status in Status]
_ANGLE = ("Inclination", "degrees", 1.2345)
_HALF_TURN = (-180, 180)


def _status(*, null: bool = False) -> JsonSchema:
    return choice(_STATUS_WORDS, "What the device says of itself", null=null)


def _battery() -> JsonSchema:
    return number("Charge of the battery", "per cent", 87, bounds=(0, 100), null=True, whole=True)


def _tilt(*, null: bool = False) -> JsonSchema:
    return number(*_ANGLE, bounds=_HALF_TURN, null=null)


_DEVICE: dict[str, JsonSchema] = {
    "device_id": DEVICE_ID,
    "name": text("For people; may be empty", "North tower, level 3"),
    "protocol": choice(["mqtt", "lorawan"], "How it reaches the broker", null=True),
    "registered": {
        "type": "boolean",
        "description": "False for one that has reported but is in no registry",
    },
    "disabled": {"type": "boolean", "description": "Whether it may not connect"},
    "current_status": _status(null=True),
    "last_seen": time("Of its newest reading, by the device's clock", null=True),
    "tilt_angle": _tilt(null=True),
    "battery_level": _battery(),
}
_LORAWAN: dict[str, JsonSchema] = {
    "dev_eui": {
        "type": "string",
        "pattern": "^[0-9a-f]{16}$",
        "description": "Of the device",
        "examples": ["1000000000000001"],
    },
    "network_server": choice([s.value for s in NetworkServer], "Where it is registered"),
    "application": text("Id of its application there", "ca739e26-7b67-4f14-b69e-d568c22a5a75"),
    "tenant": text("The Things Stack's; may be empty", "ttn", null=True),
    "network_device_id": text(
        "The Things Stack's id of the device", "eui-1000000000000001", null=True
    ),
    "sensor_model": text("Names the codec that reads its bytes", "milesight-em310-tilt"),
    "uplink_interval_s": number(
        "How often it is expected to send", "seconds", 600, null=True, whole=True
    ),
    "device_class": choice(
        [c.value for c in DeviceClass], "A listens after its own uplinks only, C always"
    ),
}
_CACHED = {
    "synced_at": time("When this was read from the database"),
    "age_s": {**number("Since synced_at", "seconds", 3.25), "minimum": 0},
}


def _count(description: str) -> JsonSchema:
    return {"type": "integer", "minimum": 0, "description": description}


def _params(verb: Verb) -> JsonSchema:
    rules = PARAMETERS[verb]
    schema: JsonSchema = {
        "type": "object",
        "description": "What the command takes" if rules else "The command takes none",
        "properties": {name: _rule(rule) for name, rule in rules.items()},
        "required": [name for name, rule in rules.items() if rule.required],
        "additionalProperties": False,
    }
    if verb is Verb.SET_THRESHOLD:
        around = {"required": ["threshold_deg"]}
        within = {
            "not": {"anyOf": [{"required": [n]} for n in ("min_deg", "max_deg", "condition")]}
        }
        both = {"required": ["min_deg", "max_deg"], "not": around}
        schema["oneOf"] = [{**around, **within}, both]
        schema["description"] = (
            "Either `threshold_deg` (alarm beyond it in both directions), or `min_deg` and"
            " `max_deg`, of which `min_deg` is not the greater."
        )
    return schema


def _rule(rule: ParameterRule) -> JsonSchema:
    if isinstance(rule, Choice):
        return {"type": "string", "enum": list(rule.words)}
    return {
        "type": "integer" if isinstance(rule, Whole) else "number",
        "minimum": rule.minimum,
        "maximum": rule.maximum,
        "description": rule.unit,
    }


def _new_command() -> JsonSchema:
    variants = []
    for verb in Verb:
        properties: dict[str, JsonSchema] = {
            "command": {"const": verb.value},
            "params": _params(verb),
            "expires_in_s": number(
                f"How long it waits for the device (default {DEFAULT_LIFE.total_seconds():.0f}, and"
                " for two uplinks of a LoRaWAN device)",
                "seconds",
                3600,
                bounds=(MIN_LIFE_S, MAX_LIFE_S),
                whole=True,
            ),
        }
        needs_params = any(rule.required for rule in PARAMETERS[verb].values())
        variants.append(
            {
                "type": "object",
                "title": verb.value,
                "required": ["command"]
                + (["params"] if needs_params or verb is Verb.SET_THRESHOLD else []),
                "properties": properties,
                "additionalProperties": False,
            }
        )
    return {"oneOf": variants}


SCHEMAS: dict[str, JsonSchema] = {
    "Health": record({"status": {"const": "ok"}}),
    "Device": record(_DEVICE),
    "DeviceDetail": record(
        _DEVICE
        | {
            "created_at": time("When it was registered", null=True),
            "rotated_at": time("When it last got a new password", null=True),
            "disabled_at": time("Since when it may not connect", null=True),
            "lorawan": _nullable(record(_LORAWAN, "What a LoRaWAN device is known by; else null")),
        }
    ),
    "DeviceStatus": record(
        {
            "device_id": DEVICE_ID,
            "current_status": _status(),
            "last_seen": time("Of its newest reading, by the device's clock"),
            "tilt_angle": _tilt(),
            "battery_level": _battery(),
            **_CACHED,
        }
    ),
    "FleetStatistics": record(
        {
            "devices": _count("Devices that have reported"),
            "by_status": {
                "type": "object",
                "description": "Devices by their present status; a status of none is absent",
                "properties": dict.fromkeys(_STATUS_WORDS, _count("Devices")),
                "additionalProperties": False,
            },
            "readings_last_hour": _count("Readings whose time lies in the last hour"),
            "stalest_device_id": {
                **DEVICE_ID,
                "type": ["string", "null"],
                "description": "The device that has been silent for longest",
            },
            "stalest_last_seen": time("Of its newest reading", null=True),
            **_CACHED,
        }
    ),
    "Reading": record(
        {
            "timestamp": time("By the device's clock"),
            "tilt_angle": _tilt(),
            "status": _status(),
            "battery_level": _battery(),
            "tilt_x": number("Inclination about x", "degrees", 0.52, null=True),
            "tilt_y": number("Inclination about y", "degrees", -0.31, null=True),
            "tilt_z": number("Inclination about z", "degrees", 89.4, null=True),
            "temperature": number("Temperature", "degrees Celsius", 21.5, null=True),
            "rssi": number("Received signal strength", "dBm", -97, null=True),
            "snr": number("Signal to noise ratio", "dB", 7.5, null=True),
            "sequence": number("The device's own counter", "", 4711, null=True, whole=True),
            "received_at": time("When the broker handed it over"),
        }
    ),
    "Series": record(
        {
            "device_id": DEVICE_ID,
            "from": time("Beginning of the first bucket"),
            "to": time("End of the range"),
            "bucket_s": number("Width of a bucket", "seconds", 86.4),
            "gap_s": number("From this distance of two filled buckets on, a gap", "seconds", 172.8),
            "t": {"type": "array", "items": time("Beginning of the bucket")},
            "min": {"type": "array", "items": _tilt(null=True)},
            "max": {"type": "array", "items": _tilt(null=True)},
            "mean": {"type": "array", "items": _tilt(null=True)},
            "count": {"type": "array", "items": _count("Readings in the bucket")},
        },
        "Columns of equal length, at most 2,000. In a gap stands its first empty bucket, with null"
        " in `min`, `max` and `mean` and 0 in `count`.",
    ),
    "NewCommand": _new_command(),
    "Command": record(
        {
            "command_id": {"type": "string", "format": "uuid", "examples": [_UUID]},
            "device_id": DEVICE_ID,
            "protocol": choice(["mqtt", "lorawan"], "How it reaches the device"),
            "command": choice([verb.value for verb in Verb], "What the device is told"),
            "params": {"type": "object", "description": "As the command's schema says"},
            "state": choice(
                [state.value for state in CommandState],
                "`queued` → `sent` (the broker has it) → `acknowledged` (the device has done it),"
                " `failed` or `expired`; `cancelled` from `queued` alone. A command that the device"
                " does not confirm ends as `sent`",
            ),
            "detail": text("Why it waits, why it failed, or how it ended; may be empty", ""),
            "attempts": _count("How many times it was put into its queue"),
            "issued_by": text("User name", "anna"),
            "issued_at": time("When it was accepted"),
            "expires_at": time("After this nobody delivers it any more"),
            "sent_at": time("When the broker had it", null=True),
            "transmitted_at": time("LoRaWAN: when a gateway had sent it by radio", null=True),
            "acknowledged_at": time("When the device had done it", null=True),
            "failed_at": time("When it failed", null=True),
            "expired_at": time("When it had expired", null=True),
            "cancelled_at": time("When it was taken back", null=True),
            "ended_at": time("Since when nothing more is expected of it", null=True),
        }
    ),
    "QuarantineEntry": record(
        {
            "id": number("Ascending in the order in which they came in", "", 17, whole=True),
            "delivery_id": {"type": "string", "format": "uuid", "examples": [_UUID]},
            "device_id": {
                **DEVICE_ID,
                "type": ["string", "null"],
                "description": "From the topic; null where it names none",
            },
            "topic": text("As the broker gave it", "tilt/tower-north/telemetry"),
            "reason": choice([reason.value for reason in Reason], "Why it was refused"),
            "detail": text("One line for people", "tilt_angle: a finite number is missing"),
            "item": number("Index in the message's array", "", 0, null=True, whole=True),
            "size_bytes": number("Of the message", "bytes", 142, whole=True),
            "complete": {"type": "boolean", "description": "All of its bytes are there"},
            "received_at": time("When the broker handed it over"),
            "quarantined_at": time("When it was recorded"),
            "replayed_at": time("When it was sent through the pipeline again", null=True),
        }
    ),
    "Ledger": record(
        {
            "balanced": {
                "type": "boolean",
                "description": "Every delivery is accounted for exactly once",
            },
            "approximate": {
                "type": "boolean",
                "description": "The queues were only counted, as on SQS: what has no outcome is in"
                " flight or dead-lettered as long as they hold about as much",
            },
            "device_id": {
                **DEVICE_ID,
                "type": ["string", "null"],
                "description": "Of which device; null for all",
            },
            "messages": _count("MQTT messages; one may hold several readings"),
            "interrupted_batches": _count("Batches that the broker hands over again"),
            "received": _count("Deliveries; the sum of all below"),
            "stored": _count("As a reading, or as a device's answer to a command"),
            "duplicates": _count("Of a stored reading or answer, with equal values"),
            "conflicts": _count("Of a stored reading, with other values; kept apart"),
            "quarantined": _count("Refused"),
            "discarded": _count("Purged from a dead-letter queue by an operator"),
            "dead_lettered": _count("In a dead-letter queue"),
            "in_flight": _count("In a queue"),
            "mismatches": {
                "type": "array",
                "description": "Where the sums disagree; the first 100",
                "items": record(
                    {
                        "batch_id": text("Empty for the totals", "018d5e3fa2b10f8fad5bd9cb"),
                        "device_id": text("Empty where no device can be told", "tower-north"),
                        "received": _count("Deliveries that came"),
                        "accounted": _count("Deliveries of which it is known what became of them"),
                    }
                ),
            },
        }
    ),
}
