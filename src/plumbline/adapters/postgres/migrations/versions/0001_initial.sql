-- The document's tables keep their names, columns and meaning. Wider: id is BIGINT (SERIAL overflows
-- in two years at the stated load), tilt_angle a double (DECIMAL(5,2) is 0.01 degree).

CREATE SEQUENCE sensor_data_id_seq AS bigint;

CREATE TABLE sensor_data (
    id            bigint           NOT NULL DEFAULT nextval('sensor_data_id_seq'),
    device_id     varchar(50)      NOT NULL,
    "timestamp"   timestamptz      NOT NULL,
    tilt_angle    double precision NOT NULL,
    status        varchar(20)      NOT NULL,
    battery_level integer,
    tilt_x        double precision,
    tilt_y        double precision,
    tilt_z        double precision,
    temperature   double precision,
    rssi          double precision,
    snr           double precision,
    sequence      bigint,
    extra         jsonb,
    received_at   timestamptz      NOT NULL,
    delivery_id   uuid             NOT NULL,
    created_at    timestamptz      NOT NULL DEFAULT now(),
    -- Serves the document's idx_sensor_data_device_timestamp too: an index is read both ways.
    UNIQUE (device_id, "timestamp"),
    CHECK (tilt_angle BETWEEN -180 AND 180),
    CHECK (battery_level BETWEEN 0 AND 100),
    CHECK (status IN ('normal', 'warning', 'alarm', 'fault'))
) PARTITION BY RANGE ("timestamp");

ALTER SEQUENCE sensor_data_id_seq OWNED BY sensor_data.id;

-- The document's idx_sensor_data_status, only over what people look for: three quarters of all rows
-- and more are normal and need no index.
CREATE INDEX idx_sensor_data_status ON sensor_data (status, "timestamp") WHERE status <> 'normal';

-- Finds an hour's readings of all devices. Rows come nearly in the order of time, so summaries of
-- page ranges do, and cost a writer nothing that can be measured.
CREATE INDEX idx_sensor_data_time ON sensor_data USING brin ("timestamp")
    WITH (pages_per_range = 32, autosummarize = on);

