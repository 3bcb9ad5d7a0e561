"""Dispatch undecided checks that lost their message or are due for another try; advance posts left by a crash.

Frees the slots of hosts that dead workers hold, first.
"""

from __future__ import annotations

from pipeline.broker.queues import REACHABILITY
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.reachability import advance_post
from pipeline.store.checks import checks as store
from pipeline.store.checks.host_slots import free_expired_slots
from pipeline.store.posts.awaiting_checks import list_stranded

BATCH = 500
MESSAGES = 32
"""Messages sent at once: each has a worker slot run the due checks, one after another, whatever there is."""


def redispatch_checks(context: Context) -> int:
    """Return how many checks were dispatched and posts advanced; none while a restore is not accepted."""
    if context.send_guard.find_doubt() is not None:
        return 0
    # a queue without a consumer is not filled without bound
    room = max(0, MESSAGES - (context.liveness.count_messages(REACHABILITY) or 0))
    with context.database.begin() as c:
        free_expired_slots(c)
    with context.database.begin() as c:
        due = store.list_due_checks(c, room)
        stranded = list_stranded(c, BATCH)
    context.dispatcher.send_checks(due)
    for post in stranded:
        with context.database.begin() as c:
            advance_post(context, c, post.id)
        failpoint("checks.advanced", post.id)
    return len(due) + len(stranded)
