-- What becomes of commands: events of the handlers and answers of the devices come through the same
-- pipeline as readings, in any order and repeated. Of one device only one command is on its way; the
-- others wait here.

ALTER TABLE commands
    -- How many times it was put into its queue; relayed_at is empty again where nobody was there to
    -- take it, until it is tried again.
    ADD COLUMN attempts        integer NOT NULL DEFAULT 0,
    ADD COLUMN next_attempt_at timestamptz,
    -- Whether the device will answer; known once it was sent.
    ADD COLUMN confirmed       boolean,
    -- LoRaWAN: when a gateway had sent it by radio.
    ADD COLUMN transmitted_at  timestamptz,
    -- The Things Stack: when it was taken out of the network server's queue, having expired there.
    ADD COLUMN withdrawn_at    timestamptz,
    -- Since when nothing more is expected of it: acknowledged, failed, expired or cancelled; or sent
    -- and transmitted, where the device does not answer.
    ADD COLUMN ended_at        timestamptz;

UPDATE commands SET ended_at = coalesce(acknowledged_at, failed_at, expired_at, cancelled_at, now())
WHERE state NOT IN ('queued', 'sent');

ALTER TABLE commands
    ADD CONSTRAINT commands_ended CHECK (state IN ('queued', 'sent') OR ended_at IS NOT NULL);

DROP INDEX idx_commands_unrelayed;
-- What is not at its end: few, however many commands there have been.
CREATE INDEX idx_commands_open ON commands (device_id, position) WHERE ended_at IS NULL;
CREATE INDEX idx_commands_ended ON commands USING brin (ended_at);

-- Each event once. A device's answer has its delivery's id, so that the ledger can tell a repetition
-- by a queue from a second answer; a handler's has {command_id}.{attempt}.{event}.
CREATE TABLE command_event (
    event_id    text        PRIMARY KEY,
    command_id  uuid        NOT NULL REFERENCES commands ON DELETE CASCADE,
    event       text        NOT NULL CHECK (event IN (
        'sent', 'undelivered', 'expired', 'transmitted', 'acknowledged', 'failed')),
    attempt     integer     NOT NULL,
    detail      text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    delivery_id uuid        UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now()
);
-- The second equal answer to a command is a duplicate. Also finds a command's events.
CREATE UNIQUE INDEX idx_command_event_answer ON command_event (command_id, event)
    WHERE delivery_id IS NOT NULL;
CREATE INDEX idx_command_event_command ON command_event (command_id, occurred_at);

CREATE OR REPLACE VIEW accounted_delivery AS
    SELECT delivery_id FROM reading_duplicate
    UNION ALL SELECT delivery_id FROM reading_conflict
    UNION ALL SELECT delivery_id FROM quarantine
    UNION ALL SELECT delivery_id FROM settled_delivery
    UNION ALL SELECT delivery_id FROM command_event WHERE delivery_id IS NOT NULL;

-- Wakes whoever relays commands: one was added, one is at its end, or one waits for another attempt.
CREATE FUNCTION notify_commands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('plumbline_commands', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER commands_added AFTER INSERT ON commands
    FOR EACH STATEMENT EXECUTE FUNCTION notify_commands();
CREATE TRIGGER commands_moved AFTER UPDATE OF ended_at, relayed_at ON commands
    FOR EACH ROW WHEN (
        OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL
        OR OLD.relayed_at IS NOT NULL AND NEW.relayed_at IS NULL)
    EXECUTE FUNCTION notify_commands();
