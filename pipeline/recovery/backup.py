"""Backups: one folder with a dump of the database, the stored files and the settings without secrets.

``backup.json`` is written last, so half a backup is no backup. The epoch file and the vault's keys are never in it. A
restore checks every part before it changes anything, puts the files back, and then the database in one transaction with
the hold: until an operator accepts it, nothing is sent (``restore.py``). What is interrupted is begun again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import IO, Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from pipeline.domain.audit import Actor
from pipeline.domain.level import LEVEL
from pipeline.media.storage import FolderStorage, ObjectMissing, Storage, StorageReader, StorageUnavailable
from pipeline.runtime.context import Context
from pipeline.runtime.epoch_file import EpochFile
from pipeline.store.audit import record_change
from pipeline.store.recovery import dumps, epoch, log_slot
from pipeline.store.recovery.dumps import BackupError, Programs, StoredObject
from pipeline.store.revision import compute_schema_digest
from pipeline.store.schema_version import describe_removal
from pipeline.store.vault import CREDENTIALS, count_unopened

DUMP, SETTINGS, FILES, MANIFEST = "database.dump", "settings.json", "files/", "backup.json"
ERASED = "erased meanwhile"
PIECE = 1 << 20
Reader = IO[bytes] | StorageReader
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Interrupted(Exception):
    """The work was stopped from outside."""


class Work:
    """How many bytes of a step are done, for whoever watches it from another thread, who may also stop it."""

    def __init__(self) -> None:
        self.stop = Event()
        self.begin("begin")

    def begin(self, step: str, total: int | None = None) -> None:
        """Begin a step. *total* None: not known."""
        self.step, self.done, self.total = step, 0, total

    def reach(self, done: int) -> None:
        """Set how many bytes are done. Raises Interrupted."""
        self.done = done
        if self.stop.is_set():
            raise Interrupted


class Manifest(BaseModel):
    """The content of ``backup.json``."""

    version: str
    level: int
    schema_digest: str
    at: AwareDatetime
    """When the snapshot was taken, by the database's clock."""
    epoch: UUID | None
    epoch_number: int
    counts: dict[str, int]
    missing: dict[str, str]
    """The objects that the ledger names and the backup does not have, and why."""
    sha256: dict[str, Sha256]
    """Of every file of the backup, by its path."""


def back_up(
    context: Context, programs: Programs, settings: Mapping[str, Any], folder: Path, work: Work
) -> Manifest:
    """Write a backup into an empty folder. Raises BackupError, StorageUnavailable, Unreachable, OSError."""
    _take_folder(folder)
    work.begin("dump the database")
    url = context.settings.store.url.get_secret_value()
    with dumps.open_snapshot(context.database) as (c, snapshot):
        objects, counts = dumps.list_objects(c), dumps.count_rows(c)
        program = programs("pg_dump", dumps.read_server_major(c))
        dumps.dump_database(url, program, snapshot.name, folder / DUMP, work.reach)
    (folder / DUMP).chmod(0o600)
    _write(folder / SETTINGS, json.dumps(settings, indent=2))
    work.begin("copy the files", sum(one.size for one in objects))
    lost = _copy_all(context.files.storage, FolderStorage(folder / FILES), objects, work)
    with context.database.once() as c:
        named = {one.object for one in dumps.list_objects(c)} if lost else set()
    work.begin("hash the dump", sum((folder / name).stat().st_size for name in (DUMP, SETTINGS)))
    hashes = {name: _hash(folder / name, work) for name in (DUMP, SETTINGS)}
    manifest = Manifest(
        version=version("slipway"),
        level=LEVEL,
        schema_digest=compute_schema_digest(),
        at=snapshot.at,
        epoch=snapshot.epoch,
        epoch_number=snapshot.epoch_number,
        counts=counts,
        missing={key: why if key in named else ERASED for key, why in lost.items()},
        sha256=hashes | {FILES + one.object: one.sha256.hex() for one in objects if one.object not in lost},
    )
    _write(folder / MANIFEST, manifest.model_dump_json(indent=2))
    return manifest


