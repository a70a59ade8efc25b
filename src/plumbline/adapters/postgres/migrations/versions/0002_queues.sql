-- Queues with SQS semantics. Messages are immutable: they are inserted and deleted, never updated on
-- the way, so that a batch costs one insert, one read and one delete.

CREATE TABLE queue (
    queue_id             smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                 text     NOT NULL UNIQUE,
    fifo                 boolean  NOT NULL,
    visibility_timeout_s double precision NOT NULL,
    max_receive_count    integer,
    dead_letter_queue_id smallint REFERENCES queue,
    -- Monotonic counts, changed in the same transaction as the messages.
    sent                 bigint   NOT NULL DEFAULT 0
);

CREATE TABLE queue_message (
    queue_id          smallint    NOT NULL,
    id                bigint      GENERATED ALWAYS AS IDENTITY,
    message_id        uuid        NOT NULL,
    group_id          text,
    deduplication_id  text,
    body              text        NOT NULL,
    attributes        jsonb       NOT NULL,
    sent_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    first_received_at timestamptz,
    -- Receives that ended without a deletion; the receive under way is its lease.
    receive_count     integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (queue_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_vacuum_cost_delay = 0);

-- One row a receive: the messages in flight together. Gone when all are deleted or the time is up.
CREATE TABLE queue_lease (
    lease_id    uuid        PRIMARY KEY,
    queue_id    smallint    NOT NULL,
    holder      text        NOT NULL,
    visible_at  timestamptz NOT NULL,
    message_ids bigint[]    NOT NULL
);

CREATE TABLE queue_deduplication (
    queue_id         smallint    NOT NULL,
    deduplication_id text        NOT NULL,
    message_id       uuid        NOT NULL,
    sent_at          timestamptz NOT NULL,
    PRIMARY KEY (queue_id, deduplication_id)
);
CREATE INDEX idx_queue_deduplication_sent ON queue_deduplication USING brin (sent_at);
