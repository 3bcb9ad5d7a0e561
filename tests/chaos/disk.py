"""A small file system for the database alone, which can be filled without filling the machine's disk."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

MIB = 1024 * 1024
SIZE = 4096 * MIB
"""Bytes. The image file is sparse."""
MISSING = "none: a disk of its own needs root, mkfs.ext4 and a free loop device"


class Disk:
    """An ext4 file system in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self._image = folder / "disk.img"
        self._ballast = self.folder / "ballast"

    def mount(self) -> bool:
        """Create and mount the file system. Return False without root, the tools or a loop device."""
        if os.geteuid() or not all(shutil.which(p, path=_PATH) for p in ("mkfs.ext4", "mount", "umount")):
            return False
        with self._image.open("wb") as image:
            image.truncate(SIZE)
        self.folder.mkdir()
        made = _run_program("mkfs.ext4", "-q", "-m", "0", str(self._image))
        return made and _run_program("mount", "-o", "loop", str(self._image), str(self.folder))

    def move_data(self, data: Path) -> None:
        """Move a stopped server's data folder here and replace it by a symbolic link. Raises OSError."""
        if not _run_program("cp", "-a", str(data), str(self.folder / data.name)):
            raise OSError(f"{data} could not be copied.")
        shutil.rmtree(data)
        data.symlink_to(self.folder / data.name)

    def fill(self) -> None:
        """Allocate all free space, in ever smaller pieces."""
        piece = SIZE
        with self._ballast.open("wb") as ballast:
            while piece >= 1024:
                try:
                    os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, piece)
                except OSError as error:
                    if error.errno not in (errno.ENOSPC, errno.EFBIG):
                        raise
                    piece //= 2

    def free(self) -> None:
        """Free the space that ``fill`` allocated."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Unmount the file system. Raises OSError if it is in use."""
        if not _run_program("umount", str(self.folder)):
            raise OSError(f"{self.folder} is still in use.")


_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def _run_program(program: str, *words: str) -> bool:
    """Run a system program; return whether it exists and succeeds."""
    found = shutil.which(program, path=_PATH)
    return found is not None and subprocess.run([found, *words], check=False).returncode == 0
