"""The context that every stage, action and job gets: settings, database, broker, adapters; and the process's shutdown.

A shutdown says how long the process may still work, and which claims it gives up when that time is over. A call that
cannot finish in time is not begun (``Context.may_begin``): a slice of work ends at its next safe point, never between
arm and answer. Claims that are still held when the time is over are requeued, so that another process takes them within
seconds instead of waiting for a lease to expire.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from config.consistency import SETTLE_TIME
from pipeline.domain.level import lower_level
from pipeline.runtime import tracing

# for annotations only: commands that need the database alone import no Celery, requests or Redis
if TYPE_CHECKING:
    from adapters.contract import Adapter, Platform, PlatformSettings
    from adapters.http import HttpClient
    from config.settings import Settings
    from pipeline.broker.dispatch import Dispatcher
    from pipeline.broker.queue_liveness import QueueLiveness
    from pipeline.limits.platform_health import PlatformHealth
    from pipeline.limits.rate_buckets import RateBuckets
    from pipeline.limits.shared_slots import SharedSlots
    from pipeline.media.fetch import Fetcher
    from pipeline.media.relay import Transfers
    from pipeline.media.uploads import Files
    from pipeline.runtime.send_guard import SendGuard
    from pipeline.store.checks.claim import ClaimedCheck
    from pipeline.store.database import Database
    from pipeline.store.vault import Vault


class ShutdownSignal:
    """The shutdown of this process; any thread may read it.

    Takes no lock: ``begin`` is called by a signal handler.
    """

    def __init__(self) -> None:
        self._end: float | None = None
        self._claims: dict[object, Callable[[], None]] = {}

    def begin(self, seconds: float) -> None:
        """Begin the shutdown: the process may work this many seconds more. Later calls change nothing."""
        if self._end is None:
            self._end = time.monotonic() + seconds

    def time_left(self) -> timedelta | None:
        """Return the remaining time, zero once it is over; None while no shutdown has begun."""
        return None if self._end is None else timedelta(seconds=max(0.0, self._end - time.monotonic()))

    @contextmanager
    def requeue_on_timeout(self, requeue: Callable[[], None]) -> Iterator[None]:
        """Have ``requeue_claims`` call *requeue* while this context is open.

        *requeue* runs in another thread than the work, so it gives up only claims that are still this process's.
        """
        entry = object()
        self._claims[entry] = requeue
        try:
            yield
        finally:
            del self._claims[entry]

    def requeue_claims(self) -> None:
        """Give up every claim that is still held. Raises Unreachable at the first failure; leases free the rest."""
        for requeue in tuple(self._claims.values()):
            requeue()


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """The open resources of one process, built by ``wiring``. Thread-safe; nothing in it belongs to one post."""

    settings: Settings
    database: Database
    send_guard: SendGuard
    vault: Vault
    dispatcher: Dispatcher
    rate_buckets: RateBuckets
    liveness: QueueLiveness
    fetcher: Fetcher
    receivers: Fetcher
    """Posts to webhooks."""
    files: Files
    adapters: Mapping[Platform, type[Adapter]]
    comment_adapters: Mapping[Platform, type[Adapter]]
    """Those that publish first comments."""
    platform_settings: Mapping[Platform, PlatformSettings]
    check_slots: SharedSlots[ClaimedCheck]
    transfers: Transfers
    health: PlatformHealth
    shutdown: ShutdownSignal = field(default_factory=ShutdownSignal)

    @property
    def level(self) -> int:
        """The level of this process."""
        return lower_level(self.settings.level)

    def adapter(self, platform: Platform, client: HttpClient, *, comments: bool = False) -> Adapter:
        """Return the platform's adapter on this client, of posts or of first comments.

        Raises KeyError if it has none (ingest refuses those).
        """
        adapters = self.comment_adapters if comments else self.adapters
        return adapters[platform](client, self.platform_settings[platform])

    def may_begin(self) -> bool:
        """Return True if one more call may begin: during a shutdown, only if its answer can still be stored in time."""
        left = self.shutdown.time_left()
        return left is None or left > timedelta(seconds=self.settings.publish.call) + SETTLE_TIME

    def client(self, **more: Any) -> HttpClient:
        """Return an HTTP client whose calls end within ``publish.call`` seconds; *more* goes to ``Client``."""
        from adapters.http import HttpClient  # noqa: PLC0415 - as above

        limit = timedelta(seconds=self.settings.publish.call)
        return HttpClient(limit=limit, trace=tracing.trace_call, **more)
