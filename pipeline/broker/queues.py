"""The queues and their worker groups, and the ticks: the periodic tasks, how often each is sent, and to which queue.

Each group is a bulkhead: a full one does not slow the others. Every periodic task is an idempotent sweep, so a tick
that is sent twice, late, or in a backlog of ticks does no harm.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from adapters.contract import Platform
from config.settings import Settings

PUBLISH = {platform: f"publish.{platform}" for platform in Platform}
REACHABILITY, REACHABILITY_BULK = "reachability", "reachability.bulk"
DELAY, STATUS, UPKEEP, IMPORTS, WEBHOOKS = "delay", "status", "upkeep", "imports", "webhooks"

WORKER_GROUPS: Mapping[str, tuple[str, ...]] = {
    "publish": (*PUBLISH.values(), STATUS, DELAY),
    "reachability": (REACHABILITY, REACHABILITY_BULK),
    "upkeep": (UPKEEP, IMPORTS, WEBHOOKS),
}
"""The queues of `slipway worker GROUP`. Scale by starting more of any group, or single queues with `--queues`."""

WITHOUT_VAULT = frozenset({"reachability"})
"""Groups whose workers run without a vault key and the secrets of our apps: they read media of others."""

ALL_QUEUES = tuple(queue for queues in WORKER_GROUPS.values() for queue in queues)


TICK_EXPIRES = 900
"""Seconds after which a tick that no worker took is dropped.

The sender writes the expiry by its clock and the worker reads it by its own. With an expiry as short as the interval, a
worker whose clock was five minutes ahead dropped every sweep, and nothing that was scheduled went out (measured).
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """One periodic task. ``every``: seconds from one to the next."""

    name: str
    task: str
    every: float
    queue: str
    args: tuple[str, ...] = ()


def list_ticks(s: Settings) -> Sequence[Tick]:
    """Return all ticks. A canary goes through every queue: the worker that takes it records the time."""
    jobs = {
        "upkeep.rescue": 5,
        "upkeep.checks": 5,
        "upkeep.urls": 10,
        "upkeep.follow-ups": 10,
        "upkeep.credentials": 60,
        "upkeep.resume": 10,
        "upkeep.recheck": 60,
        "upkeep.counts": 10,
        "upkeep.receipts": 5,
        "upkeep.export": 1,
        "upkeep.texts": 1,
        "upkeep.deletions": 5,
        "upkeep.files": 600,
        "upkeep.imports": 1,
        "upkeep.import-files": 600,
        "upkeep.steering": 1,
        "upkeep.webhooks": 600,
        "upkeep.notices": 15,
        "upkeep.audit": 3600,
    }
    return (
        Tick(name="delay.sweep", task="delay.sweep", every=s.delay.sweep, queue=DELAY),
        Tick(name="reachability.pulse", task="reachability.pulse", every=3, queue=REACHABILITY),
        Tick(name="webhooks.send", task="webhooks.send", every=1, queue=WEBHOOKS),
        *(Tick(name=name, task=name, every=every, queue=UPKEEP) for name, every in jobs.items()),
        *(
            Tick(name=f"canary.{queue}", task="canary", every=s.worker.canary, queue=queue, args=(queue,))
            for queue in ALL_QUEUES
        ),
    )


def list_group_ticks(s: Settings, queues: Collection[str]) -> Sequence[Tick]:
    """Return the ticks of every worker group that consumes one of these queues."""
    groups = [set(group) for group in WORKER_GROUPS.values() if not set(group).isdisjoint(queues)]
    return [tick for tick in list_ticks(s) if any(tick.queue in group for group in groups)]
