-- What the sync copies to the cache.

-- name: begin_snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: device_statuses
SELECT device_id, current_status, last_seen, tilt_angle, battery_level
FROM device_status ORDER BY device_id

-- name: count_by_status
SELECT current_status, count(*) FROM device_status GROUP BY current_status ORDER BY current_status

-- name: stalest_device
SELECT device_id, last_seen FROM device_status ORDER BY last_seen, device_id LIMIT 1

-- name: readings_last_hour
-- Constant bounds: the planner leaves out all other days, and the BRIN index nearly all other hours.
SELECT count(*) FROM sensor_data
WHERE "timestamp" > %(after)s AND "timestamp" <= %(until)s
