"""A file's bytes on their way to LinkedIn: opened before anything is sent, and exactly as many as announced."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from adapters.contract import Media
from adapters.errors import Unavailable
from adapters.http import SizedBody


def bytes_of(media: Media, first: int, length: int) -> SizedBody:
    """``length`` bytes from offset ``first``, the first piece already here: a dead source is noticed in time.

    Raises what the source raises: Unavailable when it does not answer, Rejected when the file has changed.
    """
    if media.stream is None:
        raise Unavailable("The media has no source to read from.", code="media_unavailable")
    pieces = media.stream(first, length)
    head = next(pieces, None)
    if head is None:
        raise Unavailable("The media's source gave no bytes.", code="media_unavailable")
    return SizedBody(_exactly(chain((head,), pieces), length), length)


def size_of(media: Media) -> int:
    """The file's size. Raises Unavailable when nobody looked at it yet."""
    if media.facts is None:
        raise Unavailable("The media's size is not known.", code="media_unavailable")
    return media.facts.bytes


def _exactly(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    seen = 0
    for piece in pieces:
        seen += len(piece)
        if seen > length:
            break
        yield piece
    if seen != length:
        raise Unavailable(
            f"The media's source gave {seen} bytes instead of {length}.", code="media_unavailable"
        )
