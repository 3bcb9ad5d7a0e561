"""Lets blocked deliveries go on once a person has connected their account again."""

from __future__ import annotations

from pipeline.context import Core
from pipeline.failpoint import failpoint
from pipeline.store.deliveries.rescue import resume

BATCH = 200


def resume_blocked(core: Core) -> int:
    """How many went on."""
    with core.database.begin() as c:
        resumed = resume(c, BATCH)
    if resumed:
        failpoint("resume.committed", *resumed)
        core.doorbell.now()
    return len(resumed)
