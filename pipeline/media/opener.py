"""Protocols of what a probe and a relay read from: an open range of a file, and what opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, Self

from pipeline.media.fetch import FetchPolicy


class OpenRange(Protocol):
    """An open range of a file, with facts of the whole file. As ``fetch.RangeResponse``; close it after use."""

    content_type: str
    total_bytes: int | None
    etag: str | None
    ranged: bool

    def read(self, length: int) -> bytes:
        """Return the next bytes, fewer only at the end. Raises Refused and Unanswered."""

    @property
    def chunks(self) -> Iterator[bytes]:
        """The rest of the range in pieces."""

    def close(self) -> None:
        """Close the connection or file."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Opener(Protocol):
    """Opens ranges of media URLs: the fetcher, or a workspace's reader."""

    @property
    def policy(self) -> FetchPolicy:
        """The limits of time and size."""

    def open_range(
        self,
        url: str,
        first: int,
        length: int,
        *,
        etag: str | None = None,
        seconds: float | None = None,
        watch: Callable[[], None] | None = None,
    ) -> OpenRange:
        """As ``Fetcher.open_range``. Raises Refused and Unanswered."""
