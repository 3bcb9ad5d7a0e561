"""Measure how late single posts are on an idle system. Reference: a bare Celery task with an ETA."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from adapters.contract import Platform
from pipeline.store.database import rows
from tests.bench.bare import bare_workers, measure_lateness
from tests.bench.environment import BenchEnvironment, read_command, replace_word, start_workers
from tests.bench.figures import Figure, InvalidMeasurement, percentile
from tests.bench.post_factory import await_published, connect_accounts, create_posts, warm_up
from tests.bench.processes import await_idle
from tests.stack import Stack

ACCOUNTS = 20
INTERVAL = 1.0
"""Mean seconds between two due times, with a jitter of 0.4: posts never overlap."""
FIRST = 5.0
"""Seconds from storing the posts to the first due time."""
PREPARED = 10
"""Posts a second that are prepared ahead at the least: of many posts, the first would wait for the rest."""
WORD = "lateness"
MOST, MOST_WITHOUT_BEAT = 500, 2000
"""Milliseconds from due to the visible call that 99 of 100 posts may take."""
SETTLED = "published in our ledger"
"""Stored after a look, five seconds later at the earliest: not comparable with a task."""


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure from due to the sandbox's ledger, to arm, and to the stored state ``published``."""
    with environment.stack() as stack:
        names = [*start_workers(stack, 1), *start_workers(stack, 1, "upkeep")]
        stack.start("beat", "pipeline.cli", "beat")
        await_idle(stack.parts["beat"].pid)
        warm_up(stack)
        if environment.scale.freezes_beat:
            stack.kill("beat", signal.SIGSTOP, wait=False)
        found = _lateness(environment, stack)
        command = replace_word(read_command(stack, names[0]), "pipeline.worker.app", "tests.bench.noop:app")
        for name in (*names, "beat"):
            stack.kill(name)
        with bare_workers(stack, command, 1):
            bare = measure_lateness(stack, environment.scale.measure_lateness)
    for what, values in found.items():
        yield from _figures(what, values, bare if what != SETTLED else None, environment.scale.freezes_beat)


def _lateness(environment: BenchEnvironment, stack: Stack) -> dict[str, list[float]]:
    """Return the seconds from due to each of the three, for every post."""
    number = environment.scale.late_posts
    mine = connect_accounts(stack, ACCOUNTS)
    lead = stack.context.adapters[Platform.TIKTOK].capabilities.prepare_lead
    first = FIRST + (number / PREPARED if environment.scale.freezes_beat else 0)
    start = datetime.now(UTC) + timedelta(seconds=first)
    due = [start + timedelta(seconds=n * INTERVAL + random.random() * 0.8 * INTERVAL) for n in range(number)]
    create_posts(stack, mine, due, word=WORD, lead=lead)
    if datetime.now(UTC) > due[0] - timedelta(seconds=3):
        raise InvalidMeasurement(
            "This machine was too slow: the first post was stored less than three seconds ahead."
        )
    await_published(stack, WORD, number, first + number * INTERVAL + 30)
    live = {
        str(line["caption"]): datetime.fromisoformat(line["at"])
        for line in stack.ledger()
        if str(line["caption"]).startswith(WORD)
    }
    with stack.context.database.once() as c:
        done = rows(
            c,
            """SELECT p.caption, d.due_at, d.published_at, a.armed_at FROM deliveries d
               JOIN posts p ON p.id = d.post_id JOIN attempts a ON a.delivery_id = d.id AND a.armed_at IS NOT NULL
               WHERE starts_with(p.caption, :word) ORDER BY d.due_at""",
            word=WORD,
        )
    if len(done) != number or len(live) != number:
        raise InvalidMeasurement(
            f"{number} posts, {len(done)} armed attempts, {len(live)} lines in the ledger."
        )
    each = " ".join(f"{(live[r.caption] - r.due_at).total_seconds() * 1000:.0f}" for r in done)
    environment.log(f"  to the visible call, ms, in order: {each}")
    return {
        "visible call": [(live[r.caption] - r.due_at).total_seconds() for r in done],
        "armed": [(r.armed_at - r.due_at).total_seconds() for r in done],
        SETTLED: [(r.published_at - r.due_at).total_seconds() for r in done],
    }


def _figures(
    what: str, values: Sequence[float], bare: Sequence[float] | None, is_beat_frozen: bool
) -> Iterator[Figure]:
    if min(values) < 0:
        raise InvalidMeasurement(f"A post was early ({what}): {min(values)} s.")
    title, most = ("lateness with beat frozen", MOST_WITHOUT_BEAT) if is_beat_frozen else ("lateness", MOST)
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        yield Figure(
            name=f"{title}, {what}, {name}",
            value=percentile(values, share) * 1000,
            unit="ms",
            reference=percentile(bare, share) * 1000 if bare else None,
            against="bare Celery task with an ETA" if bare else "",
            target=f"at most {most} ms" if (what, name) == ("visible call", "p99") else "",
            detail=f"{len(values)} posts, largest {max(values) * 1000:.0f} ms" * (name == "p99"),
        )
