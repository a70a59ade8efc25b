-- Commands to devices, as whoever issues them sees them.

-- name: target
-- How a registered device is reached, and whether it may be.
SELECT protocol, disabled_at IS NOT NULL, dev_eui, network_server, application, tenant,
    network_device_id, sensor_model, uplink_interval_s, device_class
FROM devices WHERE device_id = %(device_id)s

-- name: insert
-- Nothing where the caller has used the key before.
INSERT INTO commands (command_id, device_id, protocol, command, params, issued_by,
    idempotency_key, request_hash, issued_at, expires_at)
VALUES (%(command_id)s, %(device_id)s, %(protocol)s, %(command)s, %(params)s, %(issued_by)s,
    %(idempotency_key)s, %(request_hash)s, %(issued_at)s, %(expires_at)s)
ON CONFLICT (issued_by, idempotency_key) DO NOTHING
RETURNING command_id, position, device_id, protocol, command, params, state, attempts, detail,
    issued_by, issued_at, expires_at, sent_at, transmitted_at, acknowledged_at, failed_at,
    expired_at, cancelled_at, ended_at

-- name: by_key
SELECT command_id, position, device_id, protocol, command, params, state, attempts, detail,
    issued_by, issued_at, expires_at, sent_at, transmitted_at, acknowledged_at, failed_at,
    expired_at, cancelled_at, ended_at, request_hash
FROM commands WHERE issued_by = %(issued_by)s AND idempotency_key = %(idempotency_key)s

-- name: by_id
SELECT command_id, position, device_id, protocol, command, params, state, attempts, detail,
    issued_by, issued_at, expires_at, sent_at, transmitted_at, acknowledged_at, failed_at,
    expired_at, cancelled_at, ended_at
FROM commands WHERE command_id = %(command_id)s

-- name: newest
-- Newest first; of one device, or of all.
SELECT command_id, position, device_id, protocol, command, params, state, attempts, detail,
    issued_by, issued_at, expires_at, sent_at, transmitted_at, acknowledged_at, failed_at,
    expired_at, cancelled_at, ended_at
FROM commands
WHERE (%(device_id)s::text IS NULL OR device_id = %(device_id)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(before)s::bigint IS NULL OR position < %(before)s)
ORDER BY position DESC LIMIT %(limit)s

-- name: cancel
-- Takes back what no handler can have: not in its queue, or still there and never received. Where the
-- queues are not in this database, only the former.
WITH wanted AS (
    SELECT command_id, relayed_at, attempts FROM commands
    WHERE command_id = %(command_id)s AND state = 'queued' FOR UPDATE
), taken_back AS (
    DELETE FROM queue_message m USING wanted, queue q
    WHERE q.name IN ('mqtt-command', 'lorawan-command') AND m.queue_id = q.queue_id
      AND m.deduplication_id = wanted.command_id
          || CASE WHEN attempts > 1 THEN '.' || attempts ELSE '' END
      AND m.receive_count = 0
      AND NOT EXISTS (
          SELECT FROM queue_lease l WHERE l.queue_id = q.queue_id AND m.id = ANY (l.message_ids))
    RETURNING m.id
)
UPDATE commands c SET state = 'cancelled', cancelled_at = now(), ended_at = now()
FROM wanted
WHERE c.command_id = wanted.command_id
  AND (wanted.relayed_at IS NULL OR EXISTS (SELECT FROM taken_back))
RETURNING c.command_id

-- name: lock_receiving
-- No handler receives from the command queues while a command is taken back.
SELECT pg_advisory_xact_lock(hashtext('queue_receive'), queue_id)
FROM queue WHERE name IN ('mqtt-command', 'lorawan-command') ORDER BY queue_id
