"""Notes that a canary came out of its queue at the other end: somebody consumes it. Beat sends one into each."""

from __future__ import annotations

from pipeline.context import Core
from pipeline.store import canaries as store


def take_canary(core: Core, queue: str) -> None:
    """One canary; an old one that an outage kept back proves as much as a new one."""
    with core.database.once() as c:
        store.taken(c, queue)
