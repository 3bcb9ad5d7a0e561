"""Receives one uploaded file: counts and hashes it, and compares its first bytes with the declared type."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.media.files.storage import StorageWriter
from pipeline.media.probe.sniff import HEAD_BYTES, sniff

_INTERCHANGEABLE: Mapping[str, frozenset[str]] = {
    kind: family
    for family in (
        # one container per family; members differ by a brand that cameras and editors set inconsistently
        frozenset({"video/mp4", "video/quicktime", "video/x-m4v"}),
        frozenset({"image/heic", "image/heif"}),
    )
    for kind in family
}


class TypeMismatch(Exception):
    """The bytes are not of the declared type; the message says of which they are."""


class TooLarge(Exception):
    """The file has more bytes than allowed."""


@dataclass(kw_only=True, slots=True)
class UploadIntake:
    """Receives pieces of any size. ``sink`` None: only checks them, if the file is stored already.

    ``content_type`` None: the bytes are not compared with a type.
    """

    content_type: str | None
    most: int
    sink: StorageWriter | None
    size: int = 0
    """Bytes received so far."""
    head: bytes = b""
    """The first bytes received, up to HEAD_BYTES."""
    _is_checked: bool = False
    _is_over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        """Receive the next piece. Raises TypeMismatch, TooLarge and StorageUnavailable; then the upload is over."""
        with self._exclusive():
            self.size += len(data)
            if self.size > self.most:
                raise TooLarge
            if not self._is_checked:
                self.head += data[: HEAD_BYTES - len(self.head)]
                if len(self.head) == HEAD_BYTES:
                    self._check_type()
            self._hash.update(data)
            if self.sink is not None:
                self.sink.write(data)

    def finish(self) -> bytes:
        """Make the file durable and return its SHA-256. Raises TypeMismatch (also if empty) and StorageUnavailable."""
        with self._exclusive():
            if not self._is_checked:
                self._check_type()
            if self.sink is not None:
                self.sink.finish()
            self._is_over = True
            return self._hash.digest()

    def drop(self) -> None:
        """Discard the file, after a call of another thread has ended."""
        with self._lock:
            if self.sink is not None and not self._is_over:
                self.sink.drop()
            self._is_over = True

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        with self._lock:
            if self._is_over:
                raise ValueError("this upload is over")
            yield

    def _check_type(self) -> None:
        if self.content_type is not None:
            _require_type(self.content_type, self.head)
        self._is_checked = True


def _require_type(content_type: str, head: bytes) -> None:
    found = sniff(head)
    actual = "of no accepted type" if found is None else found.content_type
    if found is None or found.content_type not in _INTERCHANGEABLE.get(content_type, {content_type}):
        raise TypeMismatch(f"The bytes are {actual}, not {content_type}.")
