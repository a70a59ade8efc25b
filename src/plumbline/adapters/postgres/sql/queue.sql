-- name: prepare_session
-- A queue's length changes faster than its statistics. Told an old length, the planner would rather
-- collect a whole queue and sort it than read its first messages by the index; without bitmap scans
-- it cannot. Nor may a wrong estimate start the compiler.
SELECT set_config('TimeZone', 'UTC', false), set_config('enable_bitmapscan', 'off', false),
    set_config('jit', 'off', false)

-- name: find
SELECT queue_id, fifo FROM queue WHERE name = %(name)s

-- name: declare_update
UPDATE queue
SET fifo = %(fifo)s, visibility_timeout_s = %(visibility_timeout_s)s,
    max_receive_count = %(max_receive_count)s,
    dead_letter_queue_id = (SELECT dlq.queue_id FROM queue dlq WHERE dlq.name = %(dead_letter_queue)s)
WHERE name = %(name)s

-- name: declare_insert
-- Not ON CONFLICT: that would use up an identity value at each declaration.
INSERT INTO queue (name, fifo, visibility_timeout_s, max_receive_count, dead_letter_queue_id)
SELECT %(name)s, %(fifo)s, %(visibility_timeout_s)s, %(max_receive_count)s,
    (SELECT dlq.queue_id FROM queue dlq WHERE dlq.name = %(dead_letter_queue)s)

-- name: lock_declaring
SELECT pg_advisory_xact_lock(hashtext('queue_declare'))

-- name: lock_sending
-- Held until the commit is visible, so that ids become visible in their order. A transaction takes
-- this lock after all its others, which keeps moves between queues free of deadlocks.
SELECT pg_advisory_xact_lock(hashtext('queue_send'), %(queue_id)s)

-- name: lock_receiving
-- A statement of its own: the next one's snapshot then sees the leases of whoever held the lock.
SELECT pg_advisory_xact_lock(hashtext('queue_receive'), %(queue_id)s)

-- name: insert_standard
INSERT INTO queue_message (queue_id, attributes, body)
SELECT %(queue_id)s, attributes::json, body
FROM unnest(%(attributes)b::text[], %(bodies)b::text[]) WITH ORDINALITY
    AS message (attributes, body, position)
ORDER BY position

-- name: insert_fifo
-- Remembers the deduplication ids and stores the messages whose id was not remembered. An id older
-- than five minutes counts as forgotten, whether or not its row has been removed.
WITH fresh AS (
    INSERT INTO queue_deduplication AS known (queue_id, deduplication_id, sent_at)
    SELECT %(queue_id)s, id, statement_timestamp()
    FROM unnest(%(deduplication_ids)b::text[]) AS id
    WHERE NOT EXISTS (
        SELECT FROM queue_deduplication_block AS block
        WHERE block.queue_id = %(queue_id)s AND block.greatest >= id AND block.least <= id
            AND id = ANY (block.deduplication_ids)
            AND block.sent_at > statement_timestamp() - interval '5 minutes')
    ON CONFLICT (queue_id, deduplication_id) DO UPDATE SET sent_at = excluded.sent_at
        WHERE known.sent_at <= excluded.sent_at - interval '5 minutes'
    RETURNING deduplication_id
)
INSERT INTO queue_message (queue_id, group_id, deduplication_id, attributes, body)
SELECT %(queue_id)s, group_id, deduplication_id, attributes::json, body
FROM unnest(
        %(group_ids)b::text[], %(deduplication_ids)b::text[], %(attributes)b::text[],
        %(bodies)b::text[]
    ) WITH ORDINALITY AS message (group_id, deduplication_id, attributes, body, position)
WHERE deduplication_id IN (SELECT deduplication_id FROM fresh)
ORDER BY position

-- name: insert_block
-- The sequence leaves as many ids free behind each as a block may hold.
INSERT INTO queue_block (queue_id, first_id, messages, content)
VALUES (%(queue_id)s, nextval(pg_get_serial_sequence('queue_message', 'id')), %(messages)s,
    %(content)s)

-- name: is_any_known
-- Whether any of the ids is remembered; only what lies between their bounds is read.
WITH sent AS MATERIALIZED (
    SELECT unnest(%(deduplication_ids)b::text[]) AS id
), bounds AS MATERIALIZED (
    SELECT min(id) AS least, max(id) AS greatest FROM sent
), known AS MATERIALIZED (
    SELECT deduplication_id AS id FROM queue_deduplication
    WHERE queue_id = %(queue_id)s AND sent_at > statement_timestamp() - interval '5 minutes'
        AND deduplication_id
            BETWEEN (SELECT least FROM bounds) AND (SELECT greatest FROM bounds)
    UNION ALL
    SELECT unnest(deduplication_ids) FROM queue_deduplication_block
    WHERE queue_id = %(queue_id)s AND sent_at > statement_timestamp() - interval '5 minutes'
        AND greatest >= (SELECT least FROM bounds) AND least <= (SELECT greatest FROM bounds)
)
SELECT EXISTS (SELECT FROM known WHERE id IN (SELECT id FROM sent))

