-- The account. All statements of one account run in one snapshot.

-- name: begin_snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: summary
SELECT messages, interrupted FROM ledger_summary

-- name: totals
SELECT device_id, received, stored, duplicate, conflict, quarantined, discarded FROM ledger_total

-- name: entries
-- Grouped by batch; folded is NULL for batches that are not in the totals.
SELECT e.batch_id, e.id, e.kind, e.messages, e.counts, e.recorded_at, f.receipted AS folded
FROM ledger_entry e LEFT JOIN ledger_folded f USING (batch_id)
ORDER BY e.batch_id

-- name: queued_messages
-- First the delivery of what parsing sent as a reading; of that, nothing but the body is needed.
SELECT CASE WHEN m.attributes->>'type' = 'reading' THEN m.attributes->>'delivery' END,
       m.message_id, m.group_id, m.body, m.attributes::text, m.sent_at
FROM queue_content m JOIN queue q USING (queue_id)
WHERE q.name = ANY (%(queues)s)

-- name: with_outcome
-- Of the given deliveries, those that have an outcome although a message of theirs is queued. LIMIT:
-- see classify_readings.
SELECT i.delivery_id
FROM unnest(%(device_id)b::text[], %(timestamp)b::timestamptz[], %(delivery_id)b::uuid[])
    AS i (device_id, "timestamp", delivery_id)
CROSS JOIN LATERAL (
    SELECT delivery_id FROM sensor_data
    WHERE device_id = i.device_id AND "timestamp" = i."timestamp"
      AND "timestamp" BETWEEN %(first)b AND %(last)b
    LIMIT 1) s
WHERE s.delivery_id = i.delivery_id
UNION ALL
SELECT delivery_id FROM accounted_delivery WHERE delivery_id = ANY (%(all_delivery_id)b::uuid[])

-- name: lock_folding
-- One at a time. Others may write meanwhile: only entries that were read are deleted.
SELECT pg_advisory_xact_lock(hashtext('ledger_fold'))

-- name: add_totals
INSERT INTO ledger_total AS t (
    device_id, received, stored, duplicate, conflict, quarantined, discarded)
SELECT * FROM unnest(
    %(device_id)s::text[], %(received)s::bigint[], %(stored)s::bigint[], %(duplicate)s::bigint[],
    %(conflict)s::bigint[], %(quarantined)s::bigint[], %(discarded)s::bigint[])
ON CONFLICT (device_id) DO UPDATE SET
    received = t.received + excluded.received, stored = t.stored + excluded.stored,
    duplicate = t.duplicate + excluded.duplicate, conflict = t.conflict + excluded.conflict,
    quarantined = t.quarantined + excluded.quarantined,
    discarded = t.discarded + excluded.discarded

-- name: add_folded
INSERT INTO ledger_folded (batch_id, receipted)
SELECT * FROM unnest(%(batch_id)s::text[], %(receipted)s::boolean[])
ON CONFLICT DO NOTHING

-- name: add_summary
UPDATE ledger_summary
SET messages = messages + %(messages)s, interrupted = interrupted + %(interrupted)s

-- name: delete_entries
DELETE FROM ledger_entry WHERE id = ANY (%(ids)s)
