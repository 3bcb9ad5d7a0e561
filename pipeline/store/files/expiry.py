"""Expiry of uploaded files: uploads that broke off or never arrived, and files that no post needs.

Each is removed in steps that can be repeated after a crash: the row is marked and committed, which ends every use of
the object; the object is removed from storage; the row is deleted.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection

from pipeline.store.database import execute, read_column
from pipeline.store.posts.pins import select_pinning_posts
from pipeline.store.selection import delete_oldest

_IS_UNSETTLED = "p.deleted_at IS NULL AND d.state NOT IN ('published', 'failed', 'cancelled')"
"""SQL: delivery ``d`` of post ``p`` still needs its media."""


def give_up_puts(c: Connection, older: timedelta, limit: int) -> list[str]:
    """Give up uploads that began so long ago that none can still arrive; return their objects. None can finish now."""
    return read_column(
        c,
        """UPDATE file_puts SET given_up = true WHERE object IN (
               SELECT object FROM file_puts WHERE begun_at < now() - :older ORDER BY begun_at LIMIT :n
               FOR UPDATE SKIP LOCKED)
           RETURNING object""",
        older=older,
        n=limit,
    )


def forget_waiting(c: Connection, older: timedelta, limit: int) -> int:
    """Delete files that were opened this long ago and never uploaded, unless an object of theirs may be in storage."""
    old = """object IS NULL AND created_at < now() - :older
             AND NOT EXISTS (SELECT FROM file_puts u WHERE u.file_id = files.id)"""
    return delete_oldest(c, "files", old, by="created_at", limit=limit, older=older)


def remove_unused(c: Connection, keep: timedelta, limit: int) -> int:
    """Mark files as removed that are older than ``keep``, were not checked within it, and that no unsettled post needs.

    Every use of an uploaded file leaves a check of its URL: posts pin the checks they were accepted with. The posts
    that use a derived file are recorded.
    """
    return execute(
        c,
        f"""UPDATE files SET removed_at = now() WHERE id IN (
               SELECT f.id FROM files f
               WHERE f.object IS NOT NULL AND f.removed_at IS NULL AND f.stored_at < now() - :keep
                 AND NOT EXISTS (
                     SELECT FROM derived_file_uses u JOIN posts p ON p.id = u.post_id
                     JOIN post_deliveries d ON d.post_id = p.id
                     WHERE u.file_id = f.id AND {_IS_UNSETTLED})
                 AND NOT EXISTS (
                     SELECT FROM checks k WHERE k.workspace_id = f.workspace_id
                       AND k.url_sha256 = sha256(convert_to(f.url, 'UTF8')) AND k.verdict IS NULL)
                 AND NOT EXISTS (
                     SELECT FROM checks k WHERE k.workspace_id = f.workspace_id
                       AND k.url_sha256 = sha256(convert_to(f.url, 'UTF8')) AND k.verdict = 'good'
                       AND (k.decided_at > now() - :keep OR EXISTS (
                           SELECT FROM ({select_pinning_posts("k.id")}) pin JOIN posts p ON p.id = pin.post_id
                           JOIN post_deliveries d ON d.post_id = p.id
                           WHERE {_IS_UNSETTLED})))
               ORDER BY f.stored_at LIMIT :n FOR UPDATE SKIP LOCKED)""",
        keep=keep,
        n=limit,
    )


def list_removed_objects(c: Connection, limit: int) -> list[str]:
    """Return objects of removed files, oldest removal first."""
    sql = "SELECT object FROM files WHERE removed_at IS NOT NULL ORDER BY removed_at LIMIT :n"
    return read_column(c, sql, n=limit)


def forget_removed(c: Connection, key: str) -> None:
    """Delete the row of a removed file, unless an upload left another object of it to remove from storage."""
    sql = """DELETE FROM files f WHERE f.object = :object AND f.removed_at IS NOT NULL
               AND NOT EXISTS (SELECT FROM file_puts u WHERE u.file_id = f.id)"""
    execute(c, sql, object=key)
