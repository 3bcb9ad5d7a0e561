"""Measure how late posts are after a FLUSHALL of the broker, with a hundred thousand posts waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from adapters.contract import Platform
from pipeline.store.database import rows
from tests.bench.environment import BenchEnvironment, start_workers
from tests.bench.figures import Figure, InvalidMeasurement, percentile
from tests.bench.kinds import TIKTOK_PHOTO
from tests.bench.post_factory import await_published, connect_accounts, create_posts, warm_up
from tests.bench.scale import FULL
from tests.stack import Stack

WAITING, QUICKLY = 100_000, 5_000
STREAM, BURST = 200, 200
"""Posts due one after the other, and posts due at one moment: the flush drops most messages of the latter."""
INTERVAL, FIRST, MIDDLE, AFTER = 0.15, 6.0, 10.0, 0.3
"""Seconds: between two posts of the stream, until the first, from there to the burst, from there to the flush."""
ACCOUNTS = 50


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure the lateness of posts due after the flush, and of those that were queued when it happened."""
    number = WAITING if environment.scale is FULL else QUICKLY
    with environment.stack(look_early=True) as stack:
        start_workers(stack, 1)
        start_workers(stack, 1, "upkeep")
        stack.start("beat", "pipeline.cli", "beat")
        warm_up(stack, TIKTOK_PHOTO)
        mine = connect_accounts(stack, TIKTOK_PHOTO, ACCOUNTS)
        far = datetime.now(UTC) + timedelta(days=30)
        create_posts(stack, TIKTOK_PHOTO, mine, [far], word="waiting")
        _multiply(stack, number - 1)
        environment.log(f"  {number} wait")
        calm, storm = (
            _run(environment, stack, mine, word, flush=word == "storm") for word in ("calm", "storm")
        )
    kinds = {"due after it": (storm.after, calm.after), "due before it": (storm.before, calm.before)}
    for what, (found, usual) in kinds.items():
        for share, name in ((0.5, "p50"), (0.99, "p99")):
            yield Figure(
                name=f"flushed broker, {what}, {name}",
                value=percentile(found, share),
                unit="s",
                reference=percentile(usual, share),
                against="the same posts without a flush",
                detail=f"{len(found)} posts, {number} waiting, {storm.lost} messages lost" * (name == "p99"),
            )


_MULTIPLY = """
WITH p AS (
    INSERT INTO posts (id, workspace_id, caption, media, due_at, status)
    SELECT uuidv7(), workspace_id, 'waiting', media, due_at + n * interval '1 second', status
    FROM posts, generate_series(1, :number) n WHERE caption = 'waiting 0'
    RETURNING id, workspace_id, due_at
)
INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at)
SELECT uuidv7(), p.id, p.workspace_id, d.account_id, d.platform, 'scheduled', p.due_at, p.due_at
FROM p, (SELECT d.* FROM deliveries d JOIN posts o ON o.id = d.post_id WHERE o.caption = 'waiting 0') d
RETURNING 1
"""


def _multiply(stack: Stack, number: int) -> None:
    """Copy the waiting post *number* times. The copies are never sent, so they share its media."""
    with stack.context.database.begin() as c:
        rows(c, _MULTIPLY, number=number)
    with stack.context.database.once() as c:  # what autovacuum does within a minute on a running system
        c.exec_driver_sql("VACUUM (ANALYZE) posts, deliveries")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lateness:
    """Seconds from due to arm: of posts due after the flush, and of earlier ones that were not yet armed."""

    after: Sequence[float]
    before: Sequence[float]
    lost: int


def _run(
    environment: BenchEnvironment, stack: Stack, mine: Sequence[UUID], word: str, *, flush: bool
) -> _Lateness:
    """Publish a stream of posts with a burst in its middle, and flush the broker right after the burst if *flush*."""
    lead = stack.context.adapters[Platform.TIKTOK].capabilities.prepare_lead
    start = datetime.now(UTC) + timedelta(seconds=FIRST)
    burst = start + timedelta(seconds=MIDDLE)
    stream = [start + timedelta(seconds=INTERVAL * n) for n in range(STREAM)]
    create_posts(stack, TIKTOK_PHOTO, mine, stream, word=f"{word} stream", lead=lead)
    create_posts(stack, TIKTOK_PHOTO, mine, [burst] * BURST, word=f"{word} burst")
    client = environment.engines.valkey.client()
    time.sleep(max(0.0, (burst - datetime.now(UTC)).total_seconds() + AFTER))
    lost = int(client.llen("publish.tiktok") or 0)
    if flush:
        client.flushall()
    client.close()
    moment = datetime.now(UTC)
    environment.log(f"  {word}: {lost} messages in the queue")
    await_published(stack, word, STREAM + BURST, 75)
    if len({str(x["caption"]) for x in stack.ledger()}) != len(stack.ledger()):
        raise InvalidMeasurement("A post went live twice.")
    return _read_lateness(stack, word, moment, lost)


def _read_lateness(stack: Stack, word: str, moment: datetime, lost: int) -> _Lateness:
    with stack.context.database.once() as c:
        done = rows(
            c,
            """SELECT d.due_at, a.armed_at FROM posts p JOIN deliveries d ON d.post_id = p.id
               JOIN attempts a ON a.delivery_id = d.id
               WHERE starts_with(p.caption, :word) AND a.armed_at > :moment""",
            word=word,
            moment=moment,
        )
    late = [((r.armed_at - r.due_at).total_seconds(), r.due_at > moment) for r in done]
    if any(seconds < 0 for seconds, _ in late):
        raise InvalidMeasurement("A post was early.")
    return _Lateness(after=[s for s, new in late if new], before=[s for s, new in late if not new], lost=lost)
