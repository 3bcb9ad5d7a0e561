"""Read the bytes of an upload: opened before anything is sent, and exactly as many as announced."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from adapters.contract import Media
from adapters.errors import Unavailable
from adapters.http import SizedBody

UNAVAILABLE = "media_unavailable"


def open_range(media: Media, first: int, length: int) -> Iterator[bytes]:
    """Return *length* bytes from offset *first*.

    The first piece is read at once, so that a dead source fails before the request is sent. Raise what the source
    raises: Unavailable if it does not respond, Rejected if the file has changed.
    """
    if media.stream is None:
        raise Unavailable("The media file has no source to read from.", code=UNAVAILABLE)
    pieces = media.stream(first, length)
    head = next(pieces, None)
    if head is None:
        raise Unavailable("The media source returned no bytes.", code=UNAVAILABLE)
    return _require_length(chain((head,), pieces), length)


def open_body(media: Media, first: int, length: int) -> SizedBody:
    """Return the same bytes as a request body."""
    return SizedBody(open_range(media, first, length), length)


def get_size(media: Media) -> int:
    """Return the file's size in bytes. Raise Unavailable if the file was not checked yet."""
    if media.facts is None:
        raise Unavailable("The size of the media file is not known yet.", code=UNAVAILABLE)
    return media.facts.bytes


def _require_length(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    seen = 0
    for piece in pieces:
        seen += len(piece)
        if seen > length:
            break
        yield piece
    if seen != length:
        raise Unavailable(f"The media source returned {seen} bytes instead of {length}.", code=UNAVAILABLE)
