-- What one transaction of the store does. All rows of a statement come as one array a column; a
-- column without any value comes as an empty array, which unnest fills with NULL.

-- name: insert_readings
-- Rows must be sorted by (device_id, timestamp): two writers that lock in one order cannot deadlock.
-- The ids come back only where some row was there already.
WITH inserted AS (
    INSERT INTO sensor_data (
        device_id, "timestamp", tilt_angle, status, battery_level, tilt_x, tilt_y, tilt_z,
        temperature, rssi, snr, sequence, extra, received_at, delivery_id, frame)
    SELECT * FROM unnest(
        %(device_id)b::text[], %(timestamp)b::timestamptz[], %(tilt_angle)b::float8[],
        %(status)b::text[], %(battery_level)b::int[], %(tilt_x)b::float8[],
        %(tilt_y)b::float8[], %(tilt_z)b::float8[], %(temperature)b::float8[],
        %(rssi)b::float8[], %(snr)b::float8[], %(sequence)b::bigint[], %(extra)b::jsonb[],
        %(received_at)b::timestamptz[], %(delivery_id)b::uuid[], %(frame)b::uuid[])
    ON CONFLICT (device_id, "timestamp") DO NOTHING
    RETURNING delivery_id)
SELECT count(*),
       CASE WHEN count(*) < cardinality(%(delivery_id)b::uuid[]) THEN array_agg(delivery_id) END
FROM inserted

-- name: classify_readings
-- Of rows whose place was taken: those that another delivery took, and whether its values are equal.
-- Reception (rssi, snr) is not the reading: it differs when a message is sent again. The bounds let
-- the planner leave out the partitions of other days; LIMIT makes it look every row up by the unique
-- index, where it would rather read a whole day for a thousand rows.
SELECT i.delivery_id,
       (s.tilt_angle, s.status, s.battery_level, s.tilt_x, s.tilt_y, s.tilt_z, s.temperature,
        s.sequence, s.extra)
       IS NOT DISTINCT FROM
       (i.tilt_angle, i.status, i.battery_level, i.tilt_x, i.tilt_y, i.tilt_z, i.temperature,
        i.sequence, i.extra) AS equal
FROM unnest(
        %(device_id)b::text[], %(timestamp)b::timestamptz[], %(tilt_angle)b::float8[],
        %(status)b::text[], %(battery_level)b::int[], %(tilt_x)b::float8[],
        %(tilt_y)b::float8[], %(tilt_z)b::float8[], %(temperature)b::float8[],
        %(sequence)b::bigint[], %(extra)b::jsonb[], %(delivery_id)b::uuid[])
    AS i (device_id, "timestamp", tilt_angle, status, battery_level, tilt_x, tilt_y, tilt_z,
          temperature, sequence, extra, delivery_id)
CROSS JOIN LATERAL (
    SELECT * FROM sensor_data
    WHERE device_id = i.device_id AND "timestamp" = i."timestamp"
      AND "timestamp" BETWEEN %(first)b AND %(last)b
    LIMIT 1) s
WHERE s.delivery_id <> i.delivery_id

-- name: accounted_deliveries
-- Of the given deliveries, those with an outcome other than a stored row.
SELECT delivery_id FROM accounted_delivery WHERE delivery_id = ANY (%(delivery_id)b::uuid[])

-- name: insert_duplicates
INSERT INTO reading_duplicate (delivery_id, device_id, "timestamp")
SELECT * FROM unnest(
    %(delivery_id)b::uuid[], %(device_id)b::text[], %(timestamp)b::timestamptz[])
ON CONFLICT (delivery_id) DO NOTHING
RETURNING delivery_id

-- name: insert_conflicts
INSERT INTO reading_conflict (delivery_id, device_id, "timestamp", received_at, reading)
SELECT * FROM unnest(
    %(delivery_id)b::uuid[], %(device_id)b::text[], %(timestamp)b::timestamptz[],
    %(received_at)b::timestamptz[], %(reading)b::jsonb[])
ON CONFLICT (delivery_id) DO NOTHING
RETURNING delivery_id

-- name: upsert_statuses
-- At most one row a device, sorted by device_id. Only forward in the device's time, so late data
-- changes nothing.
INSERT INTO device_status AS d (device_id, last_seen, current_status, tilt_angle, battery_level)
SELECT * FROM unnest(
    %(device_id)b::text[], %(timestamp)b::timestamptz[], %(status)b::text[],
    %(tilt_angle)b::float8[], %(battery_level)b::int[])
ON CONFLICT (device_id) DO UPDATE SET
    last_seen = excluded.last_seen, current_status = excluded.current_status,
    tilt_angle = excluded.tilt_angle, battery_level = excluded.battery_level, updated_at = now()
WHERE d.last_seen < excluded.last_seen

-- name: insert_quarantine
INSERT INTO quarantine (
    delivery_id, device_id, topic, reason, detail, item, parts, received_at)
SELECT * FROM unnest(
    %(delivery_id)b::uuid[], %(device_id)b::text[], %(topic)b::text[], %(reason)b::text[],
    %(detail)b::text[], %(item)b::int[], %(parts)b::int[], %(received_at)b::timestamptz[])
ON CONFLICT (delivery_id) DO NOTHING
RETURNING delivery_id

-- name: insert_quarantine_parts
-- A part whose quarantine entry an operator has purged meanwhile is not kept.
INSERT INTO quarantine_part (delivery_id, part, raw)
SELECT i.delivery_id, i.part, i.raw
FROM unnest(%(delivery_id)b::uuid[], %(part)b::int[], %(raw)b::bytea[])
    AS i (delivery_id, part, raw)
WHERE EXISTS (SELECT FROM quarantine q WHERE q.delivery_id = i.delivery_id)
ON CONFLICT (delivery_id, part) DO NOTHING

-- name: insert_receipts
-- A receipt that comes again counts once, also after its batch was folded.
INSERT INTO ledger_entry (batch_id, kind, messages, counts)
SELECT i.batch_id, 'receipt', i.messages, i.counts
FROM unnest(%(batch_id)b::text[], %(messages)b::int[], %(counts)b::json[])
    AS i (batch_id, messages, counts)
WHERE NOT EXISTS (SELECT FROM ledger_folded f WHERE f.batch_id = i.batch_id)
ON CONFLICT (batch_id) WHERE kind = 'receipt' DO NOTHING

-- name: insert_outcomes
INSERT INTO ledger_entry (batch_id, kind, counts)
SELECT i.batch_id, 'outcome', i.counts
FROM unnest(%(batch_id)b::text[], %(counts)b::json[]) AS i (batch_id, counts)
