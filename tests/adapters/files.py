"""Made-up files: bytes that differ at every offset, and what a probe would have seen of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from adapters.contract import Media, MediaFacts

Stream = Callable[[int, int], Iterator[bytes]]


def content(first: int, length: int) -> bytes:
    """The bytes of the made-up video: different at every offset, so that a shifted upload shows."""
    pattern = bytes(range(251))
    start = first % 251
    return (pattern * (length // 251 + 2))[start : start + length]


def stream(first: int, length: int) -> Iterator[bytes]:
    """The made-up video in pieces, as the fetcher gives it."""
    for at in range(first, first + length, 1_000_000):
        yield content(at, min(1_000_000, first + length - at))


def facts(**changes: Any) -> MediaFacts:
    known = {
        "content_type": "video/mp4",
        "bytes": 1000,
        "width": 1080,
        "height": 1920,
        "duration": 12.5,
        "codec": "h264",
        "fps": 30.0,
    }
    return MediaFacts(**{**known, **changes})


def short_video(content: bytes, **changes: Any) -> Media:
    """A video of these very bytes."""

    def stream(first: int, length: int) -> Iterator[bytes]:
        yield content[first : first + length]

    known = facts(**{"bytes": len(content), "duration": 20.0, **changes})
    return Media(url="https://cdn.example.com/v.mp4", kind="video", facts=known, stream=stream)
