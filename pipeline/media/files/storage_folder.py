"""Storage of uploaded files: its protocol, and an implementation in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol
from uuid import uuid4

from pipeline.runtime.failpoint import failpoint


class StorageUnavailable(Exception):
    """The storage cannot be used now: unreachable, full or not writable. A retry may succeed."""


class ObjectMissing(StorageUnavailable):
    """There is no such object. If the database has a row for it, the storage is at fault: a disk is not mounted."""


class StorageWriter(Protocol):
    """An object being written. It can be read only after ``finish``. All methods raise StorageUnavailable."""

    def write(self, data: bytes) -> None:
        """Append bytes."""

    def finish(self) -> None:
        """Make the object durable and readable, or raise."""

    def drop(self) -> None:
        """Discard what was written. Called once, instead of ``finish``."""


class StorageReader(Protocol):
    """A range of an object, read from start to end."""

    def read(self, length: int) -> bytes:
        """Return the next bytes, fewer only at the end of the range. Raises StorageUnavailable."""

    def close(self) -> None:
        """Close it."""


class Storage(Protocol):
    """Objects by key: written whole, never changed, read in ranges. Thread-safe."""

    def begin(self, key: str) -> StorageWriter:
        """Begin a new object. Raises StorageUnavailable."""

    def open(self, key: str, first: int, length: int) -> StorageReader:
        """Open a range within the object. Raises StorageUnavailable; ObjectMissing where the storage can tell."""

    def identify(self) -> str | None:
        """Return what tells this storage from others, on every host; None where there is none."""

    def remove(self, key: str) -> None:
        """Delete the object, if it exists, and what an unfinished upload left of it.

        Raises StorageUnavailable: then it may or may not exist.
        """


class FolderStorage:
    """A folder on a disk that all processes share, with one file per object."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._was_there = root.is_dir()

    def begin(self, key: str) -> StorageWriter:
        """Begin a file. It gets its final name when all of it is on the disk."""
        path = self._path(key)
        if self._was_there:
            self._require_root()
        with _translate_errors():
            _make_folder(path.parent)
            self._was_there = True
            return _FileWriter(path)

    def open(self, key: str, first: int, length: int) -> StorageReader:
        """Open a range of the file."""
        with _translate_errors():
            file = self._path(key).open("rb")
            file.seek(first)
            self._was_there = True
            return _FileReader(file, length)

    def identify(self) -> str | None:
        """Return the folder's identity, a symbolic link: one of several processes makes it, with its text, at once."""
        link = self._root / ".identity"
        with suppress(OSError):
            link.symlink_to(uuid4().hex)
        with suppress(OSError):
            return str(link.readlink())
        return None

    def remove(self, key: str) -> None:
        """Delete the file under its final and its unfinished name."""
        path = self._path(key)
        self._require_root()
        with _translate_errors():
            path.unlink(missing_ok=True)
            _unfinished_path(path).unlink(missing_ok=True)

    def _require_root(self) -> None:
        """Raise StorageUnavailable if the folder is away: another in its place would hide, or lose, what is stored."""
        if not self._root.is_dir():
            raise StorageUnavailable("the folder of uploaded files does not exist")

    def _path(self, key: str) -> Path:
        return self._root / key


class _FileWriter:
    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor = os.open(
            _unfinished_path(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, data: bytes) -> None:
        with _translate_errors():
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]

    def finish(self) -> None:
        with _translate_errors():
            with self._file:
                os.fsync(self._file)
            failpoint("files.written")
            _unfinished_path(self._path).rename(self._path)
            _sync(self._path.parent)

    def drop(self) -> None:
        with _translate_errors():
            self._file.close()
            _unfinished_path(self._path).unlink(missing_ok=True)


class _FileReader:
    def __init__(self, file: IO[bytes], length: int) -> None:
        self._file, self._left = file, length

    def read(self, length: int) -> bytes:
        with _translate_errors():
            data = self._file.read(min(length, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


def _unfinished_path(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _make_folder(folder: Path) -> None:
    """Create the folder (0700) and its parents, each with a durable directory entry."""
    missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
    for one in reversed(missing):
        with suppress(FileExistsError):  # another upload has created it
            one.mkdir(mode=0o700)
        _sync(one.parent)


def _sync(folder: Path) -> None:
    """Flush a folder to the disk: only then does a rename in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ObjectMissing("the file is not in storage") from None
    except OSError as error:
        raise StorageUnavailable(f"the folder of uploaded files cannot be used ({error.strerror})") from error
