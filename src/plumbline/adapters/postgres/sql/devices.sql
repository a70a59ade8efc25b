-- The registry of devices.

-- name: add
-- Adds all that do not exist yet. Without a hash it is a LoRaWAN device.
INSERT INTO devices (device_id, name, protocol, password_hash)
SELECT device_id, %(name)s, CASE WHEN hash IS NULL THEN 'lorawan' ELSE 'mqtt' END, hash
FROM unnest(%(ids)s::text[], %(hashes)s::text[]) AS new (device_id, hash)
ORDER BY device_id
ON CONFLICT (device_id) DO NOTHING
RETURNING device_id

-- name: add_or_rotate
-- Adds MQTT devices; those that exist get the new hash. In order, so that two never deadlock.
INSERT INTO devices (device_id, protocol, password_hash)
SELECT device_id, 'mqtt', hash
FROM unnest(%(ids)s::text[], %(hashes)s::text[]) AS new (device_id, hash)
ORDER BY device_id
ON CONFLICT (device_id) DO UPDATE
SET protocol = 'mqtt', password_hash = excluded.password_hash, rotated_at = now()

-- name: rotate
UPDATE devices SET password_hash = %(hash)s, rotated_at = now()
WHERE device_id = %(id)s AND protocol = 'mqtt'

-- name: set_disabled
-- Disabling twice keeps the first moment.
UPDATE devices SET disabled_at = CASE WHEN %(disabled)s THEN coalesce(disabled_at, now()) END
WHERE device_id = %(id)s

-- name: select_devices
-- One device, or every one where no id is given, with its newest reading.
SELECT d.device_id, d.name, d.protocol, d.created_at, d.rotated_at, d.disabled_at,
    s.current_status, s.last_seen, s.tilt_angle, s.battery_level
FROM devices d LEFT JOIN device_status s USING (device_id)
WHERE %(id)s::text IS NULL OR d.device_id = %(id)s
ORDER BY d.device_id

-- name: password_hashes
-- Of the devices that may connect.
SELECT device_id, password_hash FROM devices
WHERE disabled_at IS NULL AND password_hash IS NOT NULL
