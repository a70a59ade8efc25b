-- Commands to devices. A command is a row first; a relay then puts it into the queue of its
-- protocol, in the order of position, with the command's id against doubles. So a command that was
-- accepted is sent, whatever stops between the two.
--
-- state moves forwards only: queued -> sent -> acknowledged | failed | expired, and from queued to
-- any of these and to cancelled. Each has its time.
CREATE TABLE commands (
    command_id      uuid        PRIMARY KEY,
    position        bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    device_id       varchar(50) NOT NULL,
    protocol        text        NOT NULL CHECK (protocol IN ('mqtt', 'lorawan')),
    command         text        NOT NULL,
    params          jsonb       NOT NULL,
    state           text        NOT NULL DEFAULT 'queued' CHECK (
        state IN ('queued', 'sent', 'acknowledged', 'failed', 'expired', 'cancelled')),
    detail          text        NOT NULL DEFAULT '',
    issued_by       text        NOT NULL,
    -- Of the caller, and a hash of what was asked with it: a repetition gives the same command.
    idempotency_key text,
    request_hash    bytea       NOT NULL,
    issued_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    -- When the queue of its protocol had accepted it.
    relayed_at      timestamptz,
    sent_at         timestamptz,
    acknowledged_at timestamptz,
    failed_at       timestamptz,
    expired_at      timestamptz,
    cancelled_at    timestamptz,
    UNIQUE (issued_by, idempotency_key),
    CHECK (expires_at > issued_at)
);
CREATE INDEX idx_commands_device ON commands (device_id, position);
CREATE INDEX idx_commands_unrelayed ON commands (position)
    WHERE relayed_at IS NULL AND state = 'queued';
