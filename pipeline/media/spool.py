"""Spool: copies of parts of media files on local disk, read by the visible call that sends them.

A visible call that reads from a customer's server breaks when that server does, and its outcome is unknown. So an
adapter copies a large last part beforehand (``Media.spool``). A copy that is lost, or was made by another machine,
costs a second copy: prepare runs before every visible call.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from adapters.contract import Media
from adapters.errors import Unavailable
from pipeline.media.fetch import CHUNK

KEPT_S = 2 * 3600.0
"""Age in seconds after which a copy is removed: an upload that needs it later starts again anyway."""
MOST_BYTES = 4 * 1024**3
"""Bytes of all copies; the oldest are removed first."""


def add_spool(media: Media, folder: Path, name: str) -> Media:
    """Return the media with ``spool``. *name* identifies the content: another content needs another name."""
    source = media.stream
    if source is None:
        return media

    def locate(first: int, length: int) -> Path:
        return folder / f"{name}-{first}-{length}"

    def spool(first: int, length: int) -> bool:
        if _has_size(locate(first, length), length):
            return False
        try:
            _make_room(folder, length)
            _copy(source(first, length), locate(first, length), length)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Unavailable(
                f"The media file could not be copied to disk: {reason}.", code="spool_failed"
            ) from None
        return True

    def stream(first: int, length: int) -> Iterator[bytes]:
        path = locate(first, length)
        return _read(path) if _has_size(path, length) else source(first, length)

    return replace(media, stream=stream, spool=spool)


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


def _read(path: Path) -> Iterator[bytes]:
    file = path.open("rb")  # opened here, so that a later removal does not matter

    def pieces() -> Iterator[bytes]:
        with file:
            while piece := file.read(CHUNK):
                yield piece

    return pieces()


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