-- Creates the daily partition (UTC) where it is missing. Attaching a table takes a weaker lock than
-- CREATE ... PARTITION OF: readers and writers go on. It is taken before looking again, and it must
-- be a table's: an advisory lock would leave this session's catalog cache as old as it is. SECURITY
-- DEFINER: the function that writes readings may call this without owning the table.
CREATE FUNCTION ensure_sensor_data_partition(day date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    partition_name text := 'sensor_data_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass('public.' || partition_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    LOCK TABLE sensor_data IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass('public.' || partition_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'CREATE TABLE %I (LIKE sensor_data INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
        partition_name);
    EXECUTE format(
        'ALTER TABLE sensor_data ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        partition_name, day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
    RETURN true;
END
$$;

-- Drops a daily partition and keeps the delivery ids that a queue may still bring again. The scan
-- holds up only writers of that day; the drop holds up all of them, for a moment. Whoever calls this
-- tries again where a lock was not to be had in time.
CREATE FUNCTION drop_sensor_data_partition(day date) RETURNS boolean
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
    RETURN true;
END
$$;

CREATE TABLE device_status (
    device_id      varchar(50) PRIMARY KEY,
    last_seen      timestamptz      NOT NULL,
    current_status varchar(20)      NOT NULL,
    tilt_angle     double precision NOT NULL,
    battery_level  integer,
    updated_at     timestamptz      NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- Devices that may connect, and the hash the broker checks. Readings of a device that was removed
-- stay; so no foreign key points here.
CREATE TABLE devices (
    device_id     varchar(50) PRIMARY KEY CHECK (device_id ~ '^[A-Za-z0-9_-]{1,50}$'),
    name          text        NOT NULL DEFAULT '',
    protocol      text        NOT NULL DEFAULT 'mqtt' CHECK (protocol IN ('mqtt', 'lorawan')),
    password_hash text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    rotated_at    timestamptz,
    disabled_at   timestamptz
);

-- A second, different reading of the same device and moment; the first is in sensor_data.
CREATE TABLE reading_conflict (
    delivery_id uuid        PRIMARY KEY,
    device_id   varchar(50) NOT NULL,
    "timestamp" timestamptz NOT NULL,
    reading     jsonb       NOT NULL,
    received_at timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_reading_conflict_device ON reading_conflict (device_id, "timestamp");

-- Deliveries that brought a reading already stored with equal values. Kept longer than any queue
-- keeps a message, so that a repetition by the queue is not counted twice.
CREATE TABLE reading_duplicate (
    delivery_id uuid        PRIMARY KEY,
    device_id   varchar(50) NOT NULL,
    "timestamp" timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_reading_duplicate_created ON reading_duplicate USING brin (created_at);

-- Messages that could not become a reading, with all that is known of them.
CREATE TABLE quarantine (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id uuid        NOT NULL UNIQUE,
    device_id   varchar(50) NOT NULL,
    topic       text        NOT NULL,
    reason      text        NOT NULL,
    detail      text        NOT NULL,
    item        integer,
    parts       integer     NOT NULL,
    received_at timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz
);
CREATE INDEX idx_quarantine_device ON quarantine (device_id, id);

CREATE TABLE quarantine_part (
    delivery_id uuid    NOT NULL,
    part        integer NOT NULL,
    raw         bytea   NOT NULL,
    PRIMARY KEY (delivery_id, part)
);

-- Deliveries that are accounted for but have no row any more: their partition was dropped, or an
-- operator purged them. Kept longer than any queue keeps a message.
CREATE TABLE settled_delivery (
    delivery_id uuid        PRIMARY KEY,
    settled_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_settled_delivery_settled ON settled_delivery USING brin (settled_at);

-- Deliveries with an outcome other than a row in sensor_data.
CREATE VIEW accounted_delivery AS
    SELECT delivery_id FROM reading_duplicate
    UNION ALL SELECT delivery_id FROM reading_conflict
    UNION ALL SELECT delivery_id FROM quarantine
    UNION ALL SELECT delivery_id FROM settled_delivery;

-- The ledger, append-only until maintenance folds finished batches into ledger_total.
-- receipt: what a batch put into the queue, {"device": items}
-- outcome: what one transaction of the store did with a batch,
--          {"device": {"stored": n, "duplicate": n, "conflict": n, "quarantined": n, "discarded": n}}
CREATE TABLE ledger_entry (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id    char(24)    NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('receipt', 'outcome')),
    messages    integer,
    counts      json        NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX idx_ledger_receipt ON ledger_entry (batch_id) WHERE kind = 'receipt';
CREATE INDEX idx_ledger_outcome ON ledger_entry (batch_id) WHERE kind = 'outcome';

CREATE TABLE ledger_total (
    device_id   varchar(50) PRIMARY KEY,
    received    bigint NOT NULL DEFAULT 0,
    stored      bigint NOT NULL DEFAULT 0,
    duplicate   bigint NOT NULL DEFAULT 0,
    conflict    bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    discarded   bigint NOT NULL DEFAULT 0
);
-- Batches already in ledger_total: a late repetition of their receipt must not count again. Kept
-- longer than any queue keeps a message.
CREATE TABLE ledger_folded (
    batch_id  char(24)    PRIMARY KEY,
    receipted boolean     NOT NULL,
    folded_at timestamptz NOT NULL DEFAULT now()
);
-- What ledger_total cannot say by device, of all folded batches; one row.
CREATE TABLE ledger_summary (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    messages    bigint  NOT NULL DEFAULT 0,
    interrupted bigint  NOT NULL DEFAULT 0
);
INSERT INTO ledger_summary DEFAULT VALUES;
