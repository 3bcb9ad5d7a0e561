"""Local, plain copies of imported files: rows are read at any position, which storage and compression do not allow.

A copy is made by the first step on a machine and used by the next ones. One that is lost is made again, byte for byte
the same, so that positions stay valid.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from pipeline.imports.convert import convert_file
from pipeline.imports.formats import Format, ReadLimits
from pipeline.runtime.context import Context
from pipeline.store.imports.imports import Import

PIECE = 4 * 1024 * 1024
KEPT_S = 24 * 3600.0
"""Age in seconds after which a copy that no step has removed is removed."""


def prepare_file(context: Context, job: Import, on_piece: Callable[[], None]) -> tuple[Path, Sequence[str]]:
    """Return the plain form of a file, and what to tell its author if it was made now.

    *on_piece*: called between two pieces of it. Raises FileProblem and StorageUnavailable, and for a spreadsheet
    what ``convert_file`` does.
    """
    folder = context.settings.folder / "imports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    plain = folder / f"{job.id}.plain"
    if plain.exists():
        return plain, ()
    _remove_old(folder)
    sent, made = folder / f"{job.id}.{uuid4().hex}", folder / f"{job.id}.{uuid4().hex}.made"
    try:
        _copy_from_storage(context, job, sent, on_piece)
        limits, form = build_limits(context), Format(job.format)
        notes = convert_file(sent, made, form, limits, content_encoding=job.encoding, on_piece=on_piece)
        made.replace(plain)  # two steps may make it at once, each under a name of its own
        return plain, notes
    finally:
        sent.unlink(missing_ok=True)
        made.unlink(missing_ok=True)


def build_limits(context: Context) -> ReadLimits:
    """Return the limits that the settings give a file."""
    return ReadLimits(**context.settings.imports.model_dump(exclude={"keep_days"}))


def _copy_from_storage(context: Context, job: Import, target: Path, on_piece: Callable[[], None]) -> None:
    reader = context.files.storage.open(job.object, 0, job.size)
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            while piece := reader.read(PIECE):
                file.write(piece)
                on_piece()
    finally:
        reader.close()


def remove_copies(context: Context, job: Import) -> None:
    """Remove what this machine has of an import's file."""
    for path in (context.settings.folder / "imports").glob(f"{job.id}*"):
        path.unlink(missing_ok=True)


def _remove_old(folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(OSError):  # another process may remove it first
            if path.stat().st_mtime < time.time() - KEPT_S:
                path.unlink(missing_ok=True)
