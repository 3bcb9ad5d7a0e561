"""Resume blocked deliveries whose account a user has connected again."""

from __future__ import annotations

from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.deliveries.rescue import resume_reconnected

BATCH = 200


def resume_blocked(context: Context) -> int:
    """Return how many deliveries were resumed."""
    with context.database.begin() as c:
        resumed = resume_reconnected(c, BATCH)
    if resumed:
        failpoint("resume.committed", *resumed)
        context.dispatcher.send_slot_now()
    return len(resumed)
