-- What the portal reads.

-- name: alive
-- Answers when the database does.
SELECT 1

-- name: devices
-- Registered devices and others that have reported, by id, after a given one.
SELECT device_id, coalesce(d.name, ''), d.protocol, d.device_id IS NOT NULL,
       d.disabled_at IS NOT NULL, s.current_status, s.last_seen, s.tilt_angle, s.battery_level
FROM devices d FULL JOIN device_status s USING (device_id)
WHERE device_id > %(after)s
  AND (%(status)s::text IS NULL OR s.current_status = %(status)s)
  AND (%(search)s = ''
       OR strpos(lower(device_id || ' ' || coalesce(d.name, '')), lower(%(search)s)) > 0)
ORDER BY device_id
LIMIT %(limit)s

-- name: device
SELECT device_id, coalesce(d.name, ''), d.protocol, d.device_id IS NOT NULL,
       d.disabled_at IS NOT NULL, s.current_status, s.last_seen, s.tilt_angle, s.battery_level,
       d.created_at, d.rotated_at, d.disabled_at, d.dev_eui, d.network_server, d.application,
       d.tenant, d.network_device_id, d.sensor_model, d.uplink_interval_s, d.device_class
FROM (SELECT device_id, name, protocol, created_at, rotated_at, disabled_at, dev_eui,
             network_server, application, tenant, network_device_id, sensor_model,
             uplink_interval_s, device_class
      FROM devices WHERE device_id = %(device_id)s) d
FULL JOIN (SELECT * FROM device_status WHERE device_id = %(device_id)s) s USING (device_id)

-- name: device_status
SELECT device_id, current_status, last_seen, tilt_angle, battery_level
FROM device_status WHERE device_id = %(device_id)s

-- name: is_known
-- Whether a device is registered or has reported.
SELECT EXISTS (SELECT FROM devices WHERE device_id = %(device_id)s)
    OR EXISTS (SELECT FROM device_status WHERE device_id = %(device_id)s)

-- name: readings_ascending
SELECT "timestamp", tilt_angle, status, battery_level, tilt_x, tilt_y, tilt_z, temperature, rssi,
       snr, sequence, received_at
FROM sensor_data
WHERE device_id = %(device_id)s AND "timestamp" >= %(from)s AND "timestamp" < %(to)s
ORDER BY "timestamp" LIMIT %(limit)s

-- name: readings_descending
SELECT "timestamp", tilt_angle, status, battery_level, tilt_x, tilt_y, tilt_z, temperature, rssi,
       snr, sequence, received_at
FROM sensor_data
WHERE device_id = %(device_id)s AND "timestamp" >= %(from)s AND "timestamp" < %(to)s
ORDER BY "timestamp" DESC LIMIT %(limit)s

-- name: export_columns
-- For the driver that makes columns of it; literals, because it copies only what has no parameters.
SELECT "timestamp", tilt_angle, status::text, battery_level, tilt_x, tilt_y, tilt_z, temperature,
       rssi, snr, sequence, received_at
FROM sensor_data
WHERE device_id = {device_id} AND "timestamp" >= {from} AND "timestamp" < {to}
ORDER BY "timestamp"

-- name: export_csv
-- Times with the offset of the session's zone at that moment.
COPY (
    SELECT %(device_cell)s AS device_id,
           to_char("timestamp", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM') AS "timestamp",
           tilt_angle, status, battery_level, tilt_x, tilt_y, tilt_z, temperature, rssi, snr,
           sequence, to_char(received_at, 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM') AS received_at
    FROM sensor_data
    WHERE device_id = %(device_id)s AND "timestamp" >= %(from)s AND "timestamp" < %(to)s
    ORDER BY sensor_data."timestamp"
) TO STDOUT (FORMAT csv, HEADER)

-- name: set_zone
SELECT set_config('TimeZone', %(zone)s, false)

-- name: series_of_readings
-- Buckets of equal width from the beginning; one without readings has no row.
SELECT date_bin(%(width)s, "timestamp", %(origin)s), min(tilt_angle), max(tilt_angle),
       sum(tilt_angle), count(*)
FROM sensor_data
WHERE device_id = %(device_id)s AND "timestamp" >= %(from)s AND "timestamp" < %(to)s
GROUP BY 1

-- name: series_of_summaries
-- The same of days with a summary, and of which day each row is. Width and beginning are whole cells.
SELECT date_bin(%(width)s, c.starts_at, %(origin)s) AS start, min(c.least), max(c.greatest),
       sum(c.total), sum(c.readings), s.day
FROM reading_summary s,
     unnest(s.starts_at, s.least, s.greatest, s.total, s.readings)
         AS c (starts_at, least, greatest, total, readings)
WHERE s.device_id = %(device_id)s AND s.day >= %(first_day)s AND s.day < %(end_day)s
  AND NOT s.is_stale
GROUP BY start, s.day
