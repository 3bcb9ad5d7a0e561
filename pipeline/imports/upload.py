"""Store the file of a new import: recorded before its first byte, visible and dispatched once it is whole.

A crash before the end leaves a row that names the object, for maintenance to remove. After the end, a repeat with the
same Idempotency-Key is a replay.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.imports.cells import parse_accounts
from pipeline.imports.columns import Columns, FileProblem, Format, detect_format
from pipeline.imports.local_time import InvalidCell
from pipeline.imports.presets import choose_columns
from pipeline.media.uploads import TooLarge, UploadIntake
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.post_request import Refusal
from pipeline.stages.replay import claim_key
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import Caller
from pipeline.store.database import new_id
from pipeline.store.files.files import sum_bytes
from pipeline.store.idempotency_keys import IdempotencyKey
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import

MAX_NAME = 255
"""Characters of the name of an import."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportOptions:
    """The options of a file, as its client sets them."""

    name: str | None = None
    encoding: str | None = None
    """gzip or zstd, if it is compressed."""
    strict: bool = False
    """Apply nothing unless every row is good."""
    update: bool = False
    """Edit the posts of rows whose external_id has another body."""
    time_zone: str | None = None
    """The time zone of local times in rows that name none; None: the workspace's."""
    text_encoding: str | None = None
    """The encoding of its text; None: it is found out."""
    dates: str | None = None
    """The order of its dates: dmy, mdy or ymd; None: they show it."""
    blank: str | None = None
    """The time of rows without one: auto; None: they are refused."""
    preset: str | None = None
    """The name of what its header calls our columns."""
    map: str | None = None
    """What it calls them in other ways: ``Text=caption,Notes=``."""
    save_as: str | None = None
    """The preset that the workspace keeps of both."""
    media: Mapping[str, str] = field(default_factory=dict)
    """URLs by the names that rows have for them."""
    accounts: Sequence[str] = ()
    """The accounts of rows that name none: ids, or ``platform:username``."""
    notes: Sequence[str] = ()
    """What its author is told of how it was made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """The upload of one file, in progress."""

    id: UUID
    caller: Caller
    options: ImportOptions
    object: str
    intake: UploadIntake


def begin_upload(
    context: Context, caller: Caller, options: ImportOptions, known: Columns, declared: int = 0
) -> Upload:
    """Begin an upload. *known*: our columns. *declared*: its size, if known. Raises Refusal and StorageUnavailable."""
    identity = new_id()
    key = f"{identity.hex[-2:]}/{identity}-{secrets.token_hex(8)}"
    most, quota = context.settings.imports.max_bytes, context.settings.files.quota
    with context.database.begin() as c:
        room = max(0, quota - sum_bytes(c, caller.workspace_id)) if quota else most
        if declared > min(most, room):
            raise build_too_large(context, room)
        store.begin_upload(c, caller, identity, key, **_resolve_options(c, caller, options, known))
    failpoint("imports.begun", identity)
    intake = UploadIntake(content_type=None, most=min(most, room), sink=context.files.storage.begin(key))
    return Upload(id=identity, caller=caller, options=options, object=key, intake=intake)


def _resolve_options(
    c: Connection, caller: Caller, options: ImportOptions, known: Columns
) -> Mapping[str, Any]:
    """Return the options as they are stored. Raises Refusal."""
    given = asdict(options)
    chosen = {name: given.pop(name) for name in ("preset", "map", "save_as")}
    try:
        parse_accounts(list(options.accounts))
        columns = choose_columns(c, caller, known, renamed=chosen.pop("map") or "", **chosen)
    except InvalidCell as error:
        issue = error.build_issue("accounts")
        raise Refusal(400, "validation_failed", f"accounts: {issue['message']}", [issue]) from error
    except FileProblem as problem:
        raise Refusal(400, "validation_failed", problem.message) from problem
    known_as = {"updates": given.pop("update"), "time_zone": options.time_zone or caller.time_zone}
    return {**given, **known_as, "columns": columns}


def finish_upload(
    context: Context,
    upload: Upload,
    *,
    digest: bytes,
    content_type: str | None,
    format_: Format | None,
    key: IdempotencyKey | None = None,
) -> Import:
    """Finish an upload whose object is in storage, and dispatch its first step. Raises Refusal 4xx, and Replayed."""
    head = b"" if upload.options.encoding else upload.intake.head
    known = format_ or detect_format(upload.options.name, content_type, head)
    failpoint("imports.stored", upload.id)
    with context.database.begin() as c:
        claim_key(c, key, upload.id)
        stored = store.finish_upload(c, upload.id, size=upload.intake.size, sha256=digest, format_=known)
        job = store.find_import(c, upload.caller, upload.id)
        if stored and job is not None:
            _record(c, upload.caller, job)
    if not stored or job is None:
        raise Refusal(404, "not_found", "The upload took too long and was given up: send the file again.")
    failpoint("imports.visible", upload.id)
    context.dispatcher.send_imports([upload.id])
    return job


def _record(c: Connection, caller: Caller, job: Import) -> None:
    """Record the import, in the transaction that makes it visible."""
    facts = {"name": job.name, "format": job.format, "bytes": job.size, "sha256": job.sha256.hex()}
    options = {"strict": job.strict, "updates": job.updates, "time_zone": job.time_zone}
    record_change(c, caller.actor, "create", "import", job.id, job.workspace_id, after={**facts, **options})


def store_file(
    context: Context,
    caller: Caller,
    options: ImportOptions,
    known: Columns,
    pieces: Iterable[bytes],
    format_: Format | None = None,
) -> Import:
    """Store the file of a new import, as POST /imports does. Raises Refusal and StorageUnavailable."""
    upload = begin_upload(context, caller, options, known)
    try:
        for piece in pieces:
            upload.intake.write(piece)
        if not upload.intake.size:
            raise Refusal(400, "validation_failed", "The file is empty.")
        digest = upload.intake.finish()
        return finish_upload(context, upload, digest=digest, content_type=None, format_=format_)
    except TooLarge as error:
        abandon_upload(context, upload)
        raise build_too_large(context, upload.intake.most) from error
    except Exception:
        abandon_upload(context, upload)
        raise


def abandon_upload(context: Context, upload: Upload) -> None:
    """Remove what was written. Raises StorageUnavailable: then maintenance removes it later."""
    upload.intake.drop()
    context.files.storage.remove(upload.object)
    with context.database.begin() as c:
        store.forget_upload(c, upload.id)


def build_too_large(context: Context, room: int) -> Refusal:
    """Build the refusal of a file over the limit, or over what is left of the quota."""
    most = context.settings.imports.max_bytes
    if room >= most:
        return Refusal(413, "payload_too_large", f"The file is larger than {most:,} bytes.")
    quota = context.settings.files.quota
    left = f"what is left of the workspace's quota of {quota:,} bytes"
    return Refusal(413, "payload_too_large", f"The file is larger than {left}.")
