"""Derived files: images that were made to fit a platform, from a file whose SHA-256 a check found.

A derived file is a row of ``files`` with ``source_sha256``, named by a hash of source and rule. It counts to no quota
and is in no list. It is kept while a post that uses it is unsettled; one that storage has lost is made again.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import new_id, row
from pipeline.store.files.files import COLUMNS, Content, File, begin_put


def open_derived(
    c: Connection,
    *,
    workspace: UUID,
    post: UUID,
    name: str,
    url: str,
    content_type: str,
    source_sha256: bytes,
) -> File:
    """Return the derived file of this name for a post to use, new if there is none; ``object`` None: it is not made."""
    row(
        c,
        """INSERT INTO files (id, workspace_id, name, url, content_type, source_sha256)
           VALUES (:id, :w, :name, :url, :type, :sha) ON CONFLICT (name) DO NOTHING RETURNING id""",
        id=new_id(),
        w=workspace,
        name=name,
        url=url,
        type=content_type,
        sha=source_sha256,
    )
    # locked, so that it is not removed as unused before the use is committed
    found = row(
        c,
        f"""SELECT {COLUMNS}, removed_at IS NOT NULL AS is_removed FROM files
            WHERE name = :name AND workspace_id = :w AND source_sha256 IS NOT NULL FOR SHARE""",
        name=name,
        w=workspace,
    )
    if found is None:
        raise LookupError(f"There is no derived file {name}.")
    row(
        c,
        """INSERT INTO derived_file_uses (file_id, post_id) VALUES (:id, :post)
           ON CONFLICT DO NOTHING RETURNING file_id""",
        id=found.id,
        post=post,
    )
    fields = {key: value for key, value in found._mapping.items() if key != "is_removed"}
    gone = {"object": None, "size": None, "sha256": None} if found.is_removed else {}
    return File(**{**fields, **gone})


def finish_derived(c: Connection, file: UUID, content: Content, lost: str | None) -> bool:
    """Make an object the content of a derived file; False if another process was faster.

    ``lost``: the object that storage no longer has. It, or an object that was not taken, is removed later.
    """
    found = row(c, "SELECT object, removed_at FROM files WHERE id = :id FOR UPDATE", id=file)
    if found is None or (found.object is not None and found.removed_at is None and found.object != lost):
        return False
    taken = row(
        c,
        "DELETE FROM file_puts WHERE object = :object AND NOT given_up RETURNING object",
        object=content.object,
    )
    if taken is None:
        return False
    if found.object is not None:
        begin_put(c, file, found.object)
    row(
        c,
        """UPDATE files SET object = :object, size = :size, sha256 = :sha, stored_at = clock_timestamp(),
                  removed_at = NULL WHERE id = :id RETURNING id""",
        object=content.object,
        size=content.size,
        sha=content.sha256,
        id=file,
    )
    return True
