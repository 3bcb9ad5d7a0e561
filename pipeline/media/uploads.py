"""Uploaded files: received and checked, under URLs that cannot be guessed, and read as media from storage.

Their URLs are never fetched over HTTP, and only their own workspace reads them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Unpack
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from adapters.errors import StorageFault
from pipeline.media.fetch import Fetcher, FetchPolicy, OpenRange, RangeOptions
from pipeline.media.probe.containers import HEAD_BYTES, sniff
from pipeline.media.storage import Storage, StorageReader, StorageUnavailable, StorageWriter
from pipeline.media.url_policy import Refused, parse_target
from pipeline.store.database import Database, Unreachable
from pipeline.store.files import files as store
from pipeline.store.files.files import Content, File

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
            _require_declared_type(self.content_type, self.head)
        self._is_checked = True


def _require_declared_type(content_type: str, head: bytes) -> None:
    found = sniff(head)
    actual = "of no accepted type" if found is None else found.content_type
    if found is None or found.content_type not in _INTERCHANGEABLE.get(content_type, {content_type}):
        raise TypeMismatch(f"The bytes are {actual}, not {content_type}.")


PATH = "/files/"
ENDINGS: Mapping[str, str] = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/heic": "heic",
    "image/heif": "heif",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/x-msvideo": "avi",
    "video/webm": "webm",
    "video/x-m4v": "m4v",
    "application/pdf": "pdf",
}
"""Every type that may be uploaded, and the ending of its URL."""
_PURPOSE = b"slipway: upload URLs, 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadUrls:
    """Makes and checks the URLs. ``keys``: secrets, newest first; the newest signs, all verify."""

    public: str
    """Start of public URLs, such as ``https://host``, without a slash at the end."""
    keys: Sequence[bytes] = field(repr=False)

    def create_name(self, content_type: str) -> str:
        """Return the last part of a new file's URL: 256 random bits and an ending, which some platforms look at."""
        return f"{secrets.token_urlsafe(32)}.{ENDINGS[content_type]}"

    def public_url(self, name: str) -> str:
        """Return the public URL."""
        return f"{self.public}{PATH}{name}"

    def parse_name(self, url: str) -> str | None:
        """Return the file's name in the URL, in any spelling of it; None if it is not a URL of an uploaded file."""
        parts = urlsplit(self.public)
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        origin = f"{parts.scheme}://{host}:{port}"
        try:
            there = parse_target(url, {origin})
        except Refused:
            return None
        below = parts.path + PATH
        if there.origin != origin or not there.path.startswith(below):
            return None
        return there.path.removeprefix(below)

    def sign_query(self, file: UUID, content_type: str, expires: int) -> str:
        """Return the query of an upload URL. ``expires``: seconds since the Unix epoch."""
        signature = _sign(self.keys[0], file, content_type, expires)
        return urlencode({"type": content_type, "expires": expires, "signature": signature})

    def verify(
        self, file: UUID, content_type: str, expires: int, signature: str, now: float
    ) -> Literal["good", "forged", "late"]:
        """Check the signature of an upload URL, and whether it has expired ("late")."""
        given = signature.encode("utf-8", "replace")
        made = [_sign(key, file, content_type, expires).encode() for key in self.keys]
        if not any(hmac.compare_digest(one, given) for one in made):
            return "forged"
        return "good" if now <= expires else "late"


def derive_upload_keys(vault_keys: str) -> list[bytes]:
    """Derive a key for upload URLs from each vault key; a signature reveals nothing about the vault key."""
    keys = [key.strip().encode() for key in vault_keys.split(",") if key.strip()]
    return [hmac.digest(key, _PURPOSE, "sha256") for key in keys]


def _sign(key: bytes, file: UUID, content_type: str, expires: int) -> str:
    message = f"PUT\n{file}\n{content_type}\n{expires}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()


