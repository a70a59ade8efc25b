-- Users and API tokens as an operator manages them.

-- name: add_user
-- Adds the user unless the name is taken.
INSERT INTO users (username, password_hash, role) VALUES (%(username)s, %(hash)s, %(role)s)
ON CONFLICT (username) DO NOTHING

-- name: select_users
SELECT username, role, created_at, password_changed_at, disabled_at FROM users ORDER BY username

-- name: set_password
UPDATE users SET password_hash = %(hash)s, password_changed_at = now()
WHERE username = %(username)s

-- name: lock_admins
-- Those who may sign in. Locked, so that two changes at once do not each leave the other's admin.
SELECT username FROM users WHERE role = 'admin' AND disabled_at IS NULL ORDER BY id FOR UPDATE

-- name: lock_role
SELECT role FROM users WHERE username = %(username)s FOR UPDATE

-- name: set_role
UPDATE users SET role = %(role)s WHERE username = %(username)s

-- name: set_disabled
-- Disabling twice keeps the first moment.
UPDATE users SET disabled_at = CASE WHEN %(disabled)s THEN coalesce(disabled_at, now()) END
WHERE username = %(username)s

-- name: password_hash
SELECT password_hash FROM users WHERE username = %(username)s AND disabled_at IS NULL

-- name: end_sessions
-- Ends all sessions of a user.
DELETE FROM sessions
WHERE user_id = (SELECT id FROM users WHERE username = %(username)s)
RETURNING token_hash

-- name: forget_browsers
-- No browser of the user is known any more.
DELETE FROM known_browsers WHERE user_id = (SELECT id FROM users WHERE username = %(username)s)

-- name: token_hashes
SELECT token_hash FROM api_tokens
WHERE user_id = (SELECT id FROM users WHERE username = %(username)s) AND revoked_at IS NULL

-- name: add_token
-- Adds nothing where there is no such user.
INSERT INTO api_tokens (user_id, name, token_hash, scopes, expires_at)
SELECT id, %(name)s, %(hash)s, %(scopes)s, %(expires_at)s FROM users WHERE username = %(username)s
RETURNING id

-- name: select_tokens
-- All of them, or one.
SELECT t.id, u.username, t.name, t.scopes, t.created_at, t.expires_at, t.last_used_at, t.revoked_at
FROM api_tokens t JOIN users u ON u.id = t.user_id
WHERE %(id)s::bigint IS NULL OR t.id = %(id)s
ORDER BY t.id

-- name: revoke_token
-- Revoking twice keeps the first moment.
UPDATE api_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = %(id)s
RETURNING token_hash

-- name: audit
-- Who did what to what, from where.
INSERT INTO audit_log (actor, via, action, target, address, request_id, detail)
VALUES (%(actor)s, %(via)s, %(action)s, %(target)s, %(address)s, %(request_id)s, %(detail)s)
