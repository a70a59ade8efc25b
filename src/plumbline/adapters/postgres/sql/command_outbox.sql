-- Commands on their way into their queues. Of one device only one is on its way: what waits here can
-- be taken back, and expires to the moment.

-- name: lock
-- One relay at a time, so that the queues get commands in the order of their positions.
SELECT pg_try_advisory_xact_lock(hashtext('command_relay'))

-- name: due
-- What there is to do, by position; locked, so that nobody cancels meanwhile. What another
-- transaction holds is left to the next look.
--
-- expires: its time is over; or was over for so long that no answer is under way any more.
-- withdraws: expired at a network server that does not look at times, where a later uplink would
-- still fetch it. Before the device's next command, which would be withdrawn with it.
-- relays: the first of its device, but for those whose time is over.
WITH open AS (
    SELECT c.*, d.network_server, d.dev_eui, d.application, d.tenant, d.network_device_id,
        d.sensor_model, d.disabled_at,
        c.expires_at <= now() AS over,
        coalesce(d.network_server, '') = 'things-stack' AND c.relayed_at IS NOT NULL
            AND c.withdrawn_at IS NULL AS withdrawable
    FROM commands c LEFT JOIN devices d USING (device_id)
    WHERE c.ended_at IS NULL
), judged AS (
    SELECT *,
        over AND (
            state = 'queued' AND relayed_at IS NULL
            OR expires_at <= now() - make_interval(secs => %(grace_s)s)) AS expires,
        over AND withdrawable AS withdraws,
        state = 'queued' AND relayed_at IS NULL AND disabled_at IS NULL
            AND (next_attempt_at IS NULL OR next_attempt_at <= now())
            AND position = min(position) FILTER (WHERE NOT over OR withdrawable)
                OVER (PARTITION BY device_id) AS relays
    FROM open
)
SELECT j.command_id, j.device_id, j.protocol, j.command, j.params, j.issued_at, j.expires_at,
    j.attempts, j.state, j.dev_eui, j.network_server, j.application, j.tenant,
    j.network_device_id, j.sensor_model, j.expires, j.withdraws, NOT j.over AND j.relays
FROM judged j JOIN commands c USING (command_id)
WHERE (j.expires OR j.withdraws OR NOT j.over AND j.relays)
  -- Not what another transaction has changed since.
  AND c.state = j.state AND c.ended_at IS NULL
  AND c.relayed_at IS NOT DISTINCT FROM j.relayed_at
ORDER BY j.position LIMIT %(limit)s FOR UPDATE OF c SKIP LOCKED

-- name: expire
UPDATE commands SET state = 'expired', expired_at = now(), ended_at = now(), detail = i.detail
FROM unnest(%(command_ids)s::uuid[], %(details)s::text[]) AS i (command_id, detail)
WHERE commands.command_id = i.command_id

-- name: mark_withdrawn
UPDATE commands SET withdrawn_at = now() WHERE command_id = ANY (%(command_ids)s)

-- name: mark_relayed
UPDATE commands
SET relayed_at = now(), attempts = attempts + 1, next_attempt_at = NULL, detail = ''
WHERE command_id = ANY (%(command_ids)s)

-- name: next_due
-- Seconds until something is to be done without anybody's notification; null for never.
SELECT extract(epoch FROM min(at) - clock_timestamp())::double precision
FROM commands, LATERAL (VALUES
    (expires_at), (expires_at + make_interval(secs => %(grace_s)s)), (next_attempt_at)) due (at)
WHERE ended_at IS NULL AND at > now()

-- name: listen
LISTEN plumbline_commands
