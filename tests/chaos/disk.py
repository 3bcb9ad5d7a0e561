"""A small disk of the database's own, so that it can be full without filling the machine's."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

MIB = 1024 * 1024
SIZE = 4096 * MIB
"""Bytes. The image is sparse: it takes what is written and no more."""
MISSING = "none: a disk of its own needs root, mkfs.ext4 and a free loop device"


class Disk:
    """An ext4 file system in a file. ``fill`` leaves no byte to anybody; ``free`` gives them back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self._image = folder / "disk.img"
        self._ballast = self.folder / "ballast"

    def mount(self) -> bool:
        """Whether there is such a disk now: not everybody may mount."""
        if os.geteuid() or not all(shutil.which(p, path=_PATH) for p in ("mkfs.ext4", "mount", "umount")):
            return False
        with self._image.open("wb") as image:
            image.truncate(SIZE)
        self.folder.mkdir()
        made = _run_program("mkfs.ext4", "-q", "-m", "0", str(self._image))
        return made and _run_program("mount", "-o", "loop", str(self._image), str(self.folder))

    def move_data(self, data: Path) -> None:
        """Takes a folder whose server is stopped, and leaves a link in its place."""
        if not _run_program("cp", "-a", str(data), str(self.folder / data.name)):
            raise OSError(f"{data} could not be copied.")
        shutil.rmtree(data)
        data.symlink_to(self.folder / data.name)

    def fill(self) -> None:
        """Takes all that is left, in ever smaller pieces."""
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
        """Room again."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """After this nothing of it is left but its image."""
        if not _run_program("umount", str(self.folder)):
            raise OSError(f"{self.folder} is still in use.")


_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def _run_program(program: str, *words: str) -> bool:
    """Whether a program of the system's own did what it was told."""
    found = shutil.which(program, path=_PATH)
    return found is not None and subprocess.run([found, *words], check=False).returncode == 0