-- name: remember_block
INSERT INTO queue_deduplication_block (queue_id, least, greatest, sent_at, deduplication_ids)
SELECT %(queue_id)s, min(id), max(id), statement_timestamp(), %(deduplication_ids)b::text[]
FROM unnest(%(deduplication_ids)b::text[]) AS id

-- name: forget_blocks
DELETE FROM queue_deduplication_block
WHERE queue_id = %(queue_id)s AND sent_at <= statement_timestamp() - interval '5 minutes'

-- name: forget_deduplication
-- Removes the oldest ids that are past their five minutes. The search starts where the last one
-- ended, not at the index entries of what has been removed.
WITH forgotten AS (
    DELETE FROM queue_deduplication
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM queue_deduplication
        WHERE queue_id = %(queue_id)s AND sent_at >= %(since)s
            AND sent_at <= statement_timestamp() - interval '5 minutes'
        ORDER BY sent_at LIMIT %(limit)s))
    RETURNING sent_at
)
SELECT count(*), coalesce(max(sent_at), %(since)s) FROM forgotten

-- name: notify
SELECT pg_notify(%(channel)s, '')

-- name: end_leases
-- Closes the leases whose time is up.
DELETE FROM queue_lease
WHERE queue_id = %(queue_id)s AND visible_at <= clock_timestamp()
RETURNING received_at, message_ids

-- name: count_receive
-- For what is left of an ended lease. Here and below the bounds keep the scan short, whatever the
-- planner thinks of the list.
UPDATE queue_message
SET receive_count = receive_count + 1,
    first_received_at = coalesce(first_received_at, %(received_at)s)
WHERE queue_id = %(queue_id)s AND id BETWEEN %(first_id)s AND %(last_id)s
    AND id = ANY (%(ids)b::bigint[])

-- name: dead_letter_queue
SELECT dead_letter_queue_id FROM queue
WHERE queue_id = %(queue_id)s AND max_receive_count IS NOT NULL

-- name: move_exhausted
-- Moves what was received too often to the dead-letter queue, in order and with all it carries.
WITH exhausted AS (
    DELETE FROM queue_message AS message USING queue
    WHERE queue.queue_id = %(queue_id)s AND message.queue_id = %(queue_id)s
        AND message.id BETWEEN %(first_id)s AND %(last_id)s
        AND message.id = ANY (%(ids)b::bigint[])
        AND message.receive_count >= queue.max_receive_count
    RETURNING message.*
)
INSERT INTO queue_message (queue_id, message_id, sent_at, first_received_at, receive_count,
    group_id, deduplication_id, attributes, body)
SELECT %(dead_letter_queue_id)s, message_id, sent_at, first_received_at, receive_count,
    group_id, deduplication_id, attributes, body
FROM exhausted ORDER BY id

