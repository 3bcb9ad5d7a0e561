"""Streams a checked file from its source to an upload: constant memory, resumed after breaks, never another file.

Slow sources are limited by a minimum rate, and by a share of the slots per workspace.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from threading import Lock
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID

from adapters.contract import MediaFacts
from adapters.errors import Rejected, StorageFault, Unavailable
from pipeline.media.fetch import CHUNK, Opener, OpenRange
from pipeline.media.url_policy import Refused, Unanswered

SLOWEST = 64 * 1024
"""Bytes per second that a source must deliver, as in ``FetchPolicy``."""
SUSPECT_AFTER = 2.0
"""Seconds of waiting for the source after which a transfer below the rate counts as slow."""
WINDOW = 10.0
"""Seconds of waiting after which a slow transfer is ended; a faster one is measured again from zero."""
SHARE = 4
"""A workspace may have a quarter of the slots in slow transfers."""
PUT_OFF = (5.0, 30.0)
"""Seconds, at random, for which further deliveries of such a workspace are put off before anything is sent."""


class Transfer:
    """One range of one file on its way. Only the time spent waiting for the source counts. Not thread-safe."""

    def __init__(
        self, record: Callable[..., None] | None = None, while_waiting: Callable[[], None] | None = None
    ) -> None:
        """*record*: gets *is_slow* when that changes."""
        self._record, self._while_waiting = record, while_waiting
        self._waited = 0.0
        self._waiting_since: float | None = None
        self._bytes = 0
        self._is_slow = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time spent inside as waiting for the source."""
        self._waiting_since = time.monotonic()
        try:
            yield
        finally:
            self._waited, self._waiting_since = self._get_waited(), None

    def add(self, length: int) -> None:
        """Count bytes that have arrived."""
        self._bytes += length

    def watch(self) -> None:
        """Call ``while_waiting``; raise Unavailable if the transfer is too slow. For every second of waiting."""
        if self._while_waiting is not None:
            self._while_waiting()
        self._require_rate()

    def _require_rate(self) -> None:
        waited = self._get_waited()
        is_slow = waited >= SUSPECT_AFTER and self._bytes < SLOWEST * waited
        self._set_slow(is_slow=is_slow)
        if waited < WINDOW:
            return
        if is_slow:
            raise Unavailable(
                f"the media file could not be read: it comes at less than {SLOWEST // 1024} KiB per second",
                code="media_unavailable",
            )
        self._waited, self._bytes = 0.0, 0
        if self._waiting_since is not None:
            self._waiting_since = time.monotonic()

    def close(self) -> None:
        """Stop counting it as slow."""
        self._set_slow(is_slow=False)

    def _set_slow(self, *, is_slow: bool) -> None:
        if is_slow != self._is_slow and self._record is not None:
            self._record(is_slow=is_slow)  # if it raises, this one was not counted
        self._is_slow = is_slow

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _get_waited(self) -> float:
        if self._waiting_since is None:
            return self._waited
        return self._waited + time.monotonic() - self._waiting_since


class Transfers:
    """The slow transfers of this process, by workspace. Thread-safe.

    A source that sends a byte a second would hold the slot of its upload until the upload's own time is over. Each
    transfer is measured, and ended when it stays below the minimum rate; a workspace may have a quarter of the slots
    of the process in transfers below it. The delivery is retried later, as after any source that does not answer.
    """

    def __init__(self, slots: int) -> None:
        self._share = max(1, slots // SHARE)
        self._slow: Counter[UUID] = Counter()
        self._lock = Lock()

    def open(self, workspace: UUID, while_waiting: Callable[[], None] | None = None) -> Transfer:
        """Begin a transfer. Raise Unavailable while the workspace has its share of slow ones."""
        with self._lock:
            self._require_share(workspace)
        return Transfer(partial(self.record, workspace), while_waiting)

    def get_wait(self, workspace: UUID) -> timedelta:
        """Return how long a delivery of this workspace is best put off: zero unless its share is taken."""
        with self._lock:
            is_full = self._slow[workspace] >= self._share
        return timedelta(seconds=random.uniform(*PUT_OFF)) if is_full else timedelta(0)  # noqa: S311  spreads load

    def record(self, workspace: UUID, *, is_slow: bool) -> None:
        """Count a transfer that became slow, or no longer is. Raise Unavailable if it would be one too many."""
        with self._lock:
            if is_slow:
                self._require_share(workspace)
                self._slow[workspace] += 1
            else:
                self._slow[workspace] -= 1
                self._slow += Counter()  # drops workspaces without any

    def _require_share(self, workspace: UUID) -> None:
        if self._slow[workspace] >= self._share:  # a Counter stores nothing for a key it lacks
            raise Unavailable(
                f"the media file could not be read: {self._share} other files of this workspace come too slowly",
                code="media_unavailable",
            )


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
