"""Streams a checked file from its source to an upload: constant memory, resumed after breaks, never another file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from adapters.contract import MediaFacts
from adapters.errors import Rejected, StorageFault, Unavailable
from pipeline.media.fetch import CHUNK
from pipeline.media.opener import Opener, OpenRange
from pipeline.media.refusal import Refused, Unanswered
from pipeline.media.transfers import Transfer

TRIES = 4
"""Requests without progress (or broken off) per stream, plus one for each BYTES_PER_TRY requested."""
BYTES_PER_TRY = 16 * 1024 * 1024
_GONE_PART, _PRECONDITION = 416, 412

Stream = Callable[[int, int], Iterator[bytes]]


def relay(
    fetcher: Opener, url: str, facts: MediaFacts, open_transfer: Callable[[], Transfer] = Transfer
) -> Stream:
    """Return ``Media.stream`` of the adapters' contract for a file whose check found ``facts``.

    ``stream(first, length)`` yields exactly ``length`` bytes. It raises Unavailable when the source does not answer or
    is too slow (``open_transfer`` begins the measurement, and may raise it too), StorageFault when an uploaded file
    cannot be read now, Rejected (``media_changed``) when ETag
    or size differ from the check, Rejected (``media_unreachable``) when the source now refuses, and ValueError for a
    range outside the file.
    """

    def stream(first: int, length: int) -> Iterator[bytes]:
        if first < 0 or length < 0 or first + length > facts.bytes:
            raise ValueError(f"no such range: {length} bytes from {first} of {facts.bytes}")
        return _name_host(url, _stream(fetcher, url, facts, first, first + length, open_transfer))

    return stream


def _stream(
    fetcher: Opener,
    url: str,
    facts: MediaFacts,
    at: int,
    end: int,
    open_transfer: Callable[[], Transfer],
) -> Iterator[bytes]:
    tries = TRIES + (end - at) // BYTES_PER_TRY
    reason = ""
    with open_transfer() as transfer:
        while at < end:
            if tries == 0:
                raise Unavailable(f"the media file could not be read: {reason}", code="media_unavailable")
            before = at
            try:
                for chunk in _read_chunks(fetcher, url, facts, at, end - at, transfer):
                    at += len(chunk)
                    yield chunk
                reason = "it ended before its size"
            except Unanswered as error:
                reason = error.reason
                tries -= 1
            except Refused as error:
                raise _reject(error) from None
            else:
                # some servers send a range in slices; each that makes progress costs no try
                tries -= at - before < CHUNK


def _read_chunks(
    fetcher: Opener, url: str, facts: MediaFacts, first: int, length: int, transfer: Transfer
) -> Iterator[bytes]:
    """Read one range of the file, and measure how long it is awaited."""
    with transfer.waiting():
        source = fetcher.open_range(url, first, length, etag=facts.etag, watch=transfer.watch)
    with source:
        _require_unchanged(source, facts)
        chunks = source.chunks
        while True:
            with transfer.waiting():
                chunk = next(chunks, b"")
            if not chunk:
                return
            transfer.add(len(chunk))
            yield chunk


def _name_host(url: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks; name the host in the error of a source that does not respond."""
    try:
        yield from chunks
    except StorageFault:
        raise
    except Unavailable as error:
        error.host = urlsplit(url).hostname
        raise


def _require_unchanged(source: OpenRange, facts: MediaFacts) -> None:
    size_differs = source.total_bytes is not None and source.total_bytes != facts.bytes
    tag_differs = facts.etag is not None and source.etag is not None and source.etag != facts.etag
    if size_differs or tag_differs:
        raise build_media_changed()


def build_media_changed() -> Rejected:
    """Build the error of a file that is another one than was checked."""
    return Rejected(
        "the media file is no longer the one that was checked",
        code="media_changed",
        next_action="Send the post again, so that the file as it is now gets checked.",
    )


def _reject(error: Refused) -> Rejected:
    if error.status in (_GONE_PART, _PRECONDITION):
        return build_media_changed()
    return Rejected(
        f"the media file can no longer be read: {error.reason}",
        code="media_unreachable",
        http_status=error.status,
        next_action="Make the file reachable again at its URL, or send the post with another one.",
    )
