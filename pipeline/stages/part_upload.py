"""Store the parts of an upload that may break off, and make the file of them: copied, checked and committed as one.

Each part is an object of its own, in whatever storage, so an upload goes on in another process, or after a restart.
"""

from __future__ import annotations

from contextlib import suppress

from pipeline.media.storage import StorageUnavailable
from pipeline.media.uploads import UploadIntake, create_object_key
from pipeline.runtime.context import Context
from pipeline.stages.file_upload import FileUpload, build_too_large
from pipeline.stages.post_request import Refusal
from pipeline.store.files import files
from pipeline.store.files import part_uploads as store
from pipeline.store.files.files import File
from pipeline.store.files.part_uploads import PartUpload, SameFile, StoredPart

PART_BYTES = 4 * 1024 * 1024
"""Bytes of one part at most: as much as a lost connection costs."""
PIECE = 1024 * 1024


def find_resumable(context: Context, same: SameFile) -> PartUpload | None:
    """Return the unfinished upload of the same file; None: it is to be opened. Raises Refusal 413."""
    limits = context.settings.files
    with context.database.begin() as c:
        found = store.find_unfinished(c, same)
        used = files.sum_bytes(c, same.workspace) if limits.quota else 0
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
        used = files.sum_bytes(c, file.workspace_id) + store.sum_part_bytes(c, file.workspace_id)
        if quota and used + length > quota:
            raise build_too_large(context, 0)
        files.begin_put(c, file.id, key)
    kind = None if upload.received else file.content_type
    intake = UploadIntake(content_type=kind, most=most, sink=context.files.storage.begin(key))
    return FileUpload(context=context, actor=None, file=file, intake=intake, key=key)


def finish_part(first: int, part: FileUpload, _digest: bytes) -> None:
    """Record a part that is in storage, or remove it if another one was faster."""
    stored = StoredPart(object=part.key or "", size=part.intake.size)
    with part.context.database.begin() as c:
        is_next = store.add_part(c, part.file.id, first, stored)
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
                files.forget_put(c, part.object)
