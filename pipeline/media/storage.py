"""Storage of uploaded files: in a folder, or in an S3-compatible bucket through obstore (Rust's object_store)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store
from pydantic import SecretStr

from pipeline.runtime.failpoint import failpoint

if TYPE_CHECKING:  # its stubs name types that do not exist at run time
    from obstore import WritableFile
    from obstore.store import S3Config


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
        """Discard the written bytes. Called once, instead of ``finish``."""


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
        """Return an identity of this storage that is the same on every host; None where there is none."""

    def remove(self, key: str) -> None:
        """Delete the object, if it exists, and the parts that an unfinished upload left of it.

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
        """Raise StorageUnavailable if the folder is away: another in its place would hide, or lose, stored files."""
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


PART_BYTES = 5 * 1024 * 1024
"""Bytes of one part of a multipart upload, S3's minimum (docs.aws.amazon.com/AmazonS3, "Multipart upload limits", read
2026-11); with its 10,000 parts that makes 48 GiB. An upload has at most three parts in memory."""
FIRST_WINDOW, MAX_WINDOW = 256 * 1024, 2 * 1024 * 1024
"""Bytes of one range request. The first is small, since a probe reads small parts; the largest fits the timeout."""


class BucketStorage:
    """A bucket with one object per file, under a prefix. The bucket's lifecycle rule removes unfinished uploads.

    Alternatives to obstore read (2026-11): minio has had no release for a year; boto3 is maintained, but untyped, ten
    times the size, and its upload from a stream needs a seekable file or threads of its own.
    """

    def __init__(
        self,
        *,
        bucket: str,
        endpoint: str,
        region: str,
        access_key: str,
        secret_key: SecretStr,
        path_style: bool,
    ) -> None:
        self._identity = f"{endpoint or region} {bucket}"
        config: S3Config = {"region": region, "virtual_hosted_style_request": not path_style}
        if endpoint:
            config["endpoint"] = endpoint
        if access_key:
            config["access_key_id"] = access_key
            config["secret_access_key"] = secret_key.get_secret_value()
        self._store = S3Store(
            bucket,
            config=config,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=30),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
        )

    def begin(self, key: str) -> StorageWriter:
        """Begin an object. It is sent in one request at the end, or in parts if large; all of it or nothing appears."""
        with _translate_bucket_errors():
            return _BucketWriter(
                obstore.open_writer(self._store, _PREFIX + key, buffer_size=PART_BYTES, max_concurrency=2)
            )

    def open(self, key: str, first: int, length: int) -> StorageReader:
        """Open a range, which is requested in windows as it is read."""
        return _BucketReader(self._store, _PREFIX + key, first, length)

    def identify(self) -> str | None:
        """Return where the bucket is, and its name."""
        return self._identity

    def remove(self, key: str) -> None:
        """Delete the object."""
        with _translate_bucket_errors():
            obstore.delete(self._store, _PREFIX + key)


_PREFIX = "files/"


class _BucketWriter:
    def __init__(self, writer: WritableFile) -> None:
        self._writer: WritableFile | None = writer

    def write(self, data: bytes) -> None:
        with _translate_bucket_errors():
            self._open.write(data)

    def finish(self) -> None:
        with _translate_bucket_errors():
            self._open.close()

    def drop(self) -> None:
        self._writer = None  # a writer that is not closed makes no object

    @property
    def _open(self) -> WritableFile:
        if self._writer is None:
            raise ValueError("dropped")
        return self._writer


class _BucketReader:
    def __init__(self, store: S3Store, key: str, first: int, length: int) -> None:
        self._store, self._key = store, key
        self._position, self._end = first, first + length
        self._window = FIRST_WINDOW
        self._buffer = memoryview(b"")

    def read(self, length: int) -> bytes:
        out = bytearray()
        while len(out) < length and (self._buffer or self._position < self._end):
            if not self._buffer:
                self._fill()
            taken = self._buffer[: length - len(out)]
            out += taken
            self._buffer = self._buffer[len(taken) :]
        return bytes(out)

    def _fill(self) -> None:
        expected = min(self._window, self._end - self._position)
        with _translate_bucket_errors():
            found = bytes(obstore.get_range(self._store, self._key, start=self._position, length=expected))
        if len(found) != expected:
            raise StorageUnavailable(f"the bucket answered {len(found)} bytes instead of {expected}")
        self._buffer, self._position = memoryview(found), self._position + expected
        self._window = min(2 * self._window, MAX_WINDOW)

    def close(self) -> None:
        self._buffer, self._position = memoryview(b""), self._end


@contextmanager
def _translate_bucket_errors() -> Iterator[None]:
    """Translate errors without their texts, which contain requests and addresses; the cause is for the log."""
    try:
        yield
    except FileNotFoundError:
        raise ObjectMissing("the object or its bucket does not exist") from None
    except (BaseError, OSError) as error:
        raise StorageUnavailable(f"the bucket cannot be used ({type(error).__name__})") from error
