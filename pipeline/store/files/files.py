"""Files: open an upload, finish it once; find, list and count a workspace's files; derived pictures.

Every object that may be in storage has a row in ``file_puts`` before its first byte, or in ``files`` once it is
complete, so cleaning up after a crash needs no listing of the storage.

A derived file is an image that was made to fit a platform, from a file whose SHA-256 a check found: a row of ``files``
with ``source_sha256``, named by a hash of source and rule. It counts to no quota and is in no list. It is kept while a
post that uses it is unsettled; one that storage has lost is made again.

A thumbnail is a row with ``check_id``, which ``thumbnails.py`` has alone: nothing here finds, lists or counts it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.auth.keys import Caller
from pipeline.store.database import (
    build,
    execute,
    find_value,
    insert,
    list_columns,
    new_id,
    read_column,
    read_number,
    require_row,
    require_value,
    row,
    rows,
)
from pipeline.store.deliveries.ownership import restrict_files
from pipeline.store.selection import equal, find, select, where, where_given

Ending = Literal["stored", "same", "other", "gone", "full"]
"""How an upload ended.

``stored``: the file is complete; ``same``, ``other``: it already was, with the same or other bytes; ``gone``: the
upload was given up; ``full``: the workspace's quota is exceeded.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """An uploaded file; ``object``, ``size`` and ``sha256`` are None until the upload is finished."""

    id: UUID
    workspace_id: UUID
    name: str
    url: str
    content_type: str
    filename: str | None
    created_at: datetime
    object: str | None
    size: int | None
    """Bytes."""
    sha256: bytes | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """The content of an upload."""

    object: str
    size: int
    """Bytes."""
    sha256: bytes


_STORED = where("object IS NOT NULL AND removed_at IS NULL AND check_id IS NULL")
_UPLOADED = _STORED & where("source_sha256 IS NULL")


def open_file(
    c: Connection,
    *,
    workspace: UUID,
    key: UUID | None,
    name: str,
    url: str,
    content_type: str,
    filename: str | None,
    identity: UUID | None = None,
) -> UUID:
    """Create a file whose content is still to be uploaded, and return its id."""
    identity = identity or new_id()
    insert(
        c,
        "files",
        id=identity,
        workspace_id=workspace,
        key_id=key,
        name=name,
        url=url,
        content_type=content_type,
        filename=filename,
    )
    return identity


def count_waiting_uploads(c: Connection, workspace: UUID, within: timedelta) -> int:
    """Count the uploads of a workspace that were opened within this time and are not finished."""
    return read_number(
        c,
        """SELECT count(*) AS n FROM files WHERE workspace_id = :w AND object IS NULL
             AND source_sha256 IS NULL AND check_id IS NULL AND created_at > now() - :within""",
        w=workspace,
        within=within,
    )


def sum_bytes(c: Connection, workspace: UUID) -> int:
    """Return the size of all uploaded files and imports of a workspace, in bytes."""
    return read_number(
        c,
        """SELECT coalesce(sum(size), 0) AS used FROM (
               SELECT size FROM files
               WHERE workspace_id = :w AND removed_at IS NULL AND source_sha256 IS NULL AND check_id IS NULL
               UNION ALL SELECT size FROM imports WHERE workspace_id = :w AND removed_at IS NULL) stored""",
        w=workspace,
    )


def find_upload(c: Connection, identity: UUID) -> File | None:
    """Return the file of an upload URL, or None."""
    return find(c, File, "files", equal(id=identity) & where("removed_at IS NULL"))


def begin_put(c: Connection, identity: UUID, key: str) -> None:
    """Record that an object may be in storage from now on."""
    insert(c, "file_puts", object=key, file_id=identity)


def finish_put(c: Connection, file: File, content: Content, quota: int) -> Ending:
    """Finish an upload: make the object the file's content, unless another upload finished first or the quota is full.

    A rejected object keeps its record, by which it is removed later. ``quota`` in bytes, 0: none. Uploads of a
    workspace finish one after the other, so that two together cannot exceed the quota.
    """
    row(c, "SELECT pg_advisory_xact_lock(hashtextextended(:w, 4))", w=f"files {file.workspace_id}")
    now = find(c, File, "files", equal(id=file.id) & where("removed_at IS NULL"), lock="FOR UPDATE")
    if now is None:
        return "gone"
    if now.object is not None:
        return "same" if now.sha256 == content.sha256 else "other"
    if quota and sum_bytes(c, file.workspace_id) + content.size > quota:
        return "full"
    return "stored" if _finish(c, file.id, content) else "gone"


