-- name: report_times_in_utc
SET TIME ZONE 'UTC'

-- name: find
SELECT queue_id FROM queue WHERE name = %(name)s

-- name: find_source
-- A dead-letter queue and the queue whose messages it takes.
SELECT dlq.queue_id, source.queue_id
FROM queue dlq JOIN queue source ON source.dead_letter_queue_id = dlq.queue_id
WHERE dlq.name = %(name)s

-- name: lock_receiving
-- Keeps consumers and other operators away; a statement of its own, see queue.sql.
SELECT pg_advisory_xact_lock(hashtext('queue_receive'), %(queue_id)s)

-- name: lock_sending
-- The last lock of a transaction, see queue.sql.
SELECT pg_advisory_xact_lock(hashtext('queue_send'), %(queue_id)s)

-- name: lock_purging
-- One purge at a time: two that delete copies of one delivery would each leave it to the other.
SELECT pg_advisory_xact_lock(hashtext('queue_purge'))

-- name: peek
SELECT message_id::text, body, attributes::text, group_id, deduplication_id,
    CASE WHEN queue.fifo THEN id::text END, sent_at, coalesce(first_received_at, sent_at),
    receive_count
FROM queue_message JOIN queue USING (queue_id)
WHERE queue_id = %(queue_id)s
ORDER BY id LIMIT %(limit)s

-- name: redrive
-- In order, as new messages of their old queue; no consumer may have them in flight.
WITH moved AS (
    DELETE FROM queue_message
    WHERE queue_id = %(queue_id)s
        AND (%(message_ids)s::text[] IS NULL OR message_id::text = ANY (%(message_ids)s::text[]))
        AND id NOT IN (
            SELECT unnest(message_ids) FROM queue_lease
            WHERE queue_id = %(queue_id)s AND visible_at > clock_timestamp())
    RETURNING *
)
INSERT INTO queue_message
    (queue_id, message_id, sent_at, group_id, deduplication_id, attributes, body)
SELECT %(source_id)s, message_id, sent_at, group_id, deduplication_id, attributes, body
FROM moved ORDER BY id

-- name: notify
SELECT pg_notify(%(channel)s, '')

-- name: purge_chunk
WITH chosen AS (
    SELECT id FROM queue_message
    WHERE queue_id = %(queue_id)s
        AND (%(message_ids)s::text[] IS NULL OR message_id::text = ANY (%(message_ids)s::text[]))
        AND id NOT IN (
            SELECT unnest(message_ids) FROM queue_lease
            WHERE queue_id = %(queue_id)s AND visible_at > clock_timestamp())
    ORDER BY id LIMIT %(limit)s
)
DELETE FROM queue_message AS message USING chosen
WHERE message.queue_id = %(queue_id)s AND message.id = chosen.id
RETURNING message_id::text, body, attributes::text, group_id, sent_at

-- name: settle
-- Settles the deliveries that have no outcome, so that none can get a second one. A delivery of
-- which another message is in a queue is left to that message.
INSERT INTO settled_delivery (delivery_id)
SELECT purged.delivery_id
FROM unnest(%(delivery_ids)s::uuid[], %(device_ids)s::text[], %(observed)s::timestamptz[])
    AS purged (delivery_id, device_id, observed_at)
WHERE NOT EXISTS (
        SELECT FROM accounted_delivery AS known WHERE known.delivery_id = purged.delivery_id)
    AND NOT EXISTS (
        SELECT FROM sensor_data AS stored
        WHERE stored.device_id = purged.device_id AND stored."timestamp" = purged.observed_at
            AND stored.delivery_id = purged.delivery_id)
    AND purged.delivery_id::text NOT IN (
        SELECT attributes->>'delivery' FROM queue_message WHERE attributes->>'delivery' IS NOT NULL)
ON CONFLICT DO NOTHING
RETURNING delivery_id

-- name: record_discarded
INSERT INTO ledger_entry (batch_id, kind, counts)
VALUES (%(batch_id)s, 'outcome', %(counts)s::jsonb)

-- name: record_receipt
-- A receipt is the account itself: it is entered, not discarded. See 0001_initial.sql for batches
-- already folded.
INSERT INTO ledger_entry (batch_id, kind, messages, counts)
SELECT %(batch_id)s, 'receipt', %(messages)s, %(counts)s::jsonb
WHERE NOT EXISTS (SELECT FROM ledger_folded WHERE batch_id = %(batch_id)s)
ON CONFLICT DO NOTHING
