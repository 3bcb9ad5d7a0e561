"""Erase the rows of a closed workspace, some in each transaction; hashes and dates of its deliveries stay.

Rows go before what they refer to. The foreign keys of the workspace's own row prove that nothing of it is left. What
stays: receipts, which hold no text and are chained by hashes; tombstones; the audit's row of the deletion.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from pipeline.store.database import read_number, row, rows
from pipeline.store.files.expiry import forget_removed
from pipeline.store.files.files import forget_put
from pipeline.store.posts.idempotency import REPEAT

_PICK = """SELECT DISTINCT post_id FROM (
    SELECT d.post_id FROM accounts a JOIN deliveries d ON d.account_id = a.id WHERE a.workspace_id = :w LIMIT :n) d"""
_PICK_BARE = "SELECT id AS post_id FROM posts WHERE workspace_id = :w LIMIT :n"

_BURY = f"""
INSERT INTO tombstones (delivery_id, workspace_id, platform, state, repeat_sha256, fingerprint_sha256, remote_sha256,
                        created_at, due_at, published_at)
SELECT d.id, d.workspace_id, d.platform, d.state,
       CASE WHEN p.external_id IS NOT NULL AND NOT d.is_comment
                 AND (d.armed_at IS NOT NULL OR EXISTS (
                     SELECT FROM attempts t WHERE t.delivery_id = d.id AND t.armed_at IS NOT NULL))
            THEN {REPEAT.format(platform="d.platform", remote_id="a.remote_id", external_id="p.external_id")} END,
       (SELECT sha256(r.fingerprint) FROM replays r WHERE r.post_id = p.id LIMIT 1),
       sha256(convert_to(d.remote_id, 'UTF8')), d.created_at, d.due_at, d.published_at
FROM deliveries d JOIN posts p ON p.id = d.post_id JOIN accounts a ON a.id = d.account_id
WHERE d.post_id = ANY(CAST(:ids AS uuid[]))
ON CONFLICT (delivery_id) DO NOTHING RETURNING delivery_id
"""
_OF_DELIVERIES = (
    *("attempts", "moves", "old_handles", "follow_ups", "discards", "delivery_checks", "paused_deliveries"),
    *("brought_forward", "counted_deliveries", "doubted"),
)
_OF_POSTS = (
    *("post_checks", "rewrites", "undo_log", "post_texts", "replays", "approvals", "derived_file_uses"),
    *("steering_receipts", "deliveries"),
)

_IN_WORKSPACE = "workspace_id = :w"
_OF_KEYS = "key_id IN (SELECT id FROM keys WHERE workspace_id = :w)"
TABLES: Mapping[str, str] = {
    "webhook_events": "webhook_id IN (SELECT id FROM webhooks WHERE workspace_id = :w)",
    "webhooks": _IN_WORKSPACE,
    "occurrences": _IN_WORKSPACE,
    "steering_receipts": "job_id IN (SELECT id FROM steering_jobs WHERE workspace_id = :w)",
    "steering_jobs": _IN_WORKSPACE,
    "steering_counts": _IN_WORKSPACE,
    "import_rows": "import_id IN (SELECT id FROM imports WHERE workspace_id = :w)",
    "imports": f"{_IN_WORKSPACE} AND removed_at IS NOT NULL",
    "import_presets": _IN_WORKSPACE,
    "unsent_forms": _IN_WORKSPACE,
    "approval_links": _IN_WORKSPACE,
    "grants": _IN_WORKSPACE,
    "seen_pauses": "target IN (SELECT id::text FROM accounts WHERE workspace_id = :w)",
    "pauses": "scope = 'account' AND target IN (SELECT id::text FROM accounts WHERE workspace_id = :w)",
    "platform_failures": _IN_WORKSPACE,
    "files": f"{_IN_WORKSPACE} AND object IS NULL AND NOT EXISTS (SELECT FROM file_puts u WHERE u.file_id = files.id)",
    "accounts": _IN_WORKSPACE,
    "host_slots": _IN_WORKSPACE,
    "checks": f"{_IN_WORKSPACE} AND NOT EXISTS (SELECT FROM files f WHERE f.check_id = checks.id)",
    "idempotency_keys": _OF_KEYS,
    "keys": f"""{_IN_WORKSPACE} AND NOT EXISTS (SELECT FROM files f WHERE f.key_id = keys.id)
                AND NOT EXISTS (SELECT FROM imports i WHERE i.key_id = keys.id)""",
    "memberships": _IN_WORKSPACE,
    "settled_counts": _IN_WORKSPACE,
    "post_deltas": _IN_WORKSPACE,
    "post_spans": _IN_WORKSPACE,
    "post_counts": _IN_WORKSPACE,
    "audit": f"{_IN_WORKSPACE} AND NOT (kind = 'workspace' AND verb = 'delete')",
}
"""Table -> its rows of a workspace, in the order in which they go. Posts go before, with their deliveries.

