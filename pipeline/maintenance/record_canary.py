"""Record that a canary went through its queue, which proves that the queue has a consumer."""

from __future__ import annotations

from pipeline.runtime.context import Context
from pipeline.store import canaries as store


def record_canary(context: Context, queue: str) -> None:
    """Record one canary. An old one that an outage has delayed proves as much as a new one."""
    with context.database.once() as c:
        store.record_canary(c, queue, context.level)