_NOT_FOUND, _UNSATISFIABLE = 404, 416
NO_FILE = f"HTTP {_NOT_FOUND}"
"""The finding at a URL without a file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """The uploaded files of an installation."""

    database: Database
    storage: Storage
    addresses: UploadUrls
    fetcher: Fetcher

    def open_workspace(self, workspace: UUID) -> WorkspaceReader:
        """Return the opener for media of a workspace."""
        return WorkspaceReader(files=self, workspace=workspace)

    def put(self, file: UUID, data: bytes) -> Content:
        """Store bytes of our own for a file, and return them as its content, which the caller commits.

        What is not committed is removed by maintenance. Raises StorageUnavailable and Unreachable.
        """
        key = create_object_key(file)
        with self.database.begin() as c:
            store.begin_put(c, file, key)
        writer = self.storage.begin(key)
        writer.write(data)
        writer.finish()
        return Content(object=key, size=len(data), sha256=hashlib.sha256(data).digest())


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkspaceReader:
    """Opens a workspace's own files from storage and other URLs by the fetcher. Use one per task: it caches rows."""

    files: Files
    workspace: UUID
    _known: dict[str, File] = field(default_factory=dict, repr=False)

    @property
    def policy(self) -> FetchPolicy:
        """The fetcher's policy."""
        return self.files.fetcher.policy

    def open_range(self, url: str, first: int, length: int, **how: Unpack[RangeOptions]) -> OpenRange:
        """As ``Fetcher.open_range``. A file of another workspace is refused like one that does not exist.

        Raises StorageFault if an uploaded file cannot be read now.
        """
        name = self.files.addresses.parse_name(url)
        if name is None:
            return self.files.fetcher.open_range(url, first, length, **how)
        if first < 0 or length < 1:
            raise ValueError(f"no such range: {length} bytes from {first}")
        try:
            return self._open_stored(self._find(url, name), first, length)
        except (StorageUnavailable, Unreachable) as error:  # the database has the file, or cannot tell
            raise build_fault(error) from error

    def _find(self, url: str, name: str) -> File:
        if url not in self._known:
            with self.files.database.begin() as c:
                found = store.find_own(c, self.workspace, name)
            if found is None or found.url != url:  # uses of a file are found by its exact URL
                raise _not_found()
            self._known[url] = found
        return self._known[url]

    def _open_stored(self, file: File, first: int, length: int) -> OpenRange:
        if file.object is None or file.size is None or file.sha256 is None:
            raise _not_found()
        if first >= file.size:
            raise Refused("the file ends before the range that was asked for", status=_UNSATISFIABLE)
        length = min(length, file.size - first)
        return StoredRange(
            content_type=file.content_type,
            total_bytes=file.size,
            etag=compute_etag(file.sha256),
            _reader=self.files.storage.open(file.object, first, length),
        )


@dataclass(kw_only=True, slots=True)
class StoredRange(OpenRange):
    """An open range of an uploaded file."""

    content_type: str
    total_bytes: int | None
    etag: str | None
    _reader: StorageReader = field(repr=False)
    ranged: bool = True

    def read(self, length: int) -> bytes:
        """Return the next ``length`` bytes, fewer only at the end of the range. Raises StorageFault."""
        try:
            return self._reader.read(length)
        except StorageUnavailable as error:
            raise build_fault(error) from error

    def close(self) -> None:
        """Close the object."""
        self._reader.close()


def create_object_key(file: UUID) -> str:
    """Return the key of a new object of a file in storage."""
    return f"{file.hex[-2:]}/{file}-{secrets.token_hex(8)}"


def compute_etag(sha256: bytes) -> str:
    """Return the strong ETag of a stored file."""
    return f'"{bytes(sha256).hex()}"'


def build_fault(error: Exception) -> StorageFault:
    """Build the error of a file that our own storage, or the database, does not give now."""
    return StorageFault(f"The file storage of this installation cannot be used now: {error}.")


def _not_found() -> Refused:
    """Return the same refusal as the fetcher's for a URL without a file."""
    return Refused(NO_FILE, status=_NOT_FOUND)
