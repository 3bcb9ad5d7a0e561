"""Lets blocked deliveries go on once a person has connected their account again."""

from __future__ import annotations

from pipeline.context import Context
from pipeline.failpoint import failpoint
from pipeline.store.deliveries.rescue import resume

BATCH = 200


def resume_blocked(context: Context) -> int:
    """How many went on."""
    with context.database.begin() as c:
        resumed = resume(c, BATCH)
    if resumed:
        failpoint("resume.committed", *resumed)
        context.dispatcher.now()
    return len(resumed)
