-- The registry of devices.

-- name: add
-- Adds all MQTT devices that do not exist yet.
INSERT INTO devices (device_id, name, protocol, password_hash)
SELECT device_id, %(name)s, 'mqtt', hash
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
SET password_hash = excluded.password_hash, rotated_at = now()
WHERE devices.protocol = 'mqtt'
RETURNING device_id

-- name: add_lorawan
-- Those that exist get the new values where that is asked for.
INSERT INTO devices (
    device_id, name, protocol, dev_eui, network_server, application, tenant, network_device_id,
    sensor_model, uplink_interval_s, device_class)
SELECT device_id, %(name)s, 'lorawan', dev_eui, network_server, application, tenant,
       network_device_id, sensor_model, uplink_interval_s, device_class
FROM unnest(
    %(ids)s::text[], %(dev_eui)s::text[], %(network_server)s::text[], %(application)s::text[],
    %(tenant)s::text[], %(network_device_id)s::text[], %(sensor_model)s::text[],
    %(uplink_interval_s)s::integer[], %(device_class)s::text[])
    AS new (device_id, dev_eui, network_server, application, tenant, network_device_id,
            sensor_model, uplink_interval_s, device_class)
ORDER BY device_id
ON CONFLICT (device_id) DO UPDATE SET
    dev_eui = excluded.dev_eui, network_server = excluded.network_server,
    application = excluded.application, tenant = excluded.tenant,
    network_device_id = excluded.network_device_id, sensor_model = excluded.sensor_model,
    uplink_interval_s = excluded.uplink_interval_s, device_class = excluded.device_class
WHERE %(replace)s AND devices.protocol = 'lorawan'
RETURNING device_id

-- name: in_the_way
-- Devices that have one of the ids or DevEUIs, but for those that are to be replaced.
SELECT device_id, dev_eui FROM devices
WHERE (device_id = ANY (%(ids)s) AND NOT (%(replace)s AND protocol = 'lorawan'))
   OR (dev_eui = ANY (%(dev_eui)s) AND NOT (%(replace)s AND device_id = ANY (%(ids)s)))
ORDER BY device_id

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
    d.dev_eui, d.network_server, d.application, d.tenant, d.network_device_id, d.sensor_model,
    d.uplink_interval_s, d.device_class,
    s.current_status, s.last_seen, s.tilt_angle, s.battery_level
FROM devices d LEFT JOIN device_status s USING (device_id)
WHERE %(id)s::text IS NULL OR d.device_id = %(id)s
ORDER BY d.device_id

-- name: password_hashes
-- Of the devices that may connect.
SELECT device_id, password_hash FROM devices
WHERE disabled_at IS NULL AND password_hash IS NOT NULL

-- name: find_lorawan
-- By DevEUI.
SELECT device_id, dev_eui, network_server, application, tenant, network_device_id, sensor_model,
       uplink_interval_s, device_class, disabled_at IS NOT NULL
FROM devices WHERE dev_eui = ANY (%(dev_eui)s)
