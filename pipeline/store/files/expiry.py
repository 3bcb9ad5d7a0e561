"""Which uploaded files are over: uploads that broke off or never came, and files that nothing needs any more.

Each is taken in two steps, so that a crash between them is only work to do again: first the row says so, committed,
and nobody can use the object any more; then the object is removed from storage; then the row goes.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection

from pipeline.store.database import row, rows


def give_up_puts(c: Connection, older: timedelta, limit: int) -> list[str]:
    """Objects of uploads that began so long ago that none of them is still coming: nothing can finish them now."""
    found = rows(
        c,
        """UPDATE file_puts SET given_up = true WHERE object IN (
               SELECT object FROM file_puts WHERE begun_at < now() - :older ORDER BY begun_at LIMIT :n
               FOR UPDATE SKIP LOCKED)
           RETURNING object""",
        older=older,
        n=limit,
    )
    return [r.object for r in found]


def forget_waiting(c: Connection, older: timedelta, limit: int) -> int:
    """Drops uploads that were opened so long ago and never came; those with something in storage wait for that."""
    found = rows(
        c,
        """DELETE FROM files WHERE id IN (
               SELECT f.id FROM files f WHERE f.object IS NULL AND f.created_at < now() - :older
                 AND NOT EXISTS (SELECT FROM file_puts u WHERE u.file_id = f.id)
               ORDER BY f.created_at LIMIT :n FOR UPDATE SKIP LOCKED)
           RETURNING id""",
        older=older,
        n=limit,
    )
    return len(found)


def remove_unused(c: Connection, keep: timedelta, limit: int) -> int:
    """Takes files out of use that are older than ``keep``, were not looked at since, and that no unsettled post needs.

    A check of the file's URL is the trace of every use: posts pin the checks they were accepted on.
    """
    found = rows(
        c,
        """UPDATE files SET removed_at = now() WHERE id IN (
               SELECT f.id FROM files f
               WHERE f.object IS NOT NULL AND f.removed_at IS NULL AND f.stored_at < now() - :keep
                 AND NOT EXISTS (
                     SELECT FROM checks k WHERE k.workspace_id = f.workspace_id
                       AND k.url_sha256 = sha256(convert_to(f.url, 'UTF8')) AND k.verdict IS NULL)
                 AND NOT EXISTS (
                     SELECT FROM checks k WHERE k.workspace_id = f.workspace_id
                       AND k.url_sha256 = sha256(convert_to(f.url, 'UTF8')) AND k.verdict = 'good'
                       AND (k.decided_at > now() - :keep OR EXISTS (
                           SELECT FROM post_checks pc JOIN posts p ON p.id = pc.post_id
                           JOIN deliveries d ON d.post_id = p.id
                           WHERE pc.check_id = k.id AND p.deleted_at IS NULL
                             AND d.state NOT IN ('published', 'failed', 'cancelled'))))
               ORDER BY f.stored_at LIMIT :n FOR UPDATE SKIP LOCKED)
           RETURNING id""",
        keep=keep,
        n=limit,
    )
    return len(found)


def removed_objects(c: Connection, limit: int) -> list[str]:
    """Objects of files that are out of use."""
    found = rows(
        c, "SELECT object FROM files WHERE removed_at IS NOT NULL ORDER BY removed_at LIMIT :n", n=limit
    )
    return [r.object for r in found]


def forget_removed(c: Connection, key: str) -> None:
    """The object of a file out of use is gone: so is its row, unless an upload of it left something else to clean."""
    row(
        c,
        """DELETE FROM files f WHERE f.object = :object AND f.removed_at IS NOT NULL
             AND NOT EXISTS (SELECT FROM file_puts u WHERE u.file_id = f.id) RETURNING f.id""",
        object=key,
    )
