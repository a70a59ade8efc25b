-- Users of the portal, their sessions and API tokens, and what was done by whom. Tokens are stored
-- as SHA-256 of 256 random bits: what is here opens nothing.

CREATE TABLE users (
    id                  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username            text        NOT NULL UNIQUE,
    password_hash       text        NOT NULL,
    role                text        NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    password_changed_at timestamptz NOT NULL DEFAULT now(),
    disabled_at         timestamptz,
    CHECK (username ~ '^[a-z0-9][a-z0-9._@-]{0,63}$'),
    CHECK (role IN ('viewer', 'operator', 'admin'))
);

-- The truth about sessions; Redis holds copies. A session that was ended has no row.
CREATE TABLE sessions (
    token_hash   bytea       PRIMARY KEY,
    user_id      bigint      NOT NULL REFERENCES users,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    CHECK (octet_length(token_hash) = 32)
);
CREATE INDEX idx_sessions_user ON sessions (user_id);
CREATE INDEX idx_sessions_expires ON sessions (expires_at);

CREATE TABLE api_tokens (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint      NOT NULL REFERENCES users,
    name         text        NOT NULL,
    token_hash   bytea       NOT NULL UNIQUE,
    scopes       text[]      NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    CHECK (octet_length(token_hash) = 32),
    CHECK (scopes <@ '{read,write}' AND scopes <> '{}')
);
CREATE INDEX idx_api_tokens_user ON api_tokens (user_id);

-- Browsers from which a user has signed in: what others do to the account does not slow them down.
CREATE TABLE known_browsers (
    token_hash   bytea       PRIMARY KEY,
    user_id      bigint      NOT NULL REFERENCES users,
    failures     integer     NOT NULL DEFAULT 0,
    last_used_at timestamptz NOT NULL DEFAULT now(),
    CHECK (octet_length(token_hash) = 32)
);
CREATE INDEX idx_known_browsers_user ON known_browsers (user_id);

-- Failed sign-ins by subject: 'address …' or 'account …' (also of names that nobody has).
CREATE TABLE sign_in_failures (
    subject        text        PRIMARY KEY,
    failures       integer     NOT NULL,
    last_failed_at timestamptz NOT NULL,
    blocked_until  timestamptz NOT NULL
);
CREATE INDEX idx_sign_in_failures_time ON sign_in_failures (last_failed_at);

-- Only grows. No reference to users: an entry outlives whatever it speaks of.
CREATE TABLE audit_log (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    actor      text        NOT NULL,
    via        text        NOT NULL,
    action     text        NOT NULL,
    target     text,
    address    text,
    request_id text,
    detail     jsonb       NOT NULL DEFAULT '{}',
    CHECK (via IN ('session', 'token', 'cli', 'none'))
);
CREATE INDEX idx_audit_log_at ON audit_log (at);

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log only grows' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_log_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
