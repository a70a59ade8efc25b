-- Compares the truth with the database. Everything runs in one transaction, which sees one state of
-- the database and leaves nothing behind. A check returns its first differences as (device_id,
-- timestamp, detail), and in every row the number of all of them.

-- name: settings
-- For this transaction: sorting a million readings in memory, and times in UTC.
SELECT set_config('work_mem', '64MB', true), set_config('TimeZone', 'UTC', true),
    set_config('jit', 'off', true)

-- name: create_truth
-- One row a published reading; planted duplicates have their own.
CREATE TEMPORARY TABLE truth (
    run           integer     NOT NULL,
    device_id     text        NOT NULL,
    "timestamp"   timestamptz NOT NULL,
    number        bigint      NOT NULL,
    connection    integer     NOT NULL,
    acknowledged  boolean     NOT NULL,
    in_order      boolean     NOT NULL,
    tilt_angle    double precision NOT NULL,
    status        text        NOT NULL,
    battery_level integer,
    tilt_x        double precision,
    tilt_y        double precision,
    tilt_z        double precision,
    temperature   double precision,
    rssi          double precision,
    snr           double precision,
    sequence      bigint,
    extra         jsonb       NOT NULL
) ON COMMIT DROP

-- name: create_truth_malformed
-- One row an acknowledged message that must be in quarantine.
CREATE TEMPORARY TABLE truth_malformed (
    device_id text NOT NULL,
    kind      text NOT NULL,
    reason    text NOT NULL,
    sha256    text NOT NULL
) ON COMMIT DROP

-- name: create_truth_period
-- One row a run and device: within this time, the truth knows every reading of the device.
CREATE TEMPORARY TABLE truth_period (
    device_id     text        NOT NULL,
    first_at      timestamptz NOT NULL,
    last_at       timestamptz NOT NULL,
    received_from timestamptz NOT NULL
) ON COMMIT DROP

-- name: copy_truth
COPY truth FROM STDIN

-- name: copy_truth_malformed
COPY truth_malformed FROM STDIN

-- name: copy_truth_period
COPY truth_period FROM STDIN

-- name: analyze
ANALYZE truth, truth_malformed, truth_period

-- name: count_stored
-- Readings of the truth that are stored, and how many of them no line says were acknowledged.
SELECT count(*), count(*) FILTER (WHERE NOT t.acknowledged)
FROM (SELECT device_id, "timestamp", bool_or(acknowledged) AS acknowledged
      FROM truth GROUP BY device_id, "timestamp") t
JOIN sensor_data s USING (device_id, "timestamp")
WHERE s."timestamp" BETWEEN %(first)s AND %(last)s

-- name: missing
-- Acknowledged and not stored.
SELECT device_id, "timestamp", 'acknowledged, not stored', count(*) OVER ()
FROM (SELECT DISTINCT device_id, "timestamp" FROM truth WHERE acknowledged) t
WHERE NOT EXISTS (
    SELECT FROM sensor_data s
    WHERE s.device_id = t.device_id AND s."timestamp" = t."timestamp"
      AND s."timestamp" BETWEEN %(first)s AND %(last)s)
ORDER BY device_id, "timestamp" LIMIT %(limit)s

-- name: different
-- Stored with other values, acknowledged or not.
SELECT DISTINCT device_id, "timestamp", concat_ws('; ',
        CASE WHEN s.tilt_angle IS DISTINCT FROM t.tilt_angle
             THEN format('tilt_angle %%s, stored %%s', t.tilt_angle, s.tilt_angle) END,
        CASE WHEN s.status IS DISTINCT FROM t.status
             THEN format('status %%s, stored %%s', t.status, s.status) END,
        CASE WHEN s.battery_level IS DISTINCT FROM t.battery_level
             THEN format('battery_level %%s, stored %%s', t.battery_level, s.battery_level) END,
        CASE WHEN s.tilt_x IS DISTINCT FROM t.tilt_x
             THEN format('tilt_x %%s, stored %%s', t.tilt_x, s.tilt_x) END,
        CASE WHEN s.tilt_y IS DISTINCT FROM t.tilt_y
             THEN format('tilt_y %%s, stored %%s', t.tilt_y, s.tilt_y) END,
        CASE WHEN s.tilt_z IS DISTINCT FROM t.tilt_z
             THEN format('tilt_z %%s, stored %%s', t.tilt_z, s.tilt_z) END,
        CASE WHEN s.temperature IS DISTINCT FROM t.temperature
             THEN format('temperature %%s, stored %%s', t.temperature, s.temperature) END,
        CASE WHEN s.rssi IS DISTINCT FROM t.rssi
             THEN format('rssi %%s, stored %%s', t.rssi, s.rssi) END,
        CASE WHEN s.snr IS DISTINCT FROM t.snr
             THEN format('snr %%s, stored %%s', t.snr, s.snr) END,
        CASE WHEN s.sequence IS DISTINCT FROM t.sequence
             THEN format('sequence %%s, stored %%s', t.sequence, s.sequence) END,
        CASE WHEN coalesce(s.extra, '{}') IS DISTINCT FROM t.extra
             THEN format('extra %%s, stored %%s', t.extra, s.extra) END),
    count(*) OVER ()
