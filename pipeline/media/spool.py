"""Spool: copies of what visible calls send, made before arm, so that nothing after arm needs the source.

A visible call that reads from a customer's server or from our storage breaks when that does, and its outcome is
unknown. So what it sends (``Ready.sends``) is in memory, or on local disk and open, before the delivery is armed. A
copy that is lost, or was made by another machine, costs a second copy: prepare runs before every visible call.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from adapters.contract import Media
from adapters.errors import StorageFault, Unavailable
from config.settings import Settings
from pipeline.media.fetch import CHUNK

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


IN_MEMORY = 1024 * 1024
"""Bytes up to which a range is read into memory right before arm, and not copied to disk."""
KEPT_S = 2 * 3600.0
"""Age in seconds after which a copy is removed: an upload that needs it later starts again anyway."""
MOST_BYTES = 4 * 1024**3
"""Bytes of all copies; the oldest are removed first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentRange:
    """The range of a file that a visible call sends. *name* identifies the content: another one has another name."""

    media: Media
    first: int
    length: int
    folder: Path
    name: str

    def copy(self) -> bool:
        """Copy a large range to disk. Return False if it is small, or was there."""
        if self.length <= IN_MEMORY or _has_size(self._path, self.length):
            return False
        with _translate_errors():
            _make_room(self.folder, self.length)
            _copy(self._read_source(), self._path, self.length)
        return True

    @contextmanager
    def open(self) -> Iterator[Media]:
        """Yield the media with a stream of this range only, which is in memory or open; then remove the copy."""
        with self._open_copy() as file:

            def stream(first: int, length: int) -> Iterator[bytes]:
                if (first, length) != (self.first, self.length):
                    raise ValueError(f"{length} bytes from {first} were not opened before arm")
                file.seek(0)
                return iter(lambda: file.read(CHUNK), b"")

            yield replace(self.media, stream=stream)
        with suppress(OSError):  # the bytes were sent, and a copy that stays is removed later
            self._path.unlink(missing_ok=True)

    def _open_copy(self) -> BinaryIO:
        if self.length <= IN_MEMORY:
            return BytesIO(b"".join(self._read_source()))
        with _translate_errors():
            return self._path.open("rb")

    def _read_source(self) -> Iterator[bytes]:
        if self.media.stream is None:
            raise Unavailable("The media file has no source to read from.", code="media_unavailable")
        return self.media.stream(self.first, self.length)

    @property
    def _path(self) -> Path:
        return self.folder / f"{self.name}-{self.first}-{self.length}"


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageFault(
            f"The media file could not be copied to disk: {reason}.", code="spool_failed"
        ) from None


def _has_size(path: Path, length: int) -> bool:
    try:
        return path.stat().st_size == length
    except OSError:
        return False


def _copy(pieces: Iterator[bytes], path: Path, length: int) -> None:
    """Write the pieces under a name of their own, then rename: a copy that exists is complete."""
    partial = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(pieces)
        if not _has_size(partial, length):
            raise Unavailable("The media source returned another number of bytes.", code="media_unavailable")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _make_room(folder: Path, length: int) -> None:
    """Remove copies that are old, and the oldest ones above MOST_BYTES."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = []
    for path in folder.iterdir():
        with suppress(OSError):  # another process may remove it first
            kept.append((path.stat().st_mtime, path.stat().st_size, path))
    room = MOST_BYTES - length
    for modified, size, path in sorted(kept, reverse=True):
        room -= size
        if room < 0 or modified < time.time() - KEPT_S:
            path.unlink(missing_ok=True)
