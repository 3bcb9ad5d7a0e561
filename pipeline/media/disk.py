"""The disks that uploaded files and the epoch file are on: whether they take writes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from config.settings import Settings

PROBE = bytes(4096)
"""Written and flushed: a full disk may still take an empty file."""


def list_disk_faults(s: Settings) -> Sequence[str]:
    """Return a sentence for each folder whose disk takes no writes."""
    folders = {
        "SLIPWAY_FILES__FOLDER": s.files_folder if s.files.store == "folder" else None,
        "SLIPWAY_MARK__FOLDER": s.mark_folder if s.mark.keep else None,
    }
    faults = ((name, _probe_writes(folder)) for name, folder in folders.items() if folder)
    return [f"The disk of {name} takes no writes: {fault}." for name, fault in faults if fault]


def find_existing(folder: Path) -> Path:
    """Return the folder, or the one in which it would be created."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _probe_writes(folder: Path) -> str | None:
    """Write and flush a file without a name. Return the error, None if there is none."""
    try:
        with tempfile.TemporaryFile(dir=find_existing(folder)) as file:
            file.write(PROBE)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or type(error).__name__
    return None
