-- Readings of one device and one past day (UTC) in cells of five minutes: what a series of weeks
-- reads instead of each reading. Only of devices with so many readings that it is worth it; the
-- series of others reads their readings. A day's row is right, or marked as stale and not used.

CREATE TABLE reading_summary (
    device_id varchar(50) NOT NULL,
    day       date        NOT NULL,
    -- One element for each cell that holds readings, by time: its beginning, and of its angles the
    -- least, the greatest, the sum and the number.
    starts_at timestamptz[]      NOT NULL,
    least     double precision[] NOT NULL,
    greatest  double precision[] NOT NULL,
    total     double precision[] NOT NULL,
    readings  integer[]          NOT NULL,
    is_stale  boolean            NOT NULL DEFAULT false,
    PRIMARY KEY (device_id, day)
);
CREATE INDEX idx_reading_summary_stale ON reading_summary (day) WHERE is_stale;

CREATE TABLE summarised_day (day date PRIMARY KEY);

-- Marks the summary of a row that came late, was changed or removed. Only partitions of summarised
-- days have this trigger: today's readings cost nothing more.
CREATE FUNCTION mark_reading_summary() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE reading_summary SET is_stale = true
    WHERE device_id IN (OLD.device_id, NEW.device_id) AND NOT is_stale
      AND day = (coalesce(OLD."timestamp", NEW."timestamp") AT TIME ZONE 'UTC')::date;
    RETURN NULL;
END
$$;

-- Summarises a day for the first time, or again what is stale of it; returns how many devices'
-- summaries were made. Nobody writes into the day meanwhile: who had begun is waited for, who begins
-- later finds the summary and marks it. Whoever calls this tries again where the lock was not to be
-- had in time.
CREATE FUNCTION summarise_sensor_data_day(summarised date, least_readings integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '500ms'
    SET "TimeZone" = 'UTC' AS $$
DECLARE
    partition_name text := 'sensor_data_' || to_char(summarised, 'YYYYMMDD');
    devices        varchar[];
BEGIN
    IF to_regclass('public.' || partition_name) IS NULL THEN
        RETURN 0;
    END IF;
    IF EXISTS (SELECT FROM summarised_day WHERE day = summarised) THEN
        SELECT array_agg(device_id) INTO devices
        FROM reading_summary WHERE day = summarised AND is_stale;
    ELSE
        EXECUTE format(
            'SELECT array_agg(device_id) FROM (
                 SELECT device_id FROM %I GROUP BY device_id HAVING count(*) >= $1) dense',
            partition_name) INTO devices USING least_readings;
        INSERT INTO summarised_day VALUES (summarised);
    END IF;
    IF devices IS NULL THEN
        RETURN 0;
    END IF;
    -- Takes the lock that keeps writers of the day out.
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER mark_reading_summary
             AFTER INSERT OR DELETE OR UPDATE OF device_id, "timestamp", tilt_angle ON %I
             FOR EACH ROW EXECUTE FUNCTION mark_reading_summary()', partition_name);
    DELETE FROM reading_summary WHERE day = summarised AND device_id = ANY (devices);
    EXECUTE format(
        'INSERT INTO reading_summary (device_id, day, starts_at, least, greatest, total, readings)
         SELECT device_id, $1, array_agg(cell ORDER BY cell), array_agg(least ORDER BY cell),
                array_agg(greatest ORDER BY cell), array_agg(total ORDER BY cell),
                array_agg(readings ORDER BY cell)
         FROM (SELECT device_id, date_bin(''5 min'', "timestamp", $1::timestamptz) AS cell,
                      min(tilt_angle) AS least, max(tilt_angle) AS greatest,
                      sum(tilt_angle) AS total, count(*)::integer AS readings
               FROM %I WHERE device_id = ANY ($2) GROUP BY 1, 2) cells
         GROUP BY device_id', partition_name) USING summarised, devices;
    RETURN cardinality(devices);
END
$$;

-- Drops a daily partition with what is known of it, and keeps the delivery ids that a queue may
-- still bring again. The scan holds up only writers of that day; the drop holds up all of them, for
-- a moment. Whoever calls this tries again where a lock was not to be had in time.
CREATE OR REPLACE FUNCTION drop_sensor_data_partition(day date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '500ms'
    AS $$
DECLARE
    partition_name text := 'sensor_data_' || to_char(day, 'YYYYMMDD');
BEGIN
    LOCK TABLE sensor_data IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass('public.' || partition_name) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', partition_name);
    EXECUTE format(
        'INSERT INTO settled_delivery (delivery_id)
         SELECT delivery_id FROM %I WHERE created_at > now() - interval ''30 days''
         ON CONFLICT DO NOTHING', partition_name);
    EXECUTE format('DROP TABLE %I', partition_name);
    DELETE FROM reading_summary s WHERE s.day = drop_sensor_data_partition.day;
    DELETE FROM summarised_day s WHERE s.day = drop_sensor_data_partition.day;
    RETURN true;
END
$$;
