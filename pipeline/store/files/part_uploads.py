"""Uploads in parts: open one, find it again, record its parts, list them for the file that is made of them.

A part is an object of ``file_puts``, so the sweep that removes broken uploads removes it. An upload is found for a day,
which is less than the age at which its first part is removed: one that is found has all of its parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import has_row, insert, read_number, read_one
from pipeline.store.selection import equal, select

KEPT = timedelta(days=1)
"""How long after it was opened an upload may be resumed."""
_SELECT = """
    SELECT f.id, f.workspace_id, u.size, CASE WHEN f.object IS NOT NULL THEN f.url END AS url,
           (SELECT coalesce(sum(p.size), 0) FROM upload_parts p WHERE p.file_id = f.id)::bigint AS received
    FROM part_uploads u JOIN files f ON f.id = u.file_id
    WHERE u.user_id = :user AND f.removed_at IS NULL AND f.created_at > now() - :kept"""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartUpload:
    """An upload in parts. ``id`` is that of its file."""

    id: UUID
    workspace_id: UUID
    size: int
    """Bytes of the whole file."""
    received: int
    url: str | None
    """Of the file, once it is stored."""

    @property
    def offset(self) -> int:
        """The first byte that is missing."""
        return self.received if self.url is None else self.size


class SameFile(NamedTuple):
    """What makes a file of a browser the same one: the user who sends it to a workspace, and its facts."""

    user: UUID
    workspace: UUID
    content_type: str
    filename: str | None
    size: int
    modified: int
    """Milliseconds since the Unix epoch."""


class StoredPart(NamedTuple):
    """A part in storage."""

    object: str
    size: int


def open_part_upload(c: Connection, file: UUID, same: SameFile) -> None:
    """Make the upload of an opened file one that comes in parts."""
    insert(c, "part_uploads", file_id=file, user_id=same.user, size=same.size, modified=same.modified)


def find_part_upload(c: Connection, user: UUID, identity: UUID) -> PartUpload | None:
    """Return an upload of a user, finished or not."""
    sql = f"{_SELECT} AND f.id = :id"
    return read_one(c, PartUpload, sql, user=user, kept=KEPT, id=identity)


def find_unfinished(c: Connection, same: SameFile) -> PartUpload | None:
    """Return the newest upload of the same file that is not finished."""
    sql = f"""{_SELECT} AND f.workspace_id = :workspace AND f.object IS NULL AND f.content_type = :content_type
              AND f.filename IS NOT DISTINCT FROM :filename AND u.size = :size AND u.modified = :modified
              ORDER BY f.created_at DESC LIMIT 1"""
    return read_one(c, PartUpload, sql, kept=KEPT, **same._asdict())


def sum_part_bytes(c: Connection, workspace: UUID) -> int:
    """Return the bytes of a workspace's parts that belong to no stored file."""
    sql = """SELECT coalesce(sum(p.size), 0) AS n FROM files f JOIN upload_parts p ON p.file_id = f.id
             WHERE f.workspace_id = :w AND f.object IS NULL"""
    return read_number(c, sql, w=workspace)


def add_part(c: Connection, upload: UUID, first: int, part: StoredPart) -> bool:
    """Record a part; return False if the upload goes on at another byte, or is finished.

    Of two parts that begin at the same byte the primary key takes one.
    """
    sql = """INSERT INTO upload_parts (file_id, first, size, object)
             SELECT id, :first, :size, :object FROM files WHERE id = :id AND object IS NULL
               AND (SELECT coalesce(sum(size), 0) FROM upload_parts WHERE file_id = :id) = :first
             ON CONFLICT (file_id, first) DO NOTHING RETURNING first"""
    return has_row(c, sql, id=upload, first=first, **part._asdict())


def list_parts(c: Connection, upload: UUID) -> list[StoredPart]:
    """Return the parts of an upload, in order."""
    return select(c, StoredPart, "upload_parts", equal(file_id=upload), by="first")
