"""Store the bytes of an uploaded file: recorded before the first is written, committed whole, and checked as media.

A crash before the commit leaves a record that names the object, for maintenance to remove.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from pipeline.store.files.files import Content, File


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
