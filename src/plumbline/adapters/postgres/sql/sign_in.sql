-- Sessions, API tokens and sign-ins as the portal uses them. Hashes are SHA-256.

-- name: session
-- Who holds the session, unless it has ended. Where the cache knew it (%(cached)s), the cache has
-- kept the idle time; this table does only to the minute, early rather than late.
WITH live AS (
    SELECT s.token_hash, s.last_seen_at, s.expires_at, u.id, u.username, u.role
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.token_hash = %(hash)s AND u.disabled_at IS NULL AND s.expires_at > now()
      AND (%(cached)s OR s.last_seen_at > now() - make_interval(secs => %(idle_s)s))
), seen AS (
    UPDATE sessions SET last_seen_at = now() FROM live
    WHERE sessions.token_hash = live.token_hash
      AND live.last_seen_at < now() - interval '1 minute'
)
SELECT id, username, role, ARRAY['read', 'write'], expires_at FROM live

-- name: api_token
-- Who holds the API token, unless it has ended.
WITH live AS (
    SELECT t.id AS token_id, t.last_used_at, t.scopes, t.expires_at, u.id, u.username, u.role
    FROM api_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = %(hash)s AND u.disabled_at IS NULL
      AND t.expires_at > now() AND t.revoked_at IS NULL
), used AS (
    UPDATE api_tokens SET last_used_at = now() FROM live
    WHERE api_tokens.id = live.token_id
      AND coalesce(live.last_used_at < now() - interval '1 minute', true)
)
SELECT id, username, role, scopes, expires_at FROM live

-- name: attempt
-- All that decides about one attempt to sign in: the user, what failed before, the known browser.
-- Failures older than an hour do not count any more.
WITH failures AS (
    SELECT subject, failures, greatest(0, extract(epoch FROM blocked_until - now()))::float AS wait_s
    FROM sign_in_failures
    WHERE subject IN (%(address)s, %(account)s) AND last_failed_at > now() - interval '1 hour'
), found AS (
    SELECT id, username, password_hash, role, disabled_at IS NOT NULL AS disabled
    FROM users WHERE username = %(username)s
)
SELECT f.id, f.username, f.password_hash, f.role, f.disabled,
    EXISTS (SELECT FROM known_browsers b WHERE b.user_id = f.id AND b.token_hash = %(browser)s),
    coalesce((SELECT failures FROM failures WHERE subject = %(address)s), 0),
    coalesce((SELECT wait_s FROM failures WHERE subject = %(address)s), 0),
    coalesce((SELECT wait_s FROM failures WHERE subject = %(account)s), 0)
FROM (SELECT) AS one LEFT JOIN found f ON true

-- name: failed
-- Counts a failure of each subject, and blocks it for twice as long as the last time; in order, so
-- that two never deadlock. Subjects that have been quiet for a day are forgotten.
WITH forgotten AS (
    DELETE FROM sign_in_failures WHERE subject IN (
        SELECT subject FROM sign_in_failures
        WHERE last_failed_at < now() - interval '1 day' AND subject <> ALL (%(subjects)s)
        LIMIT 10 FOR UPDATE SKIP LOCKED)
)
INSERT INTO sign_in_failures AS old (subject, failures, last_failed_at, blocked_until)
SELECT subject, 1, now(), now() FROM unnest(%(subjects)s::text[]) AS new (subject) ORDER BY subject
ON CONFLICT (subject) DO UPDATE SET
    failures = CASE WHEN old.last_failed_at < now() - interval '1 hour' THEN 1
                    ELSE old.failures + 1 END,
    last_failed_at = now(),
    blocked_until = CASE
        WHEN old.last_failed_at < now() - interval '1 hour'
            OR old.failures + 1 < %(free_failures)s THEN now()
        ELSE now() + make_interval(secs => least(
            %(longest_block_s)s, power(2, least(old.failures + 1 - %(free_failures)s, 30)))) END

-- name: browser_failed
-- A known browser that fails too often is known no more.
WITH counted AS (
    UPDATE known_browsers SET failures = failures + 1
    WHERE token_hash = %(browser)s AND failures + 1 < %(most)s
    RETURNING token_hash
)
DELETE FROM known_browsers
WHERE token_hash = %(browser)s AND failures + 1 >= %(most)s

-- name: signed_in
-- Starts a session; ends the one that the browser had, and old ones of anybody. From now on the
-- browser is known, and what strangers did to the account is forgotten.
WITH ended AS (
    DELETE FROM sessions WHERE token_hash = %(old_session)s
), expired AS (
    DELETE FROM sessions WHERE token_hash IN (
        SELECT token_hash FROM sessions
        WHERE expires_at < now() AND token_hash IS DISTINCT FROM %(old_session)s
        LIMIT 10 FOR UPDATE SKIP LOCKED)
), forgiven AS (
    DELETE FROM sign_in_failures WHERE subject = %(account)s
), known AS (
    INSERT INTO known_browsers (token_hash, user_id) VALUES (%(browser)s, %(user_id)s)
    ON CONFLICT (token_hash) DO UPDATE SET failures = 0, last_used_at = now()
    WHERE known_browsers.user_id = excluded.user_id
), forgotten AS (
    DELETE FROM known_browsers WHERE token_hash IN (
        SELECT token_hash FROM known_browsers
        WHERE last_used_at < now() - interval '180 days' AND token_hash <> %(browser)s
        LIMIT 10 FOR UPDATE SKIP LOCKED)
)
INSERT INTO sessions (token_hash, user_id, expires_at)
SELECT %(session)s, id, now() + make_interval(secs => %(longest_s)s)
FROM users WHERE id = %(user_id)s AND disabled_at IS NULL AND password_hash = %(password_hash)s
RETURNING expires_at

-- name: end_session
DELETE FROM sessions WHERE token_hash = %(hash)s
