-- Queues with SQS semantics. Messages are immutable on the way: inserted and deleted, and updated
-- only after a receive that ended without a deletion. A batch costs one insert, one read and one
-- delete.

CREATE TABLE queue (
    queue_id             smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                 text     NOT NULL UNIQUE,
    fifo                 boolean  NOT NULL,
    visibility_timeout_s double precision NOT NULL,
    max_receive_count    integer,
    dead_letter_queue_id smallint REFERENCES queue
);

-- Ids are given and become visible in the order of sending (one lock a queue serialises its sends),
-- so a consumer may start its search at the first message it saw last time.
CREATE TABLE queue_message (
    queue_id          smallint    NOT NULL,
    id                bigint      GENERATED ALWAYS AS IDENTITY,
    message_id        uuid        NOT NULL DEFAULT gen_random_uuid(),
    sent_at           timestamptz NOT NULL DEFAULT statement_timestamp(),
    first_received_at timestamptz,
    -- Receives that ended without a deletion; the receive under way is its lease.
    receive_count     integer     NOT NULL DEFAULT 0,
    group_id          text,
    deduplication_id  text,
    attributes        json        NOT NULL,
    body              text        NOT NULL,
    PRIMARY KEY (queue_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_vacuum_cost_delay = 0);

-- One row a receive: the messages in flight together, in id order. A part that gets another time
-- becomes a row of its own with the same receipt_id, which is what the receipt handles name. Gone
-- when all are deleted, or by the first receive after the time is up.
CREATE TABLE queue_lease (
    lease_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receipt_id  uuid        NOT NULL DEFAULT gen_random_uuid(),
    queue_id    smallint    NOT NULL,
    holder      text        NOT NULL,
    received_at timestamptz NOT NULL,
    visible_at  timestamptz NOT NULL,
    message_ids bigint[]    NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX idx_queue_lease_receipt ON queue_lease (receipt_id);

-- Ids of the last five minutes; they outlive their messages.
CREATE TABLE queue_deduplication (
    queue_id         smallint    NOT NULL,
    deduplication_id text        NOT NULL,
    sent_at          timestamptz NOT NULL,
    PRIMARY KEY (queue_id, deduplication_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX idx_queue_deduplication_sent ON queue_deduplication (queue_id, sent_at);
