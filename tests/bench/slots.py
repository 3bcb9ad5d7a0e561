"""Measure how full one worker process keeps 100 slots when platforms take two seconds to answer.

`python -m tests.bench.slots` runs it alone.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psutil

from tests.bench.environment import BenchEnvironment, await_workers, open_environment
from tests.bench.figures import Figure, InvalidMeasurement, compute_rate, compute_steady_rate
from tests.bench.kinds import TIKTOK_PHOTO
from tests.bench.post_factory import await_published, connect_accounts, create_posts, make_due, warm_up
from tests.bench.processes import MIB
from tests.bench.scale import FULL
from tests.stack import Stack

SLOTS = 100
SLOW = 2.0
"""Seconds until the platform answers the visible call."""
POSTS, FEW = 2000, 600
ACCOUNTS = 50
WORD = "slow"
SOON = timedelta(seconds=2)
LONGEST = 150.0
LEAST = 0.95
MOST = 200
POLL = 0.1


@dataclass(kw_only=True, slots=True)
class PeakMemory:
    """Highest resident memory of a process in bytes, and the number of samples."""

    most: int = 0
    looks: int = 0
    over: threading.Event = field(default_factory=threading.Event)


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure a worker of the publish queue alone; another process serves looks and slots."""
    number = POSTS if environment.scale is FULL else FEW
    with environment.stack(look_early=True) as stack:
        stack.start(
            "slots",
            "pipeline.cli",
            "worker",
            "publish",
            "--queues",
            "publish.tiktok",
            "--slots",
            str(SLOTS),
            "--name",
            "slots@%h",
        )
        stack.start(
            "others", "pipeline.cli", "worker", "publish", "--queues", "status,delay", "--name", "others@%h"
        )
        await_workers(stack, ["slots", "others"])
        stack.start("beat", "pipeline.cli", "beat")
        warm_up(stack, TIKTOK_PHOTO)
        in_an_hour = [datetime.now(UTC) + timedelta(hours=1)] * number
        create_posts(
            stack, TIKTOK_PHOTO, connect_accounts(stack, TIKTOK_PHOTO, ACCOUNTS), in_an_hour, word=WORD
        )
        stack.fault("tiktok", "finalize", "latency", None, delay_ms=int(SLOW * 1000))
        due = make_due(stack, SOON)
        with track_memory(stack.parts["slots"].pid) as peak:
            await_published(stack, WORD, number, LONGEST)
        yield from _figures(due, _draw_times(stack, number), peak)


@contextmanager
def track_memory(pid: int) -> Iterator[PeakMemory]:
    """Sample a process's memory in a thread."""
    peak, process = PeakMemory(), psutil.Process(pid)

    def look() -> None:
        while not peak.over.wait(POLL):
            peak.most = max(peak.most, process.memory_info().rss)
            peak.looks += 1

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        peak.over.set()
        thread.join()


def _draw_times(stack: Stack, number: int) -> list[float]:
    """Return when each post went live in the sandbox. Raises InvalidMeasurement unless each did once."""
    lines = [line for line in stack.ledger() if str(line["caption"]).startswith(f"{WORD} ")]
    live = Counter(str(line["caption"]) for line in lines)
    if live != Counter(f"{WORD} {n}" for n in range(number)):
        raise InvalidMeasurement(f"{len(lines)} of {number} posts went live, {len(live)} different ones.")
    return [datetime.fromisoformat(str(line["at"])).timestamp() for line in lines]


def _figures(due: datetime, moments: list[float], peak: PeakMemory) -> Iterator[Figure]:
    if not peak.looks:
        raise InvalidMeasurement("The worker's memory was never sampled.")
    ideal, overall = SLOTS / SLOW, compute_rate(due.timestamp(), moments)
    yield Figure(
        name=f"slots, {SLOTS} publishes of {SLOW:g} s at a time, steady",
        value=compute_steady_rate(moments),
        unit="/s",
        reference=ideal,
        against="every slot always full",
        target=f"at least {LEAST:.0%} of ideal",
        detail=f"{overall:.1f}/s ({overall / ideal:.0%}) from the due time to the last of {len(moments)}",
    )
    yield Figure(
        name="slots, memory of that worker at most",
        value=peak.most / MIB,
        unit="MiB",
        target=f"under {MOST} MB",
    )


def main() -> int:
    """Run alone; return 1 if a target is missed."""
    quick = "--quick" in sys.argv[1:]
    from tests.bench.scale import QUICK

    with open_environment(QUICK if quick else FULL, lambda line: print(line, file=sys.stderr)) as environment:
        rate, memory = measure(environment)
    share = rate.ratio or 0.0
    print(f"{rate.name}: {rate.value:.1f}{rate.unit}, {share:.1%} of {rate.reference}/s; {rate.detail}")
    print(f"{memory.name}: {memory.value:.0f} {memory.unit} ({memory.target})")
    return int(share < LEAST or memory.value * MIB >= MOST * 1_000_000)


if __name__ == "__main__":
    sys.exit(main())
