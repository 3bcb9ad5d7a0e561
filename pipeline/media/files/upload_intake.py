"""One uploaded file on its way into storage: counted, hashed, its first bytes held against the type it claims to be."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.media.files.storage_folder import Sink
from pipeline.media.probe.sniff import HEAD_BYTES, sniff

_ALIKE: Mapping[str, frozenset[str]] = {
    kind: family
    for family in (
        # one container each; what tells its members apart is a brand that cameras and editors set as they like
        frozenset({"video/mp4", "video/quicktime", "video/x-m4v"}),
        frozenset({"image/heic", "image/heif"}),
    )
    for kind in family
}


class TypeDiffers(Exception):
    """The bytes are not of the declared type; the message says what they are."""


class TooLarge(Exception):
    """More bytes than are allowed."""


@dataclass(kw_only=True, slots=True)
class Intake:
    """Takes pieces of any size. ``sink`` None: only looks, where the file is there already."""

    content_type: str
    most: int
    sink: Sink | None
    size: int = 0
    """Bytes so far."""
    _head: bytes = b""
    _known: bool = False
    _over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        """The next piece. Raises TypeDiffers, TooLarge and StorageAway; nothing after that is wanted."""
        with self._turn():
            self.size += len(data)
            if self.size > self.most:
                raise TooLarge
            if not self._known:
                self._head += data[: HEAD_BYTES - len(self._head)]
                if len(self._head) == HEAD_BYTES:
                    self._look()
            self._hash.update(data)
            if self.sink is not None:
                self.sink.write(data)

    def finish(self) -> bytes:
        """The SHA-256 of it all, once all of it is durable. Raises TypeDiffers (also for nothing) and StorageAway."""
        with self._turn():
            if not self._known:
                self._look()
            if self.sink is not None:
                self.sink.finish()
            self._over = True
            return self._hash.digest()

    def drop(self) -> None:
        """Lets go of it, once whatever another thread is doing to it has ended."""
        with self._lock:
            if self.sink is not None and not self._over:
                self.sink.drop()
            self._over = True

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._lock:
            if self._over:
                raise ValueError("this upload is over")
            yield

    def _look(self) -> None:
        found = sniff(self._head)
        seen = "of no type that is taken" if found is None else found.content_type
        if found is None or found.content_type not in _ALIKE.get(self.content_type, {self.content_type}):
            raise TypeDiffers(f"The bytes are {seen}, not {self.content_type}.")
        self._known = True
