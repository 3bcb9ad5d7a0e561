"""Rings undecided checks whose message was lost or whose next try has come, and moves posts that a crash stranded."""

from __future__ import annotations

from pipeline.context import Context
from pipeline.failpoint import failpoint
from pipeline.queues import REACHABILITY
from pipeline.stages.reachability import advance
from pipeline.store.checks import checks as store
from pipeline.store.posts.awaiting_checks import stranded_posts

BATCH = 500


def ring_checks(context: Context) -> int:
    """How many checks were rung and posts moved: none while a restore of the database is not accepted."""
    if context.send_guard.doubt() is not None:
        return 0
    # what nobody takes is not rung for again and again: the queue would grow as long as its worker is away
    room = max(0, BATCH - (context.liveness.length(REACHABILITY) or 0))
    with context.database.begin() as c:
        due = store.due_checks(c, room)
        stranded = stranded_posts(c, BATCH)
    context.dispatcher.checks(due)
    for post in stranded:
        with context.database.begin() as c:
            advance(context, c, post.id)
        failpoint("checks.advanced", post.id)
    return len(due) + len(stranded)
