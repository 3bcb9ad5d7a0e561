"""A lease that lives as long as an upload moves: a draft whose media, while they are read, keep the claim.

Most uploads go in pieces that fit a slice of work. Some platforms take a file in one request only (Pinterest's form to
its bucket, 2 GB at the most): at 1 MiB a second that outlives a lease ten times over. The bytes of such a request are
pulled through ``Media.stream``, so the stream is where it shows whether this worker lives. A worker that died, or hangs
without moving a byte, beats no more, and its lease runs out as ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from adapters.contract import Draft, Media
from adapters.errors import Unavailable
from pipeline.context import Context
from pipeline.failpoint import failpoint
from pipeline.store.database import Unreachable
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.deliveries.lease import extend

log = logging.getLogger("slipway.publish")

PER_LEASE = 6
"""Beats in one lease: five may fail before it runs out."""


def beating(context: Context, held: ClaimedDelivery, draft: Draft) -> Draft:
    """The same draft; reading its media extends the lease, and stops (Unavailable) once the claim is lost."""
    lease = timedelta(seconds=context.settings.publish.lease)
    heart = Heart(beat=lambda: _beat(context, held, lease), every=lease.total_seconds() / PER_LEASE)
    return replace(draft, media=tuple(_with(heart, media) for media in draft.media))


@dataclass(kw_only=True, slots=True)
class Heart:
    """Beats at most once in ``every`` seconds, and only when it is asked to."""

    beat: Callable[[], None]
    every: float
    _last: float = field(default_factory=time.monotonic)

    def liveness(self) -> None:
        """Beats if it is time."""
        now = time.monotonic()
        if now - self._last >= self.every:
            self._last = now
            self.beat()


def _with(heart: Heart, media: Media) -> Media:
    source = media.stream
    if source is None:
        return media

    def stream(first: int, length: int) -> Iterator[bytes]:
        for piece in source(first, length):
            heart.liveness()
            yield piece

    return replace(media, stream=stream)


def _beat(context: Context, held: ClaimedDelivery, lease: timedelta) -> None:
    try:
        with context.database.once() as c:
            is_ours = extend(c, held, lease)
    except Unreachable:  # the lease is good for five more beats; what follows the upload asks again
        log.warning("the lease of %s could not be extended: the database did not answer", held.id)
        return
    failpoint("publish.beat", held.id)
    if not is_ours:
        raise Unavailable("The claim was lost while its file was being sent.", code="claim_lost")