def _take_folder(folder: Path) -> None:
    """Create the folder, for its owner only. Raises BackupError if anything is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if found := next(folder.iterdir(), None):
        raise BackupError(f"{folder} is not empty ({found.name} is there): name a new or empty folder.")
    folder.chmod(0o700)


def _copy_all(
    source: Storage, target: Storage, objects: Sequence[StoredObject], work: Work
) -> dict[str, str]:
    """Copy objects; return why each of the others is not there. Raises StorageUnavailable."""
    lost = {}
    for one in objects:
        with suppress(StorageUnavailable):  # before its first file, a folder is not there
            target.remove(one.object)  # what an interrupted copy left
        try:
            with closing(source.open(one.object, 0, one.size)) as reader:
                _copy(reader, target, one, work)
        except ObjectMissing as error:
            lost[one.object] = str(error)
    return lost


def _copy(reader: Reader, target: Storage, one: StoredObject, work: Work) -> None:
    writer, digest = target.begin(one.object), hashlib.sha256()
    try:
        for piece in _read(reader, work):
            digest.update(piece)
            writer.write(piece)
        if digest.digest() != one.sha256:
            raise ObjectMissing("its SHA-256 differs from that of the stored file")
    except BaseException:
        writer.drop()
        raise
    writer.finish()


def _read(reader: Reader, work: Work) -> Iterator[bytes]:
    while piece := reader.read(PIECE):
        yield piece
        work.reach(work.done + len(piece))


def check(folder: Path, work: Work) -> Manifest:
    """Check a backup against this code and its own hashes; return it. Raises BackupError."""
    file = folder / MANIFEST
    try:
        found = Manifest.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise BackupError(f"{folder} is no whole backup: it lacks {MANIFEST}, its last file.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BackupError(f"{file}: {where}: {first['msg']}, not {str(first['input'])[:80]!r}.") from None
    if found.level > LEVEL or found.schema_digest != compute_schema_digest():
        raise BackupError(
            f"The backup is of level {found.level} and schema {found.schema_digest[:12]}, this code {LEVEL} and "
            f"schema {compute_schema_digest()[:12]}: restore it with the Slipway that made it ({found.version})."
        )
    names = {DUMP: "", SETTINGS: "", **found.sha256}
    there = {name: folder / name for name in names if (folder / name).is_file()}
    work.begin("check", sum(path.stat().st_size for path in there.values()))
    wrong = [name for name, sha in names.items() if name not in there or _hash(there[name], work) != sha]
    if wrong:
        raise BackupError(
            f"The backup is damaged, use another one: not as written is {', '.join(wrong[:5])}."
        )
    return found


def restore(context: Context, programs: Programs, actor: Actor, folder: Path, work: Work) -> Manifest:
    """Restore a backup into an empty database, held until it is accepted.

    Raises BackupError, StorageUnavailable, Unreachable, OSError.
    """
    found = check(folder, work)
    with context.database.begin() as c:
        major = dumps.read_server_major(c)
        if tables := dumps.list_tables(c):
            raise BackupError(
                f"The database is not empty: it has {tables[0]} and {len(tables) - 1} more tables. If they are of a "
                f"restore, `slipway restore status` shows it. To begin again, {describe_removal(c)}."
            )
    until = _find_end(context, found.epoch)
    objects = [
        StoredObject(
            object=name.removeprefix(FILES), size=(folder / name).stat().st_size, sha256=bytes.fromhex(sha)
        )
        for name, sha in found.sha256.items()
        if name.startswith(FILES)
    ]
    work.begin("restore the files", sum(one.size for one in objects))
    if lost := _copy_all(FolderStorage(folder / FILES), context.files.storage, objects, work):
        raise BackupError(f"The backup changes while it is restored: {', '.join(lost)}.")
    work.begin("restore the database", (folder / DUMP).stat().st_size)
    tools, url = (programs("pg_restore", major), programs("psql", major)), context.settings.store.url
    dumps.restore_dump(url.get_secret_value(), tools, folder / DUMP, (found.at, until), work.reach)
    with context.database.begin() as c:
        if (counts := dumps.count_rows(c)) != found.counts:
            raise BackupError(f"The restored database has {counts} rows, and the backup had {found.counts}.")
        record_change(c, actor, "restore", "restore", found.epoch, after=found.model_dump(include={"at"}))
    return found


def hold_replayed(context: Context, actor: Actor, base_at: datetime) -> datetime:
    """Hold all sending of a database whose log was replayed; return until when it was. Raises Unreachable, OSError."""
    with context.database.begin() as c:
        at = log_slot.read_end_of_replay(c) or base_at
        stored = epoch.read(c).stored.id
        dumps.hold_sending(c, at, _find_end(context, stored))
        record_change(c, actor, "restore", "restore", stored, after={"at": at.isoformat()})
    return at


def _find_end(context: Context, stored: UUID | None) -> datetime | None:
    """Return until when posts of this epoch may have been sent; another epoch's file says nothing about that."""
    in_file = EpochFile(context.settings.mark_folder).read()
    return in_file.until if in_file and in_file.id == stored else None


def find_lost(context: Context) -> tuple[UUID | None, dict[str, str]]:
    """Return the epoch, and the files that the ledger names and the storage lacks, each with the reason.

    Raises Unreachable, StorageUnavailable.
    """
    with context.database.once() as c:
        stored, objects, lost = epoch.read(c).stored.id, dumps.list_objects(c), {}
    for one in objects:
        try:
            context.files.storage.open(one.object, 0, one.size).close()
        except ObjectMissing as error:
            lost[one.object] = str(error)
    return stored, lost


def list_missing(context: Context, stored: UUID | None, lost: Mapping[str, str]) -> list[str]:
    """Return what a restored installation lacks, with the next step. Raises Unreachable, OSError.

    *stored*: its epoch. *lost*: the files that it lacks, and why.
    """
    missing = [f"file {key}: {why}" for key, why in lost.items()]
    in_file = (epoch_file := EpochFile(context.settings.mark_folder)).read()
    if in_file is None or in_file.id != stored:
        missing.append(
            f"the epoch file: it is not in {epoch_file.folder}. If it is not lost, put its folder there before "
            "anything starts. Without it `accept` needs --until, and what was brought forward or deleted since the "
            "backup is not known."
        )
    with context.database.once() as c:
        tried, closed = count_unopened(c, context.vault, CREDENTIALS)
    if tried and tried == closed:
        missing.append("the vault's keys: set SLIPWAY_VAULT__KEYS to those of then; this opens no credential")
    return missing


def _hash(file: Path, work: Work) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        for piece in _read(stream, work):
            digest.update(piece)
    return digest.hexdigest()


def _write(file: Path, text: str) -> None:
    """Write a file for its owner, flushed to disk."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())
