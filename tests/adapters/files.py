"""Generated media files: their bytes, and the facts that a probe finds out about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from adapters.contract import Media, MediaFacts

Stream = Callable[[int, int], Iterator[bytes]]
PIECE = 100_000


def content(first: int, length: int) -> bytes:
    """Return a range of the generated file; its bytes differ at every offset, so that a shifted upload is detected."""
    pattern = bytes(range(251))
    start = first % 251
    return (pattern * (length // 251 + 2))[start : start + length]


def stream(first: int, length: int) -> Iterator[bytes]:
    """Yield a range of the generated file in pieces, as the fetcher does."""
    for offset in range(first, first + length, PIECE):
        yield content(offset, min(PIECE, first + length - offset))


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
    """Return a video with exactly these bytes."""

    def stream(first: int, length: int) -> Iterator[bytes]:
        yield content[first : first + length]

    known = facts(**{"bytes": len(content), "duration": 20.0, **changes})
    return Media(url="https://cdn.example.com/v.mp4", kind="video", facts=known, stream=stream)
