"""The statements of `pair`, in PostgreSQL's own form. `$1` is the site's name, where nothing else is said."""

# ruff: noqa: S608 - the only text that is put in is _NOW

from __future__ import annotations

from typing import Final

_NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

THERE: Final = "SELECT to_regclass('site_daemons')::text"
DAEMONS: Final = "SELECT * FROM site_daemons WHERE site = $1"
CLAIM: Final = (
    "INSERT INTO site_claims (site, fence, instance, taken_at_ms) VALUES ($1, 0, '', 0)"
    " ON CONFLICT DO NOTHING"
)
JOIN: Final = (
    "INSERT INTO site_daemons"
    " (site, instance, boot_id, app, host, pbx, acting, ready, detail, partly, seen_at_ms)"
    f" VALUES ($1, $2, $3, $4, $5, $6, false, false, 'starting', 0, {_NOW})"
    " ON CONFLICT (site, instance) DO UPDATE SET (boot_id, app, host, pbx, acting, ready, detail, partly,"
    " seen_at_ms) = (excluded.boot_id, excluded.app, excluded.host, excluded.pbx, false, false,"
    " excluded.detail, 0, excluded.seen_at_ms)"
)
PEER: Final = (
    "SELECT instance, boot_id, app, host, pbx, acting, ready, detail, partly,"
    f" {_NOW} - seen_at_ms AS age_ms FROM site_daemons WHERE site = $1 AND instance <> $2"
    # Of a third one's row only the newer counts.
    " ORDER BY acting DESC, seen_at_ms DESC LIMIT 1"
)
SAY: Final = (
    f"UPDATE site_daemons SET seen_at_ms = {_NOW}, acting = false, ready = $4, detail = $5, partly = $6,"
    " pbx = $7 WHERE site = $1 AND instance = $2 AND boot_id = $3 RETURNING 1"
)
# Waits for whoever is taking the site at this moment, and then sees the new fence.
HOLD: Final = (
    "WITH claim AS MATERIALIZED (SELECT fence, switch_asked FROM site_claims WHERE site = $1 FOR SHARE)"
    f" UPDATE site_daemons SET seen_at_ms = {_NOW}, acting = true, ready = $5, detail = $6, partly = $7,"
    " pbx = $8 FROM claim WHERE site = $1 AND instance = $2 AND boot_id = $3 AND claim.fence = $4"
    " RETURNING claim.switch_asked"
)
TRY_LOCK: Final = "SELECT pg_try_advisory_lock($1::int, hashtext($2))"
UNLOCK: Final = "SELECT pg_advisory_unlock($1::int, hashtext($2))"
# `$1` is the lock's first number, `$2` the site.
HOLDER: Final = (
    "SELECT a.application_name AS name, host(a.client_addr) AS address,"
    " to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SSOF') AS since"
    " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_database d ON d.oid = l.database"
    " WHERE l.locktype = 'advisory' AND l.classid::bigint = $1 AND l.granted"
    " AND l.objid::bigint = hashtext($2)::bigint & 4294967295 AND d.datname = current_database()"
)
# `$1` is the name of the connections.
HANG_UP: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = $1 AND datname = current_database() AND usename = current_user"
)
CLOSED: Final = "SELECT fence FROM site_claims WHERE site = $1 FOR UPDATE"
ACTING: Final = (
    "SELECT count(*) FROM site_daemons WHERE site = $1 AND instance <> $2 AND acting"
    f" AND {_NOW} - seen_at_ms <= $3"
)
TAKE: Final = (
    "WITH others AS (UPDATE site_daemons SET acting = false WHERE site = $1 AND instance <> $2),"
    f" own AS (UPDATE site_daemons SET acting = true, seen_at_ms = {_NOW}"
    " WHERE site = $1 AND instance = $2 AND boot_id = $3)"
    f" UPDATE site_claims SET fence = fence + 1, instance = $2, taken_at_ms = {_NOW}, switch_asked = NULL"
    " WHERE site = $1 RETURNING fence"
)
RELEASE: Final = "UPDATE site_daemons SET acting = false WHERE site = $1 AND instance = $2 AND boot_id = $3"
LEAVE: Final = "DELETE FROM site_daemons WHERE site = $1 AND instance = $2 AND boot_id = $3"
