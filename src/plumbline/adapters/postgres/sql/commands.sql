-- Commands to devices.

-- name: target
-- How a registered device is reached, and whether it may be.
SELECT protocol, disabled_at IS NOT NULL FROM devices WHERE device_id = %(device_id)s

-- name: insert
-- Nothing where the caller has used the key before.
INSERT INTO commands (command_id, device_id, protocol, command, params, issued_by,
    idempotency_key, request_hash, issued_at, expires_at)
VALUES (%(command_id)s, %(device_id)s, %(protocol)s, %(command)s, %(params)s, %(issued_by)s,
    %(idempotency_key)s, %(request_hash)s, %(issued_at)s, %(expires_at)s)
ON CONFLICT (issued_by, idempotency_key) DO NOTHING
RETURNING command_id, position, device_id, protocol, command, params, state, detail, issued_by,
    issued_at, expires_at, sent_at, acknowledged_at, failed_at, expired_at, cancelled_at

-- name: by_key
SELECT command_id, position, device_id, protocol, command, params, state, detail, issued_by,
    issued_at, expires_at, sent_at, acknowledged_at, failed_at, expired_at, cancelled_at,
    request_hash
FROM commands WHERE issued_by = %(issued_by)s AND idempotency_key = %(idempotency_key)s

-- name: by_id
SELECT command_id, position, device_id, protocol, command, params, state, detail, issued_by,
    issued_at, expires_at, sent_at, acknowledged_at, failed_at, expired_at, cancelled_at
FROM commands WHERE command_id = %(command_id)s

-- name: of_device
-- Newest first.
SELECT command_id, position, device_id, protocol, command, params, state, detail, issued_by,
    issued_at, expires_at, sent_at, acknowledged_at, failed_at, expired_at, cancelled_at
FROM commands
WHERE device_id = %(device_id)s AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(before)s::bigint IS NULL OR position < %(before)s)
ORDER BY position DESC LIMIT %(limit)s

-- name: lock_relay
-- One relay at a time, so that the queues get commands in the order of their positions.
SELECT pg_try_advisory_xact_lock(hashtext('command_relay'))

-- name: expire_unrelayed
UPDATE commands SET state = 'expired', expired_at = now()
WHERE relayed_at IS NULL AND state = 'queued' AND expires_at <= now()

-- name: unrelayed
-- Locked: nobody cancels them while they go into their queue.
SELECT command_id, position, device_id, protocol, command, params, issued_at, expires_at
FROM commands WHERE relayed_at IS NULL AND state = 'queued'
ORDER BY position LIMIT %(limit)s FOR UPDATE

-- name: mark_relayed
UPDATE commands SET relayed_at = now() WHERE command_id = ANY (%(command_ids)s)

-- name: cancel
-- Takes back what no handler can have: not in its queue yet, or still there and never received.
-- Where the queues are not in this database, only the former.
WITH wanted AS (
    SELECT command_id, relayed_at FROM commands
    WHERE command_id = %(command_id)s AND state = 'queued' FOR UPDATE
), taken_back AS (
    DELETE FROM queue_message m USING wanted, queue q
    WHERE q.name IN ('mqtt-command', 'lorawan-command') AND m.queue_id = q.queue_id
      AND m.deduplication_id = wanted.command_id::text AND m.receive_count = 0
      AND NOT EXISTS (
          SELECT FROM queue_lease l WHERE l.queue_id = q.queue_id AND m.id = ANY (l.message_ids))
    RETURNING m.id
)
UPDATE commands c SET state = 'cancelled', cancelled_at = now()
FROM wanted
WHERE c.command_id = wanted.command_id
  AND (wanted.relayed_at IS NULL OR EXISTS (SELECT FROM taken_back))
RETURNING c.command_id

-- name: lock_receiving
-- No handler receives from the command queues while a command is taken back.
SELECT pg_advisory_xact_lock(hashtext('queue_receive'), queue_id)
FROM queue WHERE name IN ('mqtt-command', 'lorawan-command') ORDER BY queue_id
