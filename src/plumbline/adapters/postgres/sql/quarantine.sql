-- What an operator does with refused messages.

-- name: list
-- Newest first.
SELECT q.id, q.delivery_id, q.device_id, q.topic, q.reason, q.detail, q.item, q.received_at,
       q.created_at, q.replayed_at, coalesce(p.size, 0)::int, coalesce(p.parts, 0) = q.parts
FROM quarantine q
LEFT JOIN LATERAL (
    SELECT sum(length(raw)) AS size, count(*) AS parts
    FROM quarantine_part WHERE delivery_id = q.delivery_id) p ON true
WHERE (%(device_id)s::text IS NULL OR q.device_id = %(device_id)s)
  AND (%(reason)s::text IS NULL OR q.reason = %(reason)s)
  AND (%(before)s::bigint IS NULL OR q.id < %(before)s)
ORDER BY q.id DESC
LIMIT %(limit)s

-- name: show
SELECT q.id, q.delivery_id, q.device_id, q.topic, q.reason, q.detail, q.item, q.received_at,
       q.created_at, q.replayed_at, length(p.raw), p.parts = q.parts, p.raw
FROM quarantine q
CROSS JOIN LATERAL (
    SELECT coalesce(string_agg(raw, ''::bytea ORDER BY part), ''::bytea) AS raw, count(*) AS parts
    FROM quarantine_part WHERE delivery_id = q.delivery_id) p
WHERE q.id = ANY (%(ids)s)
ORDER BY q.id

-- name: lock_for_replay
-- A replay under way elsewhere keeps its entries.
SELECT id FROM quarantine WHERE id = ANY (%(ids)s) AND replayed_at IS NULL
FOR UPDATE SKIP LOCKED

-- name: mark_replayed
UPDATE quarantine SET replayed_at = now() WHERE id = ANY (%(ids)s)

-- name: purge
-- Their deliveries stay accounted for, so a repetition by a queue is still known as one.
WITH purged AS (
    DELETE FROM quarantine
    WHERE (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s))
      AND (%(device_id)s::text IS NULL OR device_id = %(device_id)s)
      AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    RETURNING delivery_id),
parts AS (
    DELETE FROM quarantine_part p USING purged WHERE p.delivery_id = purged.delivery_id),
settled AS (
    INSERT INTO settled_delivery (delivery_id) SELECT delivery_id FROM purged
    ON CONFLICT DO NOTHING)
SELECT count(*) FROM purged