FROM truth t JOIN sensor_data s USING (device_id, "timestamp")
WHERE s."timestamp" BETWEEN %(first)s AND %(last)s
  AND (s.tilt_angle, s.status, s.battery_level, s.tilt_x, s.tilt_y, s.tilt_z, s.temperature,
       s.rssi, s.snr, s.sequence, coalesce(s.extra, '{}'))
      IS DISTINCT FROM
      (t.tilt_angle, t.status, t.battery_level, t.tilt_x, t.tilt_y, t.tilt_z, t.temperature,
       t.rssi, t.snr, t.sequence, t.extra)
ORDER BY device_id, "timestamp" LIMIT %(limit)s

-- name: repeated
-- Stored more than once. A unique constraint forbids it; this would see it gone.
SELECT device_id, "timestamp", format('stored %%s times', count(*)), count(*) OVER ()
FROM sensor_data s
WHERE s."timestamp" BETWEEN %(first)s AND %(last)s
  AND device_id IN (SELECT device_id FROM truth_period)
GROUP BY device_id, "timestamp" HAVING count(*) > 1
ORDER BY device_id, "timestamp" LIMIT %(limit)s

-- name: unknown
-- Stored, and no device ever published it.
SELECT device_id, "timestamp", format('stored as %%s, never published', id), count(*) OVER ()
FROM sensor_data s
WHERE s."timestamp" BETWEEN %(first)s AND %(last)s
  AND EXISTS (
    SELECT FROM truth_period p
    WHERE p.device_id = s.device_id AND s."timestamp" BETWEEN p.first_at AND p.last_at
      AND s.received_at >= p.received_from)
  AND NOT EXISTS (
    SELECT FROM truth t WHERE t.device_id = s.device_id AND t."timestamp" = s."timestamp")
ORDER BY device_id, "timestamp" LIMIT %(limit)s

-- name: conflict
-- Kept as a second, different reading of its moment: no simulated device makes one.
SELECT c.device_id, c."timestamp", 'kept as a conflict', count(*) OVER ()
FROM reading_conflict c
WHERE EXISTS (
    SELECT FROM truth_period p
    WHERE p.device_id = c.device_id AND c."timestamp" BETWEEN p.first_at AND p.last_at
      AND c.received_at >= p.received_from)
ORDER BY device_id, "timestamp" LIMIT %(limit)s

-- name: order
-- Of two readings that a device published one after the other on one connection, the second has the
-- smaller id.
SELECT device_id, "timestamp",
       format('published after the reading of %%s, stored before it', previous_timestamp),
       count(*) OVER ()
FROM (
    SELECT device_id, "timestamp", id,
           lag(id) OVER publishing AS previous_id,
           lag("timestamp") OVER publishing AS previous_timestamp
    FROM truth t JOIN sensor_data s USING (device_id, "timestamp")
    WHERE in_order AND s."timestamp" BETWEEN %(first)s AND %(last)s
    WINDOW publishing AS (PARTITION BY run, device_id, connection ORDER BY number)) o
WHERE id < previous_id
ORDER BY device_id, "timestamp" LIMIT %(limit)s

-- name: quarantine
-- Acknowledged, and not as often in quarantine with the right reason as it was published.
WITH expected AS (
    SELECT device_id, reason, sha256, min(kind) AS kind, count(*) AS published
    FROM truth_malformed GROUP BY device_id, reason, sha256),
message AS (
    SELECT q.device_id, q.reason,
           encode(sha256(coalesce(string_agg(p.raw, '' ORDER BY p.part), '')), 'hex') AS sha256
    FROM quarantine q LEFT JOIN quarantine_part p USING (delivery_id)
    WHERE q.device_id IN (SELECT device_id FROM truth_malformed)
      AND q.item IS NULL AND q.received_at >= %(received_from)s
    GROUP BY q.id),
kept AS (
    SELECT device_id, reason, sha256, count(*) AS messages
    FROM message GROUP BY device_id, reason, sha256)
SELECT e.device_id, NULL::timestamptz,
       format('%%s: published %%s, in quarantine as %%s %%s', e.kind, e.published, e.reason,
              coalesce(k.messages, 0))
       || coalesce((SELECT ', as ' || string_agg(format('%%s %%s', o.reason, o.messages), ', ')
                    FROM kept o
                    WHERE o.device_id = e.device_id AND o.sha256 = e.sha256
                      AND o.reason <> e.reason), ''),
       count(*) OVER ()
FROM expected e LEFT JOIN kept k USING (device_id, reason, sha256)
WHERE coalesce(k.messages, 0) < e.published
ORDER BY 1, 3 LIMIT %(limit)s

-- name: status
-- The device's status is older than its newest acknowledged reading, or is not that reading's.
SELECT t.device_id, t."timestamp",
       coalesce(format('status is %%s of %%s', d.current_status, d.last_seen), 'no status'),
       count(*) OVER ()
FROM (SELECT DISTINCT ON (device_id) device_id, "timestamp", status, tilt_angle, battery_level
      FROM truth WHERE acknowledged ORDER BY device_id, "timestamp" DESC) t
LEFT JOIN device_status d ON d.device_id = t.device_id
WHERE d.device_id IS NULL OR d.last_seen < t."timestamp"
   OR (d.last_seen = t."timestamp"
       AND (d.current_status, d.tilt_angle, d.battery_level)
           IS DISTINCT FROM (t.status, t.tilt_angle, t.battery_level))
ORDER BY 1 LIMIT %(limit)s
