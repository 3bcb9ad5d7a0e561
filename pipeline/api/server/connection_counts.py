"""How many connections each of several processes has: a file for each, which the others read as memory.

What it says may be a moment old; nothing but the order in which they step forward to a door hangs on it.
"""

from __future__ import annotations

import fcntl
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

NOBODY = 2**32 - 1
"""On the page of no process."""


class Book:
    """One process's copy. Its page is its own as long as it lives."""

    @staticmethod
    def write(folder: Path, pages: int) -> None:
        """A new one, with so many pages."""
        for n in range(pages):
            (folder / f"{n:04}").write_bytes(NOBODY.to_bytes(4, "little"))

    def __init__(self, folder: Path) -> None:
        """Takes a page that is free. Raises RuntimeError when there is none."""
        paths = sorted(folder.iterdir())
        self._lock, mine = _taken(paths)
        self._pages = [_mapped(path) for path in paths]
        self._mine = self._pages[mine]

    def tell(self, mine: int) -> None:
        """So many this process has now."""
        self._mine[0] = mine

    def others_have_fewer(self) -> bool:
        """Whether another process has, as it told last. One that died counts until another has its page."""
        return self._mine[0] > min(page[0] for page in self._pages)

    def close(self) -> None:
        """Gives the page back."""
        self._mine[0] = NOBODY
        self._lock.close()


def _taken(paths: Sequence[Path]) -> tuple[BinaryIO, int]:
    """Which one is nobody else's from now on, until it is closed or the process ends."""
    for n, path in enumerate(paths):
        file = path.open("rb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            return file, n
    raise RuntimeError(f"All {len(paths)} pages are taken: more processes than there should be.")


def _mapped(path: Path) -> memoryview[int]:
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 0)).cast("I")
