"""Where uploaded files lie: what a storage has to do, and a folder that does it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from pipeline.failpoint import failpoint


class StorageAway(Exception):
    """The storage cannot be used right now: away, full, or not ours to write. Trying again may help."""


class Missing(StorageAway):
    """There is no such object. Of one that the ledger names, that is a fault of the storage: a disk not mounted."""


class Sink(Protocol):
    """An object on its way in. Nobody sees anything of it before ``finish`` returns; all raise StorageAway."""

    def write(self, data: bytes) -> None:
        """Appends."""

    def finish(self) -> None:
        """All of it is durable and can be read, or nothing is."""

    def drop(self) -> None:
        """Nothing of it is wanted. Once only, instead of ``finish``."""


class Part(Protocol):
    """A range of an object, read from its beginning to its end."""

    def read(self, length: int) -> bytes:
        """The next bytes, fewer only at the end of the range. Raises StorageAway."""

    def close(self) -> None:
        """Lets go of it."""


class Storage(Protocol):
    """Objects by key: written whole, never changed, read in ranges. Safe to share between threads."""

    def begin(self, key: str) -> Sink:
        """A new object. Raises StorageAway."""

    def open(self, key: str, first: int, length: int) -> Part:
        """That range, which has to lie within the object. Raises StorageAway, Missing where that can be told."""

    def remove(self, key: str) -> None:
        """The object is gone, and whatever a broken upload left of it; so it may have been before.

        Raises StorageAway: then nothing is known.
        """


class Folder:
    """A folder on a disk that every process of the installation sees: one file an object."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def begin(self, key: str) -> Sink:
        """The file gets its name only when all of it is on the disk."""
        path = self._path(key)
        with _told():
            _make(path.parent)
            return _FileSink(path)

    def open(self, key: str, first: int, length: int) -> Part:
        """A range of the file."""
        with _told():
            file = self._path(key).open("rb")
            file.seek(first)
            return _FilePart(file, length)

    def remove(self, key: str) -> None:
        """Both names a file can have are gone."""
        path = self._path(key)
        if not self._root.is_dir():
            raise StorageAway("the folder of uploaded files is not there")
        with _told():
            path.unlink(missing_ok=True)
            _unfinished(path).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._root / key


class _FileSink:
    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor = os.open(_unfinished(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, data: bytes) -> None:
        with _told():
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]

    def finish(self) -> None:
        with _told():
            with self._file:
                os.fsync(self._file)
            failpoint("files.written")
            _unfinished(self._path).rename(self._path)
            _sync(self._path.parent)

    def drop(self) -> None:
        with _told():
            self._file.close()
            _unfinished(self._path).unlink(missing_ok=True)


class _FilePart:
    def __init__(self, file: IO[bytes], length: int) -> None:
        self._file, self._left = file, length

    def read(self, length: int) -> bytes:
        with _told():
            data = self._file.read(min(length, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _make(folder: Path) -> None:
    """The folder, closed to others, and its name durable in every folder above that was made for it."""
    missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
    for one in reversed(missing):
        with suppress(FileExistsError):  # another upload was faster
            one.mkdir(mode=0o700)
        _sync(one.parent)


def _sync(folder: Path) -> None:
    """What was renamed in a folder survives a power cut only once the folder itself is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise Missing("the file is not in storage") from None
    except OSError as error:
        raise StorageAway(f"the folder of uploaded files cannot be used ({error.strerror})") from error