A file and an import go once their bytes are gone, and what they refer to goes after them.
"""


def erase_some(c: Connection, workspace: UUID, limit: int) -> tuple[str, int] | None:
    """Erase up to so many rows of the first table that has some; return its name and their number. None: none has."""
    for pick in (_PICK, _PICK_BARE):
        if posts := [r.post_id for r in rows(c, pick, w=workspace, n=limit)]:
            _erase_posts(c, posts)
            return "posts", len(posts)
    row(c, "SELECT set_config('slipway.audit_expired', 'infinity', true) AS set")
    for table, condition in TABLES.items():
        sql = f"""WITH gone AS (DELETE FROM {table} WHERE ctid = ANY(ARRAY(
                      SELECT ctid FROM {table} WHERE {condition} LIMIT :n)) RETURNING 1 AS one)
                  SELECT count(*) AS n FROM gone"""
        if gone := read_number(c, sql, w=workspace, n=limit):
            return table, gone
    return None


def _erase_posts(c: Connection, posts: list[UUID]) -> None:
    """Leave a tombstone of each delivery, then delete them with all that refers to them."""
    rows(c, "SELECT id FROM posts WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE", ids=posts)
    rows(c, _BURY, ids=posts)
    sql = "SELECT id FROM deliveries WHERE post_id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE"
    deliveries = [r.id for r in rows(c, sql, ids=posts)]
    parts = [
        ("delivery_id", deliveries, _OF_DELIVERIES),
        ("post_id", posts, _OF_POSTS),
        ("id", posts, ("posts",)),
    ]
    for column, ids, tables in parts:
        for table in tables:
            sql = f"DELETE FROM {table} WHERE {column} = ANY(CAST(:ids AS uuid[])) RETURNING 1 AS one"
            rows(c, sql, ids=ids)


def erase_workspace(c: Connection, workspace: UUID) -> bool:
    """Delete the workspace's own row and its pause; False if something that came meanwhile refers to it."""
    try:
        with c.begin_nested():
            rows(c, "DELETE FROM workspaces WHERE id = :w RETURNING id", w=workspace)
    except IntegrityError:
        return False
    rows(c, "DELETE FROM pauses WHERE scope = 'workspace' AND target = :w RETURNING scope", w=str(workspace))
    rows(c, "DELETE FROM seen_pauses WHERE target = :w RETURNING scope", w=str(workspace))
    return True


def list_objects(c: Connection, workspace: UUID, over: timedelta, limit: int) -> list[str]:
    """Mark stored files of a workspace as removed and return the objects to remove, also of its imports and uploads.

    An upload that broke off less than *over* ago may still write: it can no longer finish, and its object goes later.
    """
    rows(
        c,
        """UPDATE file_puts SET given_up = true WHERE NOT given_up AND file_id IN (
               SELECT id FROM files WHERE workspace_id = :w) RETURNING object""",
        w=workspace,
    )
    rows(
        c,
        """UPDATE files SET removed_at = now() WHERE id IN (
               SELECT id FROM files WHERE workspace_id = :w AND object IS NOT NULL AND removed_at IS NULL LIMIT :n)
           RETURNING id""",
        w=workspace,
        n=limit,
    )
    found = rows(
        c,
        """SELECT u.object FROM file_puts u JOIN files f ON f.id = u.file_id
           WHERE f.workspace_id = :w AND u.begun_at < now() - :over
           UNION ALL SELECT object FROM files f WHERE workspace_id = :w AND removed_at IS NOT NULL
             AND NOT EXISTS (SELECT FROM file_puts u WHERE u.file_id = f.id)
           UNION ALL SELECT object FROM imports WHERE workspace_id = :w AND removed_at IS NULL
             AND (size IS NOT NULL OR created_at < now() - :over)
           LIMIT :n""",
        w=workspace,
        over=over,
        n=limit,
    )
    return [r.object for r in found]


def forget_object(c: Connection, key: str) -> None:
    """Delete the record of an object that is gone: that of its upload, or of its file, or note it in its import."""
    forget_put(c, key)
    forget_removed(c, key)
    rows(c, "UPDATE imports SET removed_at = now() WHERE object = :o RETURNING id", o=key)
