"""One worker process with 100 slots and platforms that take two seconds to answer: how full it keeps its slots.

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

from tests.bench.environment import Ground, await_workers, prepared
from tests.bench.figures import Figure, Unsound, steady_rate, whole_rate
from tests.bench.filling import accounts, await_published, fill, make_due, warm
from tests.bench.kinds import TIKTOK_PHOTO
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
GLANCE = 0.1


@dataclass(kw_only=True, slots=True)
class Weight:
    """The most resident memory that a process was seen to have, in bytes, and how often it was looked at."""

    most: int = 0
    looks: int = 0
    over: threading.Event = field(default_factory=threading.Event)


def measure(ground: Ground) -> Iterator[Figure]:
    """A worker of the publish queue alone; looks and doorbells are another process's work."""
    number = POSTS if ground.scale is FULL else FEW
    with ground.stack(impatient=True) as stack:
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
        warm(stack, TIKTOK_PHOTO)
        in_an_hour = [datetime.now(UTC) + timedelta(hours=1)] * number
        fill(stack, TIKTOK_PHOTO, accounts(stack, TIKTOK_PHOTO, ACCOUNTS), in_an_hour, word=WORD)
        stack.fault("tiktok", "finalize", "latency", None, delay_ms=int(SLOW * 1000))
        due = make_due(stack, SOON)
        with weighed(stack.parts["slots"].pid) as weight:
            await_published(stack, WORD, number, LONGEST)
        yield from _figures(due, _moments(stack, number), weight)


@contextmanager
def weighed(pid: int) -> Iterator[Weight]:
    """Looks at a process's memory all the while."""
    weight, process = Weight(), psutil.Process(pid)

    def look() -> None:
        while not weight.over.wait(GLANCE):
            weight.most = max(weight.most, process.memory_info().rss)
            weight.looks += 1

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield weight
    finally:
        weight.over.set()
        thread.join()


def _moments(stack: Stack, number: int) -> list[float]:
    """When each post went live over there. Raises Unsound unless every one did, once."""
    lines = [line for line in stack.ledger() if str(line["caption"]).startswith(f"{WORD} ")]
    lived = Counter(str(line["caption"]) for line in lines)
    if lived != Counter(f"{WORD} {n}" for n in range(number)):
        raise Unsound(f"{len(lines)} of {number} posts went live, {len(lived)} different ones.")
    return [datetime.fromisoformat(str(line["at"])).timestamp() for line in lines]


def _figures(due: datetime, moments: list[float], weight: Weight) -> Iterator[Figure]:
    if not weight.looks:
        raise Unsound("The worker's memory was never looked at.")
    ideal, whole = SLOTS / SLOW, whole_rate(due.timestamp(), moments)
    yield Figure(
        name=f"slots, {SLOTS} publishes of {SLOW:g} s at a time, steady",
        value=steady_rate(moments),
        unit="/s",
        reference=ideal,
        against="every slot always full",
        target=f"at least {LEAST:.0%} of ideal",
        detail=f"{whole:.1f}/s ({whole / ideal:.0%}) from the due time to the last of {len(moments)}",
    )
    yield Figure(
        name="slots, memory of that worker at most",
        value=weight.most / MIB,
        unit="MiB",
        target=f"under {MOST} MB",
    )


def main() -> int:
    """Exit status 1 when it misses a target."""
    quick = "--quick" in sys.argv[1:]
    from tests.bench.scale import QUICK

    with prepared(QUICK if quick else FULL, lambda line: print(line, file=sys.stderr)) as ground:
        rate, memory = measure(ground)
    share = rate.ratio or 0.0
    print(f"{rate.name}: {rate.value:.1f}{rate.unit}, {share:.1%} of {rate.reference}/s; {rate.detail}")
    print(f"{memory.name}: {memory.value:.0f} {memory.unit} ({memory.target})")
    return int(share < LEAST or memory.value * MIB >= MOST * 1_000_000)


if __name__ == "__main__":
    sys.exit(main())
