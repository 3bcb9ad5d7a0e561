"""Store the bytes of an uploaded file: recorded before the first is written, committed whole, and checked as media.

A crash before the commit leaves a record that names the object, for maintenance to remove.

An upload that may break off comes in parts, and the file is made of them: copied, checked and committed as one. Each
part is an object of its own, in whatever storage, so an upload goes on in another process, or after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from pipeline.domain.audit import Actor
from pipeline.media.storage import StorageUnavailable
from pipeline.media.uploads import UploadIntake, create_object_key
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.media_checks import await_checks, open_checks
from pipeline.stages.post_request import Refusal
from pipeline.store.audit import record_change
from pipeline.store.checks.checks import Check, Purpose
from pipeline.store.files import files as store
from pipeline.store.files import part_uploads
from pipeline.store.files.files import Content, File
from pipeline.store.files.part_uploads import PartUpload, SameFile, StoredPart


@dataclass(frozen=True, kw_only=True, slots=True)
class FileUpload:
    """One upload in progress. ``key`` None: the file exists, and the bytes are only compared with it."""

    context: Context
    actor: Actor | None
    file: File
    intake: UploadIntake
    key: str | None

    def abandon(self) -> None:
        """Remove the written bytes. Raises StorageUnavailable: then maintenance removes them later."""
        self.intake.drop()
        if self.key is not None:
            self.context.files.storage.remove(self.key)
            failpoint("files.abandoned")
            with self.context.database.begin() as c:
                store.forget_put(c, self.key)

    def try_abandon(self) -> None:
        """Remove the written bytes, now or by maintenance."""
        try:
            self.abandon()
        except StorageUnavailable:
            return  # its row stays in file_puts, for maintenance


def begin_upload(context: Context, actor: Actor | None, file: File, declared: int = 0) -> FileUpload:
    """Record the object in ``file_puts``, then create it in storage: in that order, so that none is left unrecorded.

    *declared*: its size, if known. Raises Refusal 413 and StorageUnavailable.
    """
    if file.size is not None:
        comparison = UploadIntake(content_type=file.content_type, most=file.size, sink=None)
        return FileUpload(context=context, actor=actor, file=file, intake=comparison, key=None)
    most, key = context.settings.files.max_bytes, create_object_key(file.id)
    with context.database.begin() as c:
        quota = context.settings.files.quota
        room = max(0, quota - store.sum_bytes(c, file.workspace_id)) if quota else most
        if declared > min(most, room):
            raise build_too_large(context, room)
        store.begin_put(c, file.id, key)
    failpoint("files.begun")
    sink = context.files.storage.begin(key)
    intake = UploadIntake(content_type=file.content_type, most=min(most, room), sink=sink)
    return FileUpload(context=context, actor=actor, file=file, intake=intake, key=key)


def finish_upload(upload: FileUpload, digest: bytes) -> File:
    """Finish an upload whose bytes are in storage, and return its file. Raises Refusal."""
    file, context = upload.file, upload.context
    content = Content(object=upload.key or "", size=upload.intake.size, sha256=digest)
    if upload.key is None:
        if content.sha256 != file.sha256:
            raise build_other_bytes()
        return file
    failpoint("files.finished")
    with context.database.begin() as c:
        ending = store.finish_put(c, file, content, context.settings.files.quota)
        if ending == "stored":
            facts = {"bytes": content.size, "sha256": content.sha256.hex()}
            record_change(c, upload.actor, "store", "file", file.id, file.workspace_id, after=facts)
        checks = _open_check(context, c, file) if ending == "stored" else {}
    failpoint("files.committed")
    await_checks(context, checks, bulk=True)
    if ending != "stored":
        upload.try_abandon()
    if ending == "full":
        raise build_too_large(context, 0)
    if ending == "other":
        raise build_other_bytes()
    if ending == "gone":
        raise build_gone()
    return replace(file, object=content.object, size=content.size, sha256=content.sha256)


def _open_check(context: Context, c: Connection, file: File) -> Mapping[int, Check]:
    """Open the check of a stored file: once it has the facts, posts with the file need no storage to be accepted."""
    purpose: Purpose = "video" if file.content_type.startswith("video/") else "image"
    return open_checks(context, c, file.workspace_id, [(0, purpose, file.url)], bulk=True)


def build_too_large(context: Context, room: int) -> Refusal:
    """Return the refusal of a file over the limit, or over what is left of the quota."""
    files = context.settings.files
    if room >= files.max_bytes:
        return Refusal(413, "payload_too_large", f"The file is larger than {files.max_bytes:,} bytes.")
    return Refusal(
        413,
        "payload_too_large",
        f"The file is larger than what is left of the workspace's quota of {files.quota:,} bytes.",
    )


def build_other_bytes() -> Refusal:
    """Return the refusal of other bytes for a file that is stored."""
    return Refusal(
        409,
        "file_immutable",
        "The file was uploaded before with other bytes and never changes: POST /files for a new one.",
    )


def build_gone() -> Refusal:
    """Return the refusal of bytes for a file that is not there any more."""
    return Refusal(404, "not_found", "The upload does not exist any more: POST /files for a new one.")


# --- parts ----------------------------------------------------------------------------------------------------------

PART_BYTES = 4 * 1024 * 1024
"""Bytes of one part at most: as much as a lost connection costs."""
PIECE = 1024 * 1024


def find_resumable(context: Context, same: SameFile) -> PartUpload | None:
    """Return the unfinished upload of the same file; None: it is to be opened. Raises Refusal 413."""
    limits = context.settings.files
    with context.database.begin() as c:
        found = part_uploads.find_unfinished(c, same)
        used = store.sum_bytes(c, same.workspace) if limits.quota else 0
    room = max(0, limits.quota - used) if limits.quota else limits.max_bytes
    if found is None and same.size > min(limits.max_bytes, room):
        raise build_too_large(context, room)
    return found


def begin_part(context: Context, upload: PartUpload, file: File, length: int) -> FileUpload:
    """Begin the object of the next part, recorded first. Raises Refusal 413 and StorageUnavailable.

    The type of the file is checked at its first part. What waits to be a file counts to the quota.
    """
    most, quota = min(PART_BYTES, upload.size - upload.received), context.settings.files.quota
    if not 0 < length <= most:
        message = f"The part has {length:,} bytes, and here at most {most:,} are taken."
        raise Refusal(413, "payload_too_large", message)
    key = create_object_key(file.id)
    with context.database.begin() as c:
        used = store.sum_bytes(c, file.workspace_id) + part_uploads.sum_part_bytes(c, file.workspace_id)
        if quota and used + length > quota:
            raise build_too_large(context, 0)
        store.begin_put(c, file.id, key)
    kind = None if upload.received else file.content_type
    intake = UploadIntake(content_type=kind, most=most, sink=context.files.storage.begin(key))
    return FileUpload(context=context, actor=None, file=file, intake=intake, key=key)


def finish_part(first: int, part: FileUpload, _digest: bytes) -> None:
    """Record a part that is in storage, or remove it if another one was faster."""
    stored = StoredPart(object=part.key or "", size=part.intake.size)
    with part.context.database.begin() as c:
        is_next = part_uploads.add_part(c, part.file.id, first, stored)
    if not is_next:
        part.try_abandon()


def copy_part(context: Context, part: StoredPart, intake: UploadIntake) -> None:
    """Write a stored part to the intake of the whole file. Raises what ``UploadIntake.write`` raises."""
    reader = context.files.storage.open(part.object, 0, part.size)
    try:
        while data := reader.read(PIECE):
            intake.write(data)
    finally:
        reader.close()


def remove_parts(context: Context, parts: list[StoredPart]) -> None:
    """Remove the parts of a file that is stored, now or by maintenance."""
    with suppress(StorageUnavailable):  # the rows stay in file_puts, for maintenance
        for part in parts:
            context.files.storage.remove(part.object)
            with context.database.begin() as c:
                store.forget_put(c, part.object)
