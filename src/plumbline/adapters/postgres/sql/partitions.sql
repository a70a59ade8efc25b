-- Daily partitions of sensor_data, UTC.

-- name: missing_days
-- Of the given days, those without a partition, and the server's time.
SELECT day, now() FROM unnest(%(days)b::date[]) AS day
WHERE to_regclass('public.sensor_data_' || to_char(day, 'YYYYMMDD')) IS NULL

-- name: ensure_partition
SELECT ensure_sensor_data_partition(%(day)s)

-- name: drop_partition
SELECT drop_sensor_data_partition(%(day)s)

-- name: partition_days
SELECT to_date(right(c.relname, 8), 'YYYYMMDD')
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'public.sensor_data'::regclass AND c.relname ~ '^sensor_data_[0-9]{8}$'
ORDER BY 1

-- name: summarise_day
SELECT summarise_sensor_data_day(%(day)s, %(least_readings)s)

-- name: days_to_summarise
-- Of the given days those never summarised, and those with a stale summary; newest first.
SELECT day FROM unnest(%(days)s::date[]) AS day
WHERE NOT EXISTS (SELECT FROM summarised_day s WHERE s.day = day.day)
   OR EXISTS (SELECT FROM reading_summary r WHERE r.day = day.day AND r.is_stale)
ORDER BY day DESC LIMIT %(most)s
