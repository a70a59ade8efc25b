-- What is kept for a time only. Every age is longer than any queue keeps a message (14 days), so
-- that a repetition is still known as one.

-- name: prune_duplicates
DELETE FROM reading_duplicate WHERE created_at < %(before)s

-- name: prune_conflicts
DELETE FROM reading_conflict WHERE created_at < %(before)s

-- name: prune_quarantine
WITH pruned AS (
    DELETE FROM quarantine WHERE created_at < %(before)s RETURNING delivery_id),
parts AS (
    DELETE FROM quarantine_part p USING pruned WHERE p.delivery_id = pruned.delivery_id)
SELECT count(*) FROM pruned

-- name: prune_events
DELETE FROM device_event WHERE created_at < %(before)s

-- name: prune_commands
-- With their events. Those at no end are kept: each of them expires, and then has one.
DELETE FROM commands WHERE ended_at < %(before)s

-- name: prune_settled
DELETE FROM settled_delivery WHERE settled_at < %(before)s

-- name: prune_folded
DELETE FROM ledger_folded WHERE folded_at < %(before)s
