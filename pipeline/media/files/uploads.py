"""Uploaded files as media: their URLs lead to storage by id, never over HTTP, and only within their own workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from pipeline.media.fetch import CHUNK, Fetcher, FetchPolicy
from pipeline.media.files.storage_folder import Part, Storage, StorageAway
from pipeline.media.files.upload_urls import Addresses
from pipeline.media.opener import Opened
from pipeline.media.refusal import Refused, Unanswered
from pipeline.store.database import Database, Unreachable
from pipeline.store.files import files as store
from pipeline.store.files.files import File

_NOT_FOUND, _UNSATISFIABLE = 404, 416


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """The uploaded files of an installation."""

    database: Database
    storage: Storage
    addresses: Addresses
    fetcher: Fetcher

    def opener(self, workspace: UUID) -> Reader:
        """What the media of a workspace are read through."""
        return Reader(files=self, workspace=workspace)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Opens a workspace's own files in storage and everything else by the fetcher. For one piece of work."""

    files: Files
    workspace: UUID
    _known: dict[str, File] = field(default_factory=dict, repr=False)

    @property
    def policy(self) -> FetchPolicy:
        """The fetcher's."""
        return self.files.fetcher.policy

    def open_range(
        self, url: str, first: int, length: int, *, etag: str | None = None, seconds: float | None = None
    ) -> Opened:
        """As ``Fetcher.open_range``. Another workspace's file is refused as one that is not there."""
        name = self.files.addresses.name_in(url)
        if name is None:
            return self.files.fetcher.open_range(url, first, length, etag=etag, seconds=seconds)
        if first < 0 or length < 1:
            raise ValueError(f"no such range: {length} bytes from {first}")
        try:
            return self._stored(self._find(url, name), first, length)
        except (StorageAway, Unreachable):  # the ledger says that it is there: it may be again
            raise Unanswered("HTTP 503") from None

    def _find(self, url: str, name: str) -> File:
        if url not in self._known:
            with self.files.database.begin() as c:
                found = store.find_own(c, self.workspace, name)
            if found is None or found.url != url:  # uses are traced by the URL as we gave it
                raise _not_found()
            self._known[url] = found
        return self._known[url]

    def _stored(self, file: File, first: int, length: int) -> Opened:
        if file.object is None or file.size is None or file.sha256 is None:
            raise _not_found()
        if first >= file.size:
            raise Refused("the file ends before the range that was asked for", status=_UNSATISFIABLE)
        length = min(length, file.size - first)
        return Stored(
            content_type=file.content_type,
            total_bytes=file.size,
            etag=etag_of(file.sha256),
            _part=self.files.storage.open(file.object, first, length),
        )


@dataclass(kw_only=True, slots=True)
class Stored:
    """A range of an uploaded file, opened. Close it."""

    content_type: str
    total_bytes: int | None
    etag: str | None
    _part: Part = field(repr=False)
    ranged: bool = True

    def read(self, length: int) -> bytes:
        """The next ``length`` bytes, fewer only at the end of the range. Raises Refused and Unanswered."""
        try:
            return self._part.read(length)
        except StorageAway:
            raise Unanswered("the answer broke off") from None

    @property
    def chunks(self) -> Iterator[bytes]:
        """What is left of the range, in pieces of CHUNK bytes (the last may be shorter)."""
        return iter(lambda: self.read(CHUNK), b"")

    def close(self) -> None:
        """Lets go of the object."""
        self._part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def etag_of(sha256: bytes) -> str:
    """The strong ETag of a stored file."""
    return f'"{bytes(sha256).hex()}"'


def _not_found() -> Refused:
    """Word for word what the fetcher says of a URL with nothing behind it."""
    return Refused(f"HTTP {_NOT_FOUND}", status=_NOT_FOUND)
