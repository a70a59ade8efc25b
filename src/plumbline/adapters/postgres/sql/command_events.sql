-- What was heard of commands, as the store of readings takes it in.

-- name: lock
-- The events' commands, and who may answer for each. In the order of position, in which every
-- transaction locks commands.
SELECT c.command_id, c.device_id, d.dev_eui, d.application, d.tenant, d.network_device_id
FROM commands c LEFT JOIN devices d USING (device_id)
WHERE c.command_id = ANY (%(command_id)b::uuid[])
ORDER BY c.position FOR UPDATE OF c

-- name: insert
-- Not again what is known: by its id, or as the same answer to the same command.
INSERT INTO command_event (
    event_id, command_id, event, attempt, detail, occurred_at, delivery_id)
SELECT * FROM unnest(
    %(event_id)b::text[], %(command_id)b::uuid[], %(event)b::text[], %(attempt)b::int[],
    %(detail)b::text[], %(occurred_at)b::timestamptz[],
    %(delivery_id)b::text[]::uuid[])
ON CONFLICT DO NOTHING
RETURNING event_id

-- name: settle
-- Deliveries that are accounted for without a row of their own.
INSERT INTO settled_delivery (delivery_id) SELECT unnest(%(delivery_id)b::uuid[])
ON CONFLICT DO NOTHING

-- name: apply
-- Moves the commands of new events, whose rows are locked, forwards. What has ended stays as it is,
-- but for the times that become known later. An attempt that nobody took makes a command wait
-- again, for 5 seconds, doubled with each, 5 minutes at most; the word of an attempt may be here
-- before the relay has noted that it made it.
WITH folded AS (
    SELECT command_id,
        min(occurred_at) FILTER (WHERE event = 'sent') AS sent_at,
        min(occurred_at) FILTER (WHERE event = 'transmitted') AS transmitted_at,
        min(occurred_at) FILTER (WHERE event = 'acknowledged') AS acknowledged_at,
        min(occurred_at) FILTER (WHERE event = 'failed') AS failed_at,
        min(occurred_at) FILTER (WHERE event = 'expired') AS expired_at,
        bool_and(confirmed) FILTER (WHERE event = 'sent') AS confirmed,
        (array_agg(event ORDER BY occurred_at, event)
            FILTER (WHERE event IN ('acknowledged', 'failed', 'expired')))[1] AS final,
        (array_agg(detail ORDER BY occurred_at, event)
            FILTER (WHERE event IN ('acknowledged', 'failed', 'expired')))[1] AS final_detail,
        max(attempt) FILTER (WHERE event = 'undelivered') AS undelivered,
        (array_agg(detail ORDER BY attempt DESC)
            FILTER (WHERE event = 'undelivered'))[1] AS undelivered_detail
    FROM unnest(
        %(command_id)b::uuid[], %(event)b::text[], %(attempt)b::int[], %(detail)b::text[],
        %(occurred_at)b::timestamptz[], %(confirmed)b::int[]::boolean[])
        AS new (command_id, event, attempt, detail, occurred_at, confirmed)
    GROUP BY command_id
), known AS (
    SELECT c.command_id, f.final, f.final_detail, f.undelivered, f.undelivered_detail,
        c.ended_at IS NOT NULL AS ended,
        f.acknowledged_at IS NOT NULL AS answered,
        least(c.sent_at, f.sent_at) AS sent_at,
        least(c.transmitted_at, f.transmitted_at) AS transmitted_at,
        least(c.acknowledged_at, f.acknowledged_at) AS acknowledged_at,
        least(c.failed_at, f.failed_at) AS failed_at,
        least(c.expired_at, f.expired_at) AS expired_at,
        coalesce(f.confirmed, c.confirmed) AS confirmed,
        f.undelivered > c.attempts OR f.undelivered = c.attempts AND c.relayed_at IS NOT NULL
            AS unmet
    FROM commands c JOIN folded f USING (command_id)
), moved AS (
    SELECT *,
        CASE WHEN ended THEN 'ended'
             WHEN final IS NOT NULL THEN final
             WHEN transmitted_at IS NOT NULL AND NOT confirmed THEN 'unconfirmed'
             WHEN coalesce(sent_at, transmitted_at) IS NOT NULL THEN 'sent'
             WHEN unmet THEN 'undelivered'
        END AS step
    FROM known
)
UPDATE commands c SET
    state = CASE
        WHEN step IN ('acknowledged', 'failed', 'expired') THEN step
        WHEN step IN ('unconfirmed', 'sent') THEN 'sent'
        ELSE c.state END,
    detail = CASE
        WHEN step IN ('acknowledged', 'failed', 'expired') THEN final_detail
        WHEN step = 'unconfirmed' THEN 'transmitted; the device does not confirm this command'
        WHEN step = 'sent' THEN ''
        WHEN step = 'undelivered' THEN undelivered_detail
        WHEN step = 'ended' AND answered AND c.state IN ('failed', 'expired')
            THEN 'acknowledged by the device all the same, too late to count'
        ELSE c.detail END,
    ended_at = CASE
        WHEN step IN ('acknowledged', 'failed', 'expired', 'unconfirmed') THEN now()
        ELSE c.ended_at END,
    sent_at = m.sent_at, transmitted_at = m.transmitted_at, acknowledged_at = m.acknowledged_at,
    failed_at = m.failed_at, expired_at = m.expired_at, confirmed = m.confirmed,
    relayed_at = CASE WHEN step = 'undelivered' THEN NULL ELSE c.relayed_at END,
    attempts = CASE WHEN step = 'undelivered' THEN undelivered ELSE c.attempts END,
    next_attempt_at = CASE
        WHEN step = 'undelivered'
            THEN now() + least(interval '5 s' * 2 ^ least(undelivered - 1, 10), interval '5 min')
        ELSE c.next_attempt_at END
FROM moved m WHERE c.command_id = m.command_id
