-- Radio frames that come several times.

-- name: find_reading_frames
-- For each reading, when the same frame is stored: at its own time if it is there, else the first.
-- The bounds let the planner leave out the partitions of other days.
SELECT i.delivery_id, s."timestamp"
FROM unnest(%(delivery_id)b::uuid[], %(device_id)b::text[], %(frame)b::uuid[],
            %(at)b::timestamptz[])
    AS i (delivery_id, device_id, frame, at)
CROSS JOIN LATERAL (
    SELECT "timestamp" FROM sensor_data
    WHERE device_id = i.device_id AND frame = i.frame
      AND "timestamp" BETWEEN i.at - %(within)b::interval AND i.at + %(within)b::interval
      AND "timestamp" BETWEEN %(first)b AND %(last)b
    ORDER BY "timestamp" <> i.at, "timestamp"
    LIMIT 1) s

-- name: find_event_frames
-- The same for events.
SELECT i.delivery_id, s.observed_at
FROM unnest(%(delivery_id)b::uuid[], %(device_id)b::text[], %(frame)b::uuid[],
            %(at)b::timestamptz[])
    AS i (delivery_id, device_id, frame, at)
CROSS JOIN LATERAL (
    SELECT observed_at FROM device_event
    WHERE device_id = i.device_id AND frame = i.frame
      AND observed_at BETWEEN i.at - %(within)b::interval AND i.at + %(within)b::interval
      AND observed_at BETWEEN %(first)b AND %(last)b
    ORDER BY observed_at <> i.at, observed_at
    LIMIT 1) s

-- name: keep_best_reception
-- At most one row a reading. Locked in order, so that two writers never deadlock; what the other one
-- has written meanwhile is looked at again.
UPDATE sensor_data s SET rssi = better.rssi, snr = better.snr
FROM (
    SELECT s.device_id, s."timestamp", i.rssi, i.snr
    FROM unnest(%(device_id)b::text[], %(timestamp)b::timestamptz[], %(rssi)b::float8[],
                %(snr)b::float8[])
        AS i (device_id, "timestamp", rssi, snr)
    JOIN sensor_data s USING (device_id, "timestamp")
    WHERE s."timestamp" BETWEEN %(first)b AND %(last)b
      AND (coalesce(i.snr, '-infinity'), coalesce(i.rssi, '-infinity'))
          > (coalesce(s.snr, '-infinity'), coalesce(s.rssi, '-infinity'))
    ORDER BY s.device_id, s."timestamp"
    FOR UPDATE OF s) better
WHERE s.device_id = better.device_id AND s."timestamp" = better."timestamp"
  AND s."timestamp" BETWEEN %(first)b AND %(last)b

-- name: insert_events
-- Rows must be sorted by the unique key. One of a frame that is there already is a duplicate.
INSERT INTO device_event (
    delivery_id, device_id, observed_at, detail, status, fields, rssi, snr, sequence, received_at,
    frame)
SELECT * FROM unnest(
    %(delivery_id)b::uuid[], %(device_id)b::text[], %(observed_at)b::timestamptz[],
    %(detail)b::text[], %(status)b::text[], %(fields)b::jsonb[], %(rssi)b::float8[],
    %(snr)b::float8[], %(sequence)b::bigint[], %(received_at)b::timestamptz[], %(frame)b::uuid[])
ON CONFLICT DO NOTHING
RETURNING delivery_id

-- name: events_of_device
-- Newest first.
SELECT device_id, observed_at, detail, status, fields, rssi, snr, sequence
FROM device_event WHERE device_id = %(device_id)s
ORDER BY observed_at DESC LIMIT %(limit)s
