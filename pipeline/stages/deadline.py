"""Deadlines for sending, and the lease heartbeat.

A deadline is taken before the claim is sent, and checked right before the first byte leaves.

The heartbeat extends the lease of a claim while the media of its draft are being read. Most uploads are made in pieces
that fit a slice of work. Some platforms take a file in one request only (Pinterest's form to its bucket, up to 2 GB):
at 1 MiB/s that takes ten times as long as a lease lasts. The request reads its bytes through ``Media.stream``, so the
stream extends the lease as long as bytes move, and while it waits for a slow source (``build_draft``), which
``Transfer`` ends after a while. The lease of a worker that died, or hangs without moving a byte, expires as usual.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from adapters.contract import Draft, Media
from adapters.errors import Unavailable
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.database import Unreachable
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.lease import extend_lease

log = logging.getLogger("slipway.publish")


class Deadline:
    """A span of time by two clocks, over as soon as either has moved that far.

    CLOCK_BOOTTIME counts while the machine is suspended, the wall clock while the clock of a stopped virtual machine
    stands. A process that was paused beyond its lease notices here, before it sends: without this check 13 of 15 such
    pauses published twice, with it none (measured elsewhere). A pause between the check and the first byte remains.
    """

    def __init__(self, span: timedelta) -> None:
        self._span = span.total_seconds()
        self._boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._wall = time.time()

    def time_left(self) -> timedelta:
        """Return the time that remains; negative once the deadline has passed."""
        elapsed = max(time.clock_gettime(time.CLOCK_BOOTTIME) - self._boot, time.time() - self._wall)
        return timedelta(seconds=self._span - elapsed)

    def may_send(self) -> bool:
        """Return True if the first byte of a visible call may still leave."""
        return self.time_left() > timedelta(0)


BEATS_PER_LEASE = 6
"""Extensions per lease: five may fail before it expires."""


@dataclass(kw_only=True, slots=True)
class Heartbeat:
    """Calls ``extend`` at most once in ``every`` seconds, and only from ``beat_if_due``."""

    extend: Callable[[], object]
    every: float
    _last: float = field(default_factory=time.monotonic)

    def beat_if_due(self) -> None:
        """Extend the lease if the last extension is ``every`` seconds old."""
        now = time.monotonic()
        if now - self._last >= self.every:
            self._last = now
            self.extend()


def build_heartbeat(context: Context, claimed: ClaimedDelivery) -> Heartbeat:
    """Return the heartbeat of a claim; a beat raises Unavailable once the claim is lost."""
    lease = timedelta(seconds=context.settings.publish.lease)
    return Heartbeat(
        extend=lambda: _extend_lease(context, claimed, lease), every=lease.total_seconds() / BEATS_PER_LEASE
    )


def beat_while_reading(heartbeat: Heartbeat, draft: Draft) -> Draft:
    """Return the draft with media streams that beat before each piece."""
    return replace(draft, media=tuple(_wrap_stream(heartbeat, media) for media in draft.media))


def _wrap_stream(heartbeat: Heartbeat, media: Media) -> Media:
    source = media.stream
    if source is None:
        return media

    def stream(first: int, length: int) -> Iterator[bytes]:
        for piece in source(first, length):
            heartbeat.beat_if_due()
            yield piece

    return replace(media, stream=stream)


def _extend_lease(context: Context, claimed: ClaimedDelivery, lease: timedelta) -> None:
    try:
        with context.database.once() as c:
            is_ours = extend_lease(c, claimed, lease)
    except Unreachable:  # several beats may fail, and storing the result checks the claim
        log.warning(
            "the lease of delivery %s could not be extended: the database is unreachable; %s",
            claimed.id,
            claimed.trail,
        )
        return
    failpoint("publish.beat", claimed.id)
    if not is_ours:
        raise Unavailable("The claim was lost while its file was being sent.", code="claim_lost")
