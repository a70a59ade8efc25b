"""The entries of Redis that several processes know: their names, how long they live, their text.

Apart from the clients, as a process has one client or the other.
"""

import json

from plumbline.domain.reading import format_time
from plumbline.ports import DeviceStatus, FleetStatistics

STATUS_TTL_S = 300
STATISTICS_TTL_S = 600
STATISTICS_KEY = "stats:fleet"

SESSION_IDLE_S = 1800
"""``session:{sha256}`` lives so long after its last use."""

API_TOKEN_IDLE_S = 300
"""``api_token:{sha256}`` lives so long after it was written."""

RECHECK_S = 10
"""The portal trusts a copy for so long, then looks into the database again: that bounds what a
revocation misses while Redis cannot be reached."""

REVOKED = "revoked"
"""Stands in a copy's place, so that a request under way does not write the copy again."""

REVOKED_TTL_S = 120
"""Longer than any request."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

# KEYS: of the statuses; ARGV: TTL in seconds, then last_seen and value of each. Times are compared
# as digits, because Redis compares text by its locale: year to second is 14 digits, then
# microseconds where there are some.
PUT_NEWER = """
local function moment(text)
    local digits = string.gsub(text, '%D', '')
    return digits .. string.rep('0', 20 - #digits)
end
local written = 0
for i, key in ipairs(KEYS) do
    local last_seen, value = ARGV[2 * i], ARGV[2 * i + 1]
    local newer = false
    local cached = redis.call('GET', key)
    if cached then
        local readable, status = pcall(cjson.decode, cached)
        newer = readable and type(status) == 'table' and type(status.last_seen) == 'string'
            and moment(status.last_seen) > moment(last_seen)
    end
    if not newer then
        redis.call('SET', key, value, 'EX', ARGV[1])
        written = written + 1
    end
end
return written
"""


def status_key(device_id: str) -> str:
    """Return the key of a device's status."""
    return f"device:{device_id}:status"


def status_value(status: DeviceStatus, synced_at: str) -> str:
    """Return the JSON that the cache holds of a device."""
    return _ENCODER.encode(
        {
            "device_id": status.device_id,
            "current_status": status.current_status,
            "last_seen": format_time(status.last_seen),
            "tilt_angle": status.tilt_angle_deg,
            "battery_level": status.battery_level_pct,
            "synced_at": synced_at,
        }
    )


def statistics_value(statistics: FleetStatistics, synced_at: str) -> str:
    """Return the JSON that the cache holds of the fleet."""
    stalest = statistics.stalest_last_seen
    return _ENCODER.encode(
        {
            "devices": statistics.devices,
            "by_status": dict(statistics.by_status),
            "readings_last_hour": statistics.readings_last_hour,
            "stalest_device_id": statistics.stalest_device_id,
            "stalest_last_seen": None if stalest is None else format_time(stalest),
            "synced_at": synced_at,
        }
    )


def session_key(digest: bytes) -> str:
    """Return the key of a session's copy."""
    return f"session:{digest.hex()}"


def api_token_key(digest: bytes) -> str:
    """Return the key of an API token's copy."""
    return f"api_token:{digest.hex()}"
