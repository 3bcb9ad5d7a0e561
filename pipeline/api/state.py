"""The application state: what every request handler of one server process works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar, cast

import redis
from starlette.requests import Request

from pipeline.actions.diagnose import list_retirements
from pipeline.api.http.auth import Authenticator
from pipeline.api.http.batcher import Batcher
from pipeline.api.http.bulkhead import Bulkhead, ConcurrencyLimit, DeadlineReading
from pipeline.api.http.cursor_seal import CursorSeal
from pipeline.api.http.rate_limit import RATE_HEADERS, RateLimit
from pipeline.api.http.request import BodyBudget
from pipeline.api.metrics import ANSWER_SECONDS, Metrics
from pipeline.api.posts.field_types import Rules, build_rules
from pipeline.domain.account import KeyLimits
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.media.spool import list_disk_faults
from pipeline.runtime.context import Context
from pipeline.stages.ingest import MAX_BATCH, BatchIngest, Outcome
from pipeline.stages.new_post import Submission
from pipeline.store import canaries
from pipeline.store.auth.keys import Caller
from pipeline.store.database import Database, Unreachable
from pipeline.store.recovery import epoch

T = TypeVar("T")
MAX_EXPORTS = 64
"""Exports in progress in one server process."""
HEALTH_TIMEOUT = 1.0
"""Seconds that health and metrics give the broker for one command."""


MAX_UPLOADS, MAX_DOWNLOADS = 32, 256
"""Transfers in progress in one server process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerHealth:
    """How long each queue has been silent, and the epoch."""

    silences: Mapping[str, timedelta]
    epoch_state: epoch.EpochState


def read_health(database: Database) -> LedgerHealth | None:
    """Return it; None if the database is unreachable."""
    try:
        with database.once() as c:
            return LedgerHealth(silences=canaries.read_silences(c), epoch_state=epoch.read(c))
    except Unreachable:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class AppState:
    """The parts of one server process. Each bulkhead keeps one kind of work from starving the others."""

    context: Context
    post_bulkhead: Bulkhead
    post_batcher: Batcher[Submission, Outcome | None]
    bulk_bulkhead: Bulkhead
    read_bulkhead: Bulkhead
    lookup_bulkhead: Bulkhead
    connect_bulkhead: Bulkhead
    action_bulkhead: Bulkhead
    health_bulkhead: Bulkhead
    export_bulkhead: Bulkhead
    exports: ConcurrencyLimit
    """Exports in progress; the bulkhead's queue has room for a page of each."""
    transfer_bulkhead: Bulkhead
    """Runs one short step of a transfer at a time: its queue has room for one of every transfer that is admitted."""
    uploads: ConcurrencyLimit
    downloads: ConcurrencyLimit
    authenticator: Authenticator
    body_budget: BodyBudget
    rate_limit: RateLimit
    default_limits: KeyLimits
    """The limits of keys that have none of their own."""
    metrics: Metrics
    ledger_health: DeadlineReading[LedgerHealth | None]
    disk_faults: DeadlineReading[Sequence[str]]
    broker: redis.Redis
    rules: Rules
    cursor_seal: CursorSeal

    def choose_bulkhead(self, caller: Caller) -> Bulkhead:
        """Return the bulkhead that takes this key's posts."""
        return self.bulk_bulkhead if caller.bulk else self.post_bulkhead

    def transact(self, work: Callable[..., T], *arguments: Any, **more: Any) -> T:
        """Return what *work* returns, called with the connection of a transaction before its arguments."""
        with self.context.database.begin() as c:
            return work(c, *arguments, **more)

    async def charge_rate_limit(self, request: Request, caller: Caller, posts: int = 1) -> None:
        """Count *posts* against the key's limits; the response gets the headers. Raises Refusal 429."""
        limits = caller.limits.over(self.default_limits)
        if posts and (limits.posts_per_minute or limits.posts_per_day):
            take = partial(self.rate_limit.take, caller.key_id, limits, posts)
            request.scope[RATE_HEADERS] = await self.lookup_bulkhead.run(take)

    def close(self) -> None:
        """Finish the work in progress, dispatch its messages, and close the connections to the broker."""
        self.post_batcher.close()
        for part in (getattr(self, field.name) for field in fields(self)):
            if isinstance(part, Bulkhead):
                part.close()
        self.context.dispatcher.close()
        self.broker.close()


def build_app_state(context: Context) -> AppState:
    """Build the state of a server process. Call it inside the event loop that will use it."""
    lookups = Bulkhead("lookups", threads=4, limit=512)
    # A database that hangs keeps a thread for metrics and one for health, a disk another; the last answers without.
    health = Bulkhead("health", threads=4, limit=64)
    s = context.settings
    broker = create_redis_client(
        s.broker.url.get_secret_value(), s.broker.sentinel_master, timeout=HEALTH_TIMEOUT
    )
    fast_broker = create_redis_client(
        s.broker.url.get_secret_value(), s.broker.sentinel_master, timeout=s.broker.request_timeout
    )
    return AppState(
        context=context,
        # A post spends most of its time waiting for checks, without a database connection.
        post_bulkhead=Bulkhead("posts", threads=64, limit=256, per_key=128),
        post_batcher=Batcher("post-batcher", BatchIngest(context).ingest, max_batch=MAX_BATCH),
        # Few threads, and a bulk post never waits for checks: bulk keys leave threads and connections to others.
        bulk_bulkhead=Bulkhead("bulk", threads=4, limit=64, per_key=16),
        read_bulkhead=Bulkhead("reads", threads=8, limit=256, per_key=64),
        lookup_bulkhead=lookups,
        # Connecting an account waits for the platform's answers, which can take seconds.
        connect_bulkhead=Bulkhead("connects", threads=8, limit=64, per_key=32),
        # Apart from posts that wait for checks, because cancelling a post is urgent.
        action_bulkhead=Bulkhead("actions", threads=4, limit=128, per_key=32),
        # Health and metrics may wait for a broker that hangs, and no request waits behind them.
        health_bulkhead=health,
        export_bulkhead=Bulkhead("exports", threads=2, limit=MAX_EXPORTS),
        exports=ConcurrencyLimit(MAX_EXPORTS, per_owner=4, operations="exports"),
        transfer_bulkhead=Bulkhead("filing", threads=16, limit=4 * (MAX_UPLOADS + MAX_DOWNLOADS)),
        uploads=ConcurrencyLimit(MAX_UPLOADS, per_owner=8, owner="workspace", operations="uploads"),
        downloads=ConcurrencyLimit(MAX_DOWNLOADS, per_owner=64, owner="workspace", operations="downloads"),
        authenticator=Authenticator(context, lookups),
        body_budget=BodyBudget(s.api.max_body_sum),
        rate_limit=RateLimit(fast_broker, context.database),
        default_limits=KeyLimits(posts_per_minute=s.api.posts_per_minute, posts_per_day=s.api.posts_per_day),
        metrics=Metrics(context.database, broker, health, list_retirements(context)),
        ledger_health=DeadlineReading(health, partial(read_health, context.database), ANSWER_SECONDS),
        disk_faults=DeadlineReading(health, partial(list_disk_faults, s), ANSWER_SECONDS),
        broker=broker,
        rules=build_rules(s),
        cursor_seal=CursorSeal(s.vault.keys.get_secret_value()),
    )


def get_app_state(request: Request) -> AppState:
    """Return the state of the application that serves this request."""
    return cast("AppState", request.app.state.slipway)
