"""A file's bytes on their way to a platform: opened before anything is sent, and exactly as many as announced."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from adapters.contract import Media
from adapters.errors import Unavailable
from adapters.http import SizedBody

UNAVAILABLE = "media_unavailable"


def open_range(media: Media, first: int, length: int) -> Iterator[bytes]:
    """``length`` bytes from offset ``first``, the first piece already here: a dead source is noticed in time.

    Raises what the source raises: Unavailable when it does not answer, Rejected when the file has changed.
    """
    if media.stream is None:
        raise Unavailable("The media has no source to read from.", code=UNAVAILABLE)
    pieces = media.stream(first, length)
    head = next(pieces, None)
    if head is None:
        raise Unavailable("The media's source gave no bytes.", code=UNAVAILABLE)
    return _exactly(chain((head,), pieces), length)


def open_body(media: Media, first: int, length: int) -> SizedBody:
    """The same as a request's body."""
    return SizedBody(open_range(media, first, length), length)


def get_size(media: Media) -> int:
    """The file's size. Raises Unavailable when nobody looked at it yet."""
    if media.facts is None:
        raise Unavailable("The media's size is not known.", code=UNAVAILABLE)
    return media.facts.bytes


def _exactly(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    seen = 0
    for piece in pieces:
        seen += len(piece)
        if seen > length:
            break
        yield piece
    if seen != length:
        raise Unavailable(f"The media's source gave {seen} bytes instead of {length}.", code=UNAVAILABLE)
