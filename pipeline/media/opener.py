"""What a probe and a relay read from: an opened range, and whatever opens ranges of media URLs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, Self

from pipeline.media.fetch import FetchPolicy


class Opened(Protocol):
    """A range of a file on its way, with what is known of the whole. As ``fetch.Ranged``; close it."""

    content_type: str
    total_bytes: int | None
    etag: str | None
    ranged: bool

    def read(self, length: int) -> bytes:
        """The next bytes, fewer only at the end. Raises Refused and Unanswered."""

    @property
    def chunks(self) -> Iterator[bytes]:
        """What is left, in pieces."""

    def close(self) -> None:
        """Lets go."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Opener(Protocol):
    """Opens ranges of media URLs: the fetcher, or a workspace's reader."""

    @property
    def policy(self) -> FetchPolicy:
        """How long and how much."""

    def open_range(
        self, url: str, first: int, length: int, *, etag: str | None = None, seconds: float | None = None
    ) -> Opened:
        """As ``Fetcher.open_range``. Raises Refused and Unanswered."""
