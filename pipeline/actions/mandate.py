"""A changed mandate binds what its key has scheduled: posts that the key might not write now are paused.

The limits are changed first, so that nothing new comes in beside them. If this process dies before the pause, the same
command again pauses the rest.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.steer_step import run_at_once
from pipeline.actions.steering import Steering
from pipeline.domain.account import KeyLimits
from pipeline.domain.steering import Arguments, Verb
from pipeline.runtime.context import Context
from pipeline.stages.mandate import find_excess
from pipeline.stages.replay import read_content
from pipeline.store.auth.keys import Caller, Key
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.health import database_now
from pipeline.store.posts.idempotency import list_open_posts, read_open_posts

CHUNK = 500
"""Posts that are read at once."""


def pause_beyond(context: Context, caller: Caller, key: Key, limits: KeyLimits) -> int:
    """Pause the deliveries of the key's posts that are outside these limits, and return how many; armed ones continue.

    The lead is left out: a post had it when it was written. Raises Refusal as ``steer``.
    """
    with context.database.begin() as c:
        found = _find_beyond(c, key, replace(limits, lead_minutes=None))
    if not found:
        return 0
    arguments = Arguments(why=f"The mandate of key {key.public_id} was changed, and excludes it.")
    chosen = ListFilter(posts=tuple(found), unsent=True)
    done = run_at_once(context, caller, Steering(verb=Verb.PAUSE, filter=chosen, arguments=arguments))
    return sum(why is None for why in done.values())


def _find_beyond(c: Connection, key: Key, limits: KeyLimits) -> list[UUID]:
    ids, now = list_open_posts(c, key.workspace_id, key.id), database_now(c)
    return [
        post.id
        for n in range(0, len(ids), CHUNK)
        for post in read_open_posts(c, ids[n : n + CHUNK])
        if find_excess(limits, read_content(post, post.own), post.dues, now)
    ]
