"""Rings undecided checks whose message was lost or whose next try has come, and moves posts that a crash stranded."""

from __future__ import annotations

from pipeline.core import Core
from pipeline.stages.reachability import advance
from pipeline.store import checks as store
from pipeline.store.waiting import stranded_posts

BATCH = 500


def ring_checks(core: Core) -> int:
    """How many checks were rung and posts moved."""
    with core.database.begin() as c:
        due = store.due_checks(c, BATCH)
        stranded = stranded_posts(c, BATCH)
    core.doorbell.checks(due)
    for post in stranded:
        with core.database.begin() as c:
            advance(core, c, post.id)
    return len(due) + len(stranded)
