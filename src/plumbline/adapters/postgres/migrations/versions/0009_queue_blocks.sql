-- Many messages that were sent together are kept as one row: they are received together and deleted
-- together, mostly, and then a message costs no row, no index entry and no dead tuple. As soon as
-- anything happens to a part of it, its messages become rows of queue_message, with the same ids.

-- Messages first_id to first_id + messages - 1, none received before. content is a JSON array of
-- [group id, deduplication id, attributes, body]; a message's id is the first 24 digits of identity
-- and its index in 8.
CREATE TABLE queue_block (
    queue_id smallint    NOT NULL,
    first_id bigint      NOT NULL,
    messages integer     NOT NULL CHECK (messages BETWEEN 1 AND 1000),
    identity uuid        NOT NULL DEFAULT gen_random_uuid(),
    sent_at  timestamptz NOT NULL DEFAULT statement_timestamp(),
    content  text        NOT NULL,
    PRIMARY KEY (queue_id, first_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
        autovacuum_vacuum_cost_delay = 0, toast.autovacuum_vacuum_scale_factor = 0,
        toast.autovacuum_vacuum_threshold = 20000, toast.autovacuum_vacuum_cost_delay = 0);
-- They live for a second: compressing them costs more than writing them.
ALTER TABLE queue_block ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE queue_lease ALTER COLUMN message_ids SET STORAGE EXTERNAL;

-- Room for the ids of a block behind each id that is given.
ALTER TABLE queue_message ALTER COLUMN id SET INCREMENT BY 1000;

-- Ids that were sent in one block, and their bounds: two blocks with a common id overlap.
CREATE TABLE queue_deduplication_block (
    queue_id          smallint    NOT NULL,
    least             text        NOT NULL,
    greatest          text        NOT NULL,
    sent_at           timestamptz NOT NULL,
    deduplication_ids text[]      NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX idx_queue_deduplication_block_greatest
    ON queue_deduplication_block (queue_id, greatest);
CREATE INDEX idx_queue_deduplication_block_sent ON queue_deduplication_block (queue_id, sent_at);

-- Every message of every queue, however it is kept.
CREATE VIEW queue_content AS
SELECT queue_id, id, message_id, sent_at, first_received_at, receive_count, group_id,
    deduplication_id, attributes, body
FROM queue_message
UNION ALL
SELECT block.queue_id, block.first_id + message.place - 1,
    overlay(block.identity::text PLACING lpad(to_hex(message.place - 1), 8, '0') FROM 29)::uuid,
    block.sent_at, NULL, 0, message.item->>0, message.item->>1, message.item->2, message.item->>3
FROM queue_block AS block
CROSS JOIN LATERAL json_array_elements(block.content::json)
    WITH ORDINALITY AS message (item, place);
