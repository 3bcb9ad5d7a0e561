"""The data folder: closed to others, used by one supervisor at a time, with a place short enough for sockets."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET_PATH_LIMIT = 107
"""Bytes of a unix socket's path, without the final NUL (unix(7))."""
CLOSED = 0o700
LONGEST_SOCKET = "/pg/.s.PGSQL.5432"


class FolderError(Exception):
    """The data folder cannot be used; the message says why and what to do."""


def closed(folder: Path) -> Path:
    """Make `folder` if need be, for its owner only (0700)."""
    folder.mkdir(mode=CLOSED, parents=True, exist_ok=True)
    folder.chmod(CLOSED)
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the lock ends with the process, however it ends.

    Raises FolderError when another process holds it.
    """
    with (closed(folder) / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise FolderError(
                f"Slipway already runs on {folder.resolve()} (process {holder or 'unknown'}). "
                "Stop that one first, or give this one another SLIPWAY_FOLDER."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def socket_folder(folder: Path) -> Path:
    """Where this data folder's sockets are: inside it, or, if its path is too long, in a closed folder under /tmp."""
    inside = closed(closed(folder.resolve()) / "run")
    if _fits(inside):
        return inside
    note = inside / "sockets"
    if note.is_file() and _ours(known := Path(note.read_text())):
        return known
    made = Path(tempfile.mkdtemp(prefix="slipway-", dir=_short_base()))
    note.write_text(str(made))
    return made


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder)) + len(LONGEST_SOCKET) <= SOCKET_PATH_LIMIT


def _ours(folder: Path) -> bool:
    """Whether it is still the closed folder we made: under /tmp, somebody else may have taken its name since."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == CLOSED
    )


def _short_base() -> Path:
    candidates = [os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"]  # noqa: S108 - made 0700, random
    usable = [
        Path(c) for c in candidates if c and os.access(c, os.W_OK) and _fits(Path(c) / "slipway-12345678")
    ]
    if not usable:
        raise FolderError(
            "No folder with a path short enough for unix sockets can be written; set XDG_RUNTIME_DIR."
        )
    return usable[0]
