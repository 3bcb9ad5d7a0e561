"""The data folder: private (0700), locked by one supervisor at a time, with a path for sockets that is short enough."""

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
PRIVATE = 0o700
LONGEST_SOCKET = "/pg/.s.PGSQL.5432"


class FolderError(Exception):
    """The data folder cannot be used; the message says why and what to do."""


def ensure_private(folder: Path) -> Path:
    """Create `folder` if it does not exist, and restrict it to its owner (0700)."""
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    folder.chmod(PRIVATE)
    return folder


@contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, which also ends with this process. Raises FolderError if another process holds it."""
    with (ensure_private(folder) / "lock").open("a+") as file:
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
    """Return the folder for sockets: inside the data folder or, if its path is too long, a private one under /tmp."""
    inside = ensure_private(ensure_private(folder.resolve()) / "run")
    if _is_short_enough(inside):
        return inside
    note = inside / "sockets"
    if note.is_file() and _is_ours(known := Path(note.read_text())):
        return known
    made = Path(tempfile.mkdtemp(prefix="slipway-", dir=_find_short_base()))
    note.write_text(str(made))
    return made


def _is_short_enough(folder: Path) -> bool:
    return len(os.fsencode(folder)) + len(LONGEST_SOCKET) <= SOCKET_PATH_LIMIT


def _is_ours(folder: Path) -> bool:
    """Return True if it is still the private folder we created: under /tmp, another user may have taken its name."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == PRIVATE
    )


def _find_short_base() -> Path:
    candidates = [os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"]  # noqa: S108 - made 0700, random
    usable = [
        Path(c)
        for c in candidates
        if c and os.access(c, os.W_OK) and _is_short_enough(Path(c) / "slipway-12345678")
    ]
    if not usable:
        raise FolderError(
            "No folder with a path short enough for unix sockets can be written; set XDG_RUNTIME_DIR."
        )
    return usable[0]
