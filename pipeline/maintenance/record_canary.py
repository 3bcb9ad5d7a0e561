"""Notes that a canary came out of its queue at the other end: somebody consumes it. Beat sends one into each."""

from __future__ import annotations

from pipeline.context import Context
from pipeline.store import canaries as store


def take_canary(context: Context, queue: str) -> None:
    """One canary; an old one that an outage kept back proves as much as a new one."""
    with context.database.once() as c:
        store.taken(c, queue)
