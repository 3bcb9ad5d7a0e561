"""Storage of uploaded files in an S3-compatible bucket, through obstore (Rust's object_store).

Alternatives read (2026-11): minio has had no release for a year; boto3 is maintained, but untyped, ten times the size,
and its upload from a stream needs a seekable file or threads of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store
from pydantic import SecretStr

from pipeline.media.files.storage_folder import (
    ObjectMissing,
    StorageReader,
    StorageUnavailable,
    StorageWriter,
)

if TYPE_CHECKING:  # its stubs name types that do not exist at run time
    from obstore import WritableFile
    from obstore.store import S3Config

PART_BYTES = 5 * 1024 * 1024
"""Bytes of one part of a multipart upload, S3's minimum (docs.aws.amazon.com/AmazonS3, "Multipart upload limits", read
2026-11); with its 10,000 parts that makes 48 GiB. An upload has at most three parts in memory."""
FIRST_WINDOW, MAX_WINDOW = 256 * 1024, 2 * 1024 * 1024
"""Bytes of one range request. The first is small, since a probe reads small parts; the largest fits the timeout."""


class BucketStorage:
    """A bucket with one object per file, under a prefix. The bucket's lifecycle rule removes unfinished uploads."""

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
        with _translate_errors():
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
        with _translate_errors():
            obstore.delete(self._store, _PREFIX + key)


_PREFIX = "files/"


class _BucketWriter:
    def __init__(self, writer: WritableFile) -> None:
        self._writer: WritableFile | None = writer

    def write(self, data: bytes) -> None:
        with _translate_errors():
            self._open.write(data)

    def finish(self) -> None:
        with _translate_errors():
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
        with _translate_errors():
            found = bytes(obstore.get_range(self._store, self._key, start=self._position, length=expected))
        if len(found) != expected:
            raise StorageUnavailable(f"the bucket answered {len(found)} bytes instead of {expected}")
        self._buffer, self._position = memoryview(found), self._position + expected
        self._window = min(2 * self._window, MAX_WINDOW)

    def close(self) -> None:
        self._buffer, self._position = memoryview(b""), self._end


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate errors without their texts, which contain requests and addresses; the cause is for the log."""
    try:
        yield
    except FileNotFoundError:
        raise ObjectMissing("the object or its bucket does not exist") from None
    except (BaseError, OSError) as error:
        raise StorageUnavailable(f"the bucket cannot be used ({type(error).__name__})") from error
