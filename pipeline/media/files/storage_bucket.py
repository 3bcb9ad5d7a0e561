"""An S3-compatible bucket as the place where uploaded files lie, through obstore (Rust's object_store).

Read: boto3 and minio were looked at as well (2026-11). minio has had no release for a year; boto3 is alive, but
untyped, ten times the size, and its upload from a stream wants a seekable file or threads of its own.
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

from pipeline.media.files.storage_folder import Missing, Part, Sink, StorageAway

if TYPE_CHECKING:  # its stubs name types that do not exist at run time
    from obstore import WritableFile
    from obstore.store import S3Config

PIECE = 5 * 1024 * 1024
"""Bytes of one part of a multipart upload, S3's least (docs.aws.amazon.com/AmazonS3, "Multipart upload limits", read
2026-11); with its 10,000 parts that makes 48 GiB. An upload holds three of them in memory at most."""
FIRST_WINDOW, WINDOW = 256 * 1024, 2 * 1024 * 1024
"""Bytes of one request for a range: small first, for a probe reads here and there; no request outlives its timeout."""


class Bucket:
    """A bucket: one object each, under a prefix. Broken uploads of several parts are the bucket's own to clean up."""

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

    def begin(self, key: str) -> Sink:
        """Small objects go up in one request at the end, larger ones in parts; either way all or nothing."""
        with _told():
            return _BucketSink(
                obstore.open_writer(self._store, _PREFIX + key, buffer_size=PIECE, max_concurrency=2)
            )

    def open(self, key: str, first: int, length: int) -> Part:
        """A range, asked for in windows as far as it is read."""
        return _BucketPart(self._store, _PREFIX + key, first, length)

    def remove(self, key: str) -> None:
        """The object is gone."""
        with _told():
            obstore.delete(self._store, _PREFIX + key)


_PREFIX = "files/"


class _BucketSink:
    def __init__(self, writer: WritableFile) -> None:
        self._writer: WritableFile | None = writer

    def write(self, data: bytes) -> None:
        with _told():
            self._open.write(data)

    def finish(self) -> None:
        with _told():
            self._open.close()

    def drop(self) -> None:
        self._writer = None  # never closed, so it never becomes an object

    @property
    def _open(self) -> WritableFile:
        if self._writer is None:
            raise ValueError("dropped")
        return self._writer


class _BucketPart:
    def __init__(self, store: S3Store, key: str, first: int, length: int) -> None:
        self._store, self._key = store, key
        self._at, self._end = first, first + length
        self._window = FIRST_WINDOW
        self._held = memoryview(b"")

    def read(self, length: int) -> bytes:
        out = bytearray()
        while len(out) < length and (self._held or self._at < self._end):
            if not self._held:
                self._fill()
            taken = self._held[: length - len(out)]
            out += taken
            self._held = self._held[len(taken) :]
        return bytes(out)

    def _fill(self) -> None:
        wanted = min(self._window, self._end - self._at)
        with _told():
            found = bytes(obstore.get_range(self._store, self._key, start=self._at, length=wanted))
        if len(found) != wanted:
            raise StorageAway(f"the bucket answered {len(found)} bytes instead of {wanted}")
        self._held, self._at = memoryview(found), self._at + wanted
        self._window = min(2 * self._window, WINDOW)

    def close(self) -> None:
        self._held, self._at = memoryview(b""), self._end


@contextmanager
def _told() -> Iterator[None]:
    """Its errors hold the whole exchange, requests and addresses included: that is for the log, not for an answer."""
    try:
        yield
    except FileNotFoundError:
        raise Missing("the object, or its bucket, is not there") from None
    except (BaseError, OSError) as error:
        raise StorageAway(f"the bucket cannot be used ({type(error).__name__})") from error