def _finish(c: Connection, file: UUID, content: Content, lost: str | None = None) -> bool:
    """Make an object the content of a locked file; False if it was given up. *lost*: the one before, to be removed."""
    taken = "DELETE FROM file_puts WHERE object = :object AND NOT given_up"
    if not execute(c, taken, object=content.object):
        return False
    if lost is not None:
        begin_put(c, file, lost)
    sql = """UPDATE files SET object = :object, size = :size, sha256 = :sha256, stored_at = clock_timestamp(),
                    removed_at = NULL WHERE id = :id"""
    execute(c, sql, id=file, **asdict(content))
    return True


def forget_put(c: Connection, key: str) -> None:
    """Delete the record of an object that is not in storage."""
    execute(c, "DELETE FROM file_puts WHERE object = :object", object=key)


def find_public(c: Connection, name: str) -> File | None:
    """Return the stored file of this name for any caller: knowing the name is the permission."""
    return find(c, File, "files", equal(name=name) & _STORED)


def find_own(c: Connection, workspace: UUID, name: str) -> File | None:
    """Return the stored file of this name in this workspace, or None."""
    return find(c, File, "files", equal(name=name, workspace_id=workspace) & _STORED)


def find_stored(c: Connection, caller: Caller, sha256: bytes) -> str | None:
    """Return the URL of an upload of the caller's with these bytes, or None."""
    own = restrict_files(caller) & _UPLOADED & equal(sha256=sha256)
    sql = f"SELECT url FROM files WHERE {own} ORDER BY created_at DESC LIMIT 1"
    return find_value(c, str, sql, **own.values)


def list_named(c: Connection, caller: Caller) -> dict[str, list[str]]:
    """Return the URLs of the caller's uploads by the name that each was given: one for each content."""
    own = restrict_files(caller) & _UPLOADED & where("filename IS NOT NULL")
    found = rows(
        c,
        f"""SELECT filename, array_agg(url) AS urls FROM (
                SELECT DISTINCT ON (filename, sha256) filename, url FROM files WHERE {own}
                ORDER BY filename, sha256, created_at) named
            GROUP BY filename""",
        **own.values,
    )
    return {r.filename: r.urls for r in found}


def list_names_of_others(c: Connection, caller: Caller, names: Collection[str]) -> set[str]:
    """Return the ones of these names that are files of the caller's workspace which it may not use."""
    own = restrict_files(caller)
    sql = f"""SELECT name FROM files WHERE name = ANY(CAST(:names AS text[])) AND workspace_id = :workspace_id
              AND ({own}) IS NOT TRUE"""
    return set(read_column(c, sql, names=list(names), **own.values))


KINDS: Mapping[str, str] = {"image": "image/%", "video": "video/%", "document": "application/pdf"}
"""What a list of files may be narrowed to, and the patterns of its content types."""


def list_files(
    c: Connection, caller: Caller, *, kind: str | None, limit: int, offset: int
) -> tuple[list[File], int]:
    """Return a page of the stored files a key may see, newest first, and their number. ``kind``: one of KINDS."""
    of_kind = where_given({"kind": "content_type LIKE :kind"}, kind=kind and KINDS[kind])
    requested = restrict_files(caller) & _UPLOADED & of_kind
    page = requested & where(offset=offset)
    found = select(
        c, File, "files", page, by="created_at DESC, id DESC OFFSET CAST(:offset AS bigint)", limit=limit
    )
    sql = f"SELECT count(*) AS n FROM files WHERE {requested}"
    return found, read_number(c, sql, **requested.values)


def find_workspace_of_check(c: Connection, check: UUID) -> UUID:
    """Return the workspace of a check. Raises LookupError."""
    sql = "SELECT workspace_id FROM checks WHERE id = :id"
    return require_value(c, UUID, f"There is no check {check}.", sql, id=check)


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
    insert(
        c,
        "files",
        conflict="(name) DO NOTHING",
        id=new_id(),
        workspace_id=workspace,
        name=name,
        url=url,
        content_type=content_type,
        source_sha256=source_sha256,
    )
    # locked, so that it is not removed as unused before the use is committed
    found = require_row(
        c,
        f"There is no derived file {name}.",
        f"""SELECT {list_columns(File)}, removed_at IS NOT NULL AS is_removed FROM files
            WHERE name = :name AND workspace_id = :w AND source_sha256 IS NOT NULL FOR SHARE""",
        name=name,
        w=workspace,
    )
    insert(c, "derived_file_uses", conflict="DO NOTHING", file_id=found.id, post_id=post)
    gone = {"object": None, "size": None, "sha256": None} if found.is_removed else {}
    return build(File, found, **gone)


def finish_derived(c: Connection, file: UUID, content: Content, lost: str | None) -> bool:
    """Make an object the content of a derived file; False if another process was faster.

    ``lost``: the object that storage no longer has. It, or an object that was not taken, is removed later.
    """
    found = row(c, "SELECT object, removed_at FROM files WHERE id = :id FOR UPDATE", id=file)
    if found is None or (found.object is not None and found.removed_at is None and found.object != lost):
        return False
    return _finish(c, file, content, found.object)
