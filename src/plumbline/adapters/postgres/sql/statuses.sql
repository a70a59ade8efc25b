-- Device status and fleet statistics, which the sync copies to the cache.

-- name: device_statuses
SELECT device_id, current_status, last_seen, tilt_angle, battery_level
FROM device_status ORDER BY device_id

-- name: fleet
-- One row, of one snapshot. Constant bounds of the hour: the planner leaves out all other days, and
-- the BRIN index nearly all other hours.
SELECT
    coalesce((SELECT json_object_agg(current_status, devices) FROM (
        SELECT current_status, count(*) AS devices FROM device_status
        GROUP BY current_status ORDER BY current_status) by_status), '{}'),
    (SELECT count(*) FROM sensor_data
     WHERE "timestamp" > %(after)s AND "timestamp" <= %(until)s),
    stalest.device_id, stalest.last_seen
FROM (SELECT) one LEFT JOIN (
    SELECT device_id, last_seen FROM device_status ORDER BY last_seen, device_id LIMIT 1) stalest
    ON true
