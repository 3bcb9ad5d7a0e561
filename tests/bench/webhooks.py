"""Measure what publishing loses while 1,000 events a second go to a webhook whose server is slow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import fmean
from uuid import UUID

from pipeline.domain.webhook import EventType
from pipeline.store.auth.keys import read_caller
from pipeline.store.database import new_id, row, rows
from pipeline.store.webhooks.events import NewEvent, insert_events, list_listeners
from pipeline.store.webhooks.webhooks import create_webhook, delete_webhook
from tests.bench.environment import BenchEnvironment, start_workers
from tests.bench.figures import Figure, InvalidMeasurement, compute_steady_rate
from tests.bench.kinds import TIKTOK_PHOTO
from tests.bench.post_factory import await_published, connect_accounts, create_posts, make_due, warm_up
from tests.bench.processes import CpuReading
from tests.pipeline.media.servers import Handler, serving, status
from tests.stack import Stack

ACCOUNTS = 50
EVENTS = 100
"""Stored every tenth of a second, beside those that the posts make."""
EVERY = 0.1
ANSWERS_AFTER = 2.0
"""Seconds that the server takes for each event."""
WORKER = "publish-0"
SOON = timedelta(seconds=2)
LONGEST = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Published:
    """Deliveries a second, and milliseconds of the publish worker's CPU for each."""

    rate: float
    cpu: float


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure deliveries a second without events, with them, and without them again."""
    with serving() as site, environment.stack(look_early=True) as stack:
        site.routes["/hook"] = _answer_slowly
        stack.environment |= {"SLIPWAY_WEBHOOKS__TRIAL_ORIGIN": site.origin}
        accounts = connect_accounts(stack, TIKTOK_PHOTO, ACCOUNTS)
        start_workers(stack, 1)
        start_workers(stack, 1, "upkeep")
        warm_up(stack, TIKTOK_PHOTO)
        found, stored = dict[str, _Published](), 0
        for name in ("before", "during", "after"):
            create_posts(
                stack,
                TIKTOK_PHOTO,
                accounts,
                [datetime.now(UTC) + timedelta(hours=1)] * environment.scale.deliveries,
                word=name,
            )
            with _telling(stack, f"{site.origin}/hook") if name == "during" else nullcontext():
                found[name] = _publish(environment, stack, name)
            stored = max(stored, _count_events(stack))
        tried = len(site.posts)
    if not tried:
        raise InvalidMeasurement("The server got no event.")
    before, during, after = (found[name] for name in ("before", "during", "after"))
    yield Figure(
        name="deliveries beside 1,000 events a second",
        value=during.rate,
        unit="/s",
        reference=fmean((before.rate, after.rate)),
        against="the same posts before and after, without a webhook",
        target="at least 0.95 of it",
        detail=f"before {before.rate:.0f}/s, after {after.rate:.0f}/s; {stored:,} events, {tried:,} tries",
    )
    yield Figure(
        name="CPU of the publish worker for one of them",
        value=during.cpu,
        unit="ms",
        reference=fmean((before.cpu, after.cpu)),
        against="the same",
        target="at most 1.05 of it",
        detail=f"before {before.cpu:.2f} ms, after {after.cpu:.2f} ms",
    )


def _answer_slowly(handler: Handler) -> None:
    handler.site.release.wait(ANSWERS_AFTER)
    status(200)(handler)


def _publish(environment: BenchEnvironment, stack: Stack, word: str) -> _Published:
    number, parts = environment.scale.deliveries, {WORKER: environment.processes(stack)[WORKER]}
    due, first = make_due(stack, SOON), CpuReading.of(parts)
    await_published(stack, word, number, LONGEST)
    spent = first.spent(CpuReading.of(parts))[WORKER] * 1000 / number
    with stack.context.database.once() as c:
        found = rows(c, "SELECT published_at FROM deliveries WHERE due_at = :due", due=due)
    rate = compute_steady_rate([r.published_at.timestamp() for r in found])
    environment.log(f"  {word}: {rate:.0f}/s, {spent:.2f} ms of the publish worker's CPU each")
    return _Published(rate=rate, cpu=spent)


@contextmanager
def _telling(stack: Stack, url: str) -> Iterator[None]:
    """Have a webhook get the events of the workspace's posts, and store 1,000 more a second, until the block ends."""
    with stack.context.database.begin() as c:
        caller = read_caller(c, stack.workspace, None)
        if caller is None:
            raise LookupError("The stack has no workspace.")
        made, _ = create_webhook(c, stack.context.vault, caller, url=url, types=None, description=None)
    done = threading.Event()
    thread = threading.Thread(target=_store_events, args=(stack, made.id, done))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with stack.context.database.begin() as c:
            delete_webhook(c, made.id)


def _store_events(stack: Stack, webhook: UUID, done: threading.Event) -> None:
    while not done.wait(EVERY):
        at = datetime.now(UTC)
        made = [
            NewEvent(webhook_id=webhook, id=i, lane=i, type=EventType.POST_POSTED, at=at, data={"post_id": i})
            for i in (new_id() for _ in range(EVENTS))
        ]
        with stack.context.database.begin() as c:
            list_listeners(c, [stack.workspace], lock=True)
            insert_events(c, made)


def _count_events(stack: Stack) -> int:
    with stack.context.database.once() as c:
        found = row(c, "SELECT count(*) AS n FROM webhook_events")
    return int(found.n) if found else 0