-- name: pick_in_order
-- Leases the first rows and blocks that are free, as many as have no more messages than the limit
-- and none behind max_bytes. Nothing where a FIFO queue has anything in flight: then somebody must look at the groups. The
-- search starts at the first message that was there last time: the index entries of what was deleted
-- since the last vacuum would otherwise be passed by every receive.
WITH leased AS MATERIALIZED (
    SELECT unnest(message_ids) AS id FROM queue_lease WHERE queue_id = %(queue_id)s
), entry AS MATERIALIZED (
    (SELECT id, 1 AS messages, message_id, sent_at, first_received_at, receive_count, group_id,
        deduplication_id, attributes, body, NULL AS content
     FROM queue_message
     WHERE queue_id = %(queue_id)s AND id >= %(first_id)s AND id NOT IN (SELECT id FROM leased)
     ORDER BY id LIMIT %(limit)s)
    UNION ALL
    (SELECT first_id, messages, identity, sent_at, NULL, 0, NULL, NULL, NULL, NULL, content
     FROM queue_block
     WHERE queue_id = %(queue_id)s AND first_id >= %(first_id)s
        AND first_id NOT IN (SELECT id FROM leased)
     ORDER BY first_id LIMIT %(limit)s)
), picked AS MATERIALIZED (
    SELECT * FROM (
        SELECT *, sum(messages) OVER (ORDER BY id) AS up_to,
            sum(pg_column_size(coalesce(body, content))) OVER (
                ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
        FROM entry
    ) AS counted
    WHERE up_to <= %(limit)s AND coalesce(bytes_before, 0) < %(max_bytes)s AND NOT (%(fifo)s AND EXISTS (SELECT FROM leased))
), lease AS (
    INSERT INTO queue_lease (queue_id, holder, received_at, visible_at, message_ids)
    SELECT queue_id, %(holder)s, statement_timestamp(), statement_timestamp()
            + make_interval(secs => coalesce(%(visibility_s)s, visibility_timeout_s)),
        (SELECT array_agg(message ORDER BY message)
         FROM picked, generate_series(id, id + messages - 1) AS message)
    FROM queue WHERE queue_id = %(queue_id)s AND EXISTS (SELECT FROM picked)
    RETURNING receipt_id, received_at
)
SELECT content, receipt_id::text, id, message_id::text, body, attributes::text, group_id,
    deduplication_id, sent_at, coalesce(first_received_at, received_at), receive_count + 1,
    least(
        (SELECT id FROM queue_message
         WHERE queue_id = %(queue_id)s AND id >= %(first_id)s ORDER BY id LIMIT 1),
        (SELECT first_id FROM queue_block
         WHERE queue_id = %(queue_id)s AND first_id >= %(first_id)s ORDER BY first_id LIMIT 1))
FROM lease, picked ORDER BY id

-- name: first_free_block
SELECT first_id FROM queue_block
WHERE queue_id = %(queue_id)s AND first_id NOT IN (
    SELECT unnest(message_ids) FROM queue_lease WHERE queue_id = %(queue_id)s)
ORDER BY first_id LIMIT 1

-- name: leased_blocks
SELECT first_id FROM queue_block
WHERE queue_id = %(queue_id)s AND first_id IN (
    SELECT unnest(message_ids) FROM queue_lease WHERE queue_id = %(queue_id)s)

-- name: blocks_between
-- Those with any of the ids from the first to the last.
SELECT first_id, messages FROM queue_block
WHERE queue_id = %(queue_id)s AND first_id <= %(last_id)s AND first_id + messages > %(first_id)s
ORDER BY first_id

-- name: unpack_blocks
-- Makes rows of their messages.
WITH block AS (
    DELETE FROM queue_block
    WHERE queue_id = %(queue_id)s AND first_id = ANY (%(first_ids)b::bigint[])
    RETURNING *
)
INSERT INTO queue_message
    (queue_id, id, message_id, sent_at, group_id, deduplication_id, attributes, body)
OVERRIDING SYSTEM VALUE
SELECT queue_id, first_id + place - 1,
    overlay(identity::text PLACING lpad(to_hex(place - 1), 8, '0') FROM 29)::uuid,
    sent_at, item->>0, item->>1, item->2, item->>3
FROM block CROSS JOIN LATERAL json_array_elements(content::json)
    WITH ORDINALITY AS message (item, place)

-- name: delete_blocks
DELETE FROM queue_block
WHERE queue_id = %(queue_id)s AND first_id = ANY (%(first_ids)b::bigint[])

-- name: pick
-- Leases the first messages that are free and before every block that is: a block that is sent
-- meanwhile holds back what was sent with it, as both are seen or neither. On a FIFO queue a group of
-- which any message is leased is not free.
WITH leased AS MATERIALIZED (
    SELECT unnest(message_ids) AS id FROM queue_lease WHERE queue_id = %(queue_id)s
), busy AS MATERIALIZED (
    SELECT DISTINCT message.group_id
    FROM leased, LATERAL (
        SELECT group_id FROM queue_message
        WHERE queue_id = %(queue_id)s AND id = leased.id
        OFFSET 0  -- looked up one by one, never joined with the whole queue
    ) AS message
    WHERE %(fifo)s
), free AS MATERIALIZED (
    SELECT * FROM queue_message
    WHERE queue_id = %(queue_id)s AND id >= %(first_id)s AND id NOT IN (SELECT id FROM leased)
        AND (NOT %(fifo)s OR group_id NOT IN (SELECT group_id FROM busy))
        AND id < coalesce(
            (SELECT first_id FROM queue_block
             WHERE queue_id = %(queue_id)s AND first_id NOT IN (SELECT id FROM leased)
             ORDER BY first_id LIMIT 1),
            9223372036854775807)
    ORDER BY id LIMIT %(limit)s
), picked AS MATERIALIZED (
    SELECT * FROM (
        SELECT *, sum(pg_column_size(body)) OVER (
            ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
        FROM free
    ) AS counted
    WHERE coalesce(bytes_before, 0) < %(max_bytes)s
), lease AS (
    INSERT INTO queue_lease (queue_id, holder, received_at, visible_at, message_ids)
    SELECT queue_id, %(holder)s, statement_timestamp(), statement_timestamp()
            + make_interval(secs => coalesce(%(visibility_s)s, visibility_timeout_s)),
        (SELECT array_agg(id ORDER BY id) FROM picked)
    FROM queue WHERE queue_id = %(queue_id)s AND EXISTS (SELECT FROM picked)
    RETURNING receipt_id, received_at
)
SELECT receipt_id::text, picked.id, message_id::text, body, attributes::text, group_id,
    deduplication_id, sent_at, coalesce(first_received_at, received_at), receive_count + 1
FROM lease, picked ORDER BY picked.id

-- name: next_lease_end
-- Seconds until a lease of the queue ends; null where there is none.
SELECT extract(epoch FROM min(visible_at) - clock_timestamp())::double precision
FROM queue_lease WHERE queue_id = %(queue_id)s

-- name: open_leases
-- What is in flight under a receipt.
SELECT lease_id, message_ids FROM queue_lease
WHERE receipt_id = %(receipt_id)s AND queue_id = %(queue_id)s AND visible_at > clock_timestamp()
ORDER BY lease_id FOR UPDATE

-- name: close_lease
DELETE FROM queue_lease WHERE lease_id = %(lease_id)s

-- name: shrink_lease
UPDATE queue_lease SET message_ids = %(ids)b::bigint[] WHERE lease_id = %(lease_id)s

-- name: lease_on
-- Messages of a lease, from now on under a lease of their own.
INSERT INTO queue_lease (receipt_id, queue_id, holder, received_at, visible_at, message_ids)
SELECT receipt_id, queue_id, holder, received_at,
    clock_timestamp() + make_interval(secs => %(visibility_s)s), %(ids)b::bigint[]
FROM queue_lease WHERE lease_id = %(lease_id)s

-- name: delete_messages
DELETE FROM queue_message
WHERE queue_id = %(queue_id)s AND id BETWEEN %(first_id)s AND %(last_id)s
    AND id = ANY (%(ids)b::bigint[])

-- name: release
UPDATE queue_lease SET visible_at = clock_timestamp()
WHERE queue_id = %(queue_id)s AND holder = %(holder)s

-- name: depth
-- Exact, so it counts. A lease whose time is up holds nothing, whether or not it has been closed.
WITH leased AS (
    SELECT coalesce(sum(cardinality(message_ids)), 0)::bigint AS in_flight FROM queue_lease
    WHERE queue_id = %(queue_id)s AND visible_at > clock_timestamp()
), waiting AS (
    SELECT (SELECT count(*) FROM queue_message WHERE queue_id = %(queue_id)s)
        + (SELECT coalesce(sum(messages), 0)::bigint FROM queue_block
           WHERE queue_id = %(queue_id)s) AS messages
)
SELECT messages - in_flight, in_flight,
    extract(epoch FROM clock_timestamp() - least(
        (SELECT sent_at FROM queue_message
         WHERE queue_id = %(queue_id)s ORDER BY id LIMIT 1),
        (SELECT sent_at FROM queue_block
         WHERE queue_id = %(queue_id)s ORDER BY first_id LIMIT 1)))::double precision
FROM leased, waiting

-- name: find_source
-- A dead-letter queue and the queue whose messages it takes.
SELECT dlq.queue_id, source.queue_id
FROM queue dlq JOIN queue source ON source.dead_letter_queue_id = dlq.queue_id
WHERE dlq.name = %(name)s

-- name: lock_purging
-- One purge at a time: two that delete copies of one delivery would each leave it to the other.
SELECT pg_advisory_xact_lock(hashtext('queue_purge'))

-- name: peek
-- The columns of pick, without a lease.
SELECT '', id, message_id::text, body, attributes::text, group_id, deduplication_id,
    sent_at, coalesce(first_received_at, sent_at), receive_count
FROM queue_content WHERE queue_id = %(queue_id)s
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

-- name: choose_purged
-- What no consumer has in flight.
SELECT id FROM queue_message
WHERE queue_id = %(queue_id)s
    AND (%(message_ids)s::text[] IS NULL OR message_id::text = ANY (%(message_ids)s::text[]))
    AND id NOT IN (
        SELECT unnest(message_ids) FROM queue_lease
        WHERE queue_id = %(queue_id)s AND visible_at > clock_timestamp())
ORDER BY id LIMIT %(limit)s

-- name: purge
-- Returns the columns of pick, without a lease.
DELETE FROM queue_message
WHERE queue_id = %(queue_id)s AND id BETWEEN %(first_id)s AND %(last_id)s
    AND id = ANY (%(ids)b::bigint[])
RETURNING '', id, message_id::text, body, attributes::text, group_id, deduplication_id,
    sent_at, coalesce(first_received_at, sent_at), receive_count

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
    AND NOT EXISTS (
        SELECT FROM queue_content AS copy
        WHERE copy.attributes->>'delivery' = purged.delivery_id::text)
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
