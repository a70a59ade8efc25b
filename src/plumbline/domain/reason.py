"""Why a device's message was refused: the closed list."""

from enum import StrEnum


class Reason(StrEnum):
    """Reason code of a quarantined message; stable, part of the interface."""

    EMPTY_PAYLOAD = "empty_payload"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    NOT_UTF8 = "not_utf8"
    INVALID_JSON = "invalid_json"
    NESTED_TOO_DEEPLY = "nested_too_deeply"
    DUPLICATE_KEY = "duplicate_key"
    INVALID_TEXT = "invalid_text"
    """A string holds NUL or a lone surrogate, which PostgreSQL cannot store."""
    NOT_AN_OBJECT = "not_an_object"
    EMPTY_ARRAY = "empty_array"
    UNKNOWN_TOPIC = "unknown_topic"
    INVALID_DEVICE_ID = "invalid_device_id"
    DEVICE_ID_MISMATCH = "device_id_mismatch"
    MISSING_FIELD = "missing_field"
    INVALID_TIMESTAMP = "invalid_timestamp"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    INVALID_TILT_ANGLE = "invalid_tilt_angle"
    INVALID_STATUS = "invalid_status"
    INVALID_BATTERY_LEVEL = "invalid_battery_level"
    INVALID_FIELD = "invalid_field"
    """An optional field has the wrong type or is out of range."""
