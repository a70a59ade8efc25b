-- name: alive
-- Answers when the database does.
SELECT 1;

-- name: devices
-- Registered devices and others that have reported, by id, after a given one.
SELECT device_id, coalesce(d.name, ''), d.device_id IS NOT NULL, d.disabled_at IS NOT NULL,
       s.current_status, s.last_seen, s.tilt_angle, s.battery_level
FROM devices d FULL JOIN device_status s USING (device_id)
WHERE device_id > %(after)s
  AND (%(status)s::text IS NULL OR s.current_status = %(status)s)
  AND (%(search)s = '' OR strpos(lower(device_id || ' ' || coalesce(d.name, '')), lower(%(search)s)) > 0)
ORDER BY device_id
LIMIT %(limit)s;
