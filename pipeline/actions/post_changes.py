"""Audit rows of posts: what a user's change makes of a post and its deliveries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.audit import Actor, hide_queries
from pipeline.domain.delivery import State
from pipeline.store.audit import record_change
from pipeline.store.deliveries.inspection import find_workspace_of_post
from pipeline.store.posts.actions import LockedDelivery, LockedPost


def record_edit(c: Connection, actor: Actor | None, before: LockedPost, after: LockedPost) -> None:
    """Record an edit, in its transaction: the fields and the states of deliveries that it changed."""
    if actor is not None:
        sides = _describe(before), _describe(after)
        record_change(c, actor, "edit", "post", before.id, before.workspace_id, *sides)


def record_states(
    c: Connection,
    actor: Actor | None,
    verb: str,
    post: LockedPost,
    parts: Iterable[LockedDelivery],
    target: State,
    **after: Any,
) -> None:
    """Record that these deliveries of a post are moved to *target*; *after*: what else is so from now on."""
    states = {str(part.id): part.state for part in parts}
    record_change(
        c,
        actor,
        verb,
        "post",
        post.id,
        post.workspace_id,
        {"deliveries": states},
        {"deliveries": dict.fromkeys(states, target), **after},
    )


def record_move(
    c: Connection,
    actor: Actor | None,
    verb: str,
    delivery: UUID,
    post: UUID,
    *,
    origin: State | str,
    target: State,
    **after: Any,
) -> None:
    """Record that one delivery of a post is moved from *origin* to *target*; *after*: what else is so from now on."""
    workspace, identity = find_workspace_of_post(c, post), str(delivery)
    sides = {"deliveries": {identity: origin}}, {"deliveries": {identity: target}, **after}
    record_change(c, actor, verb, "post", post, workspace, *sides)


def _describe(post: LockedPost) -> Mapping[str, Any]:
    return {
        "caption": post.caption,
        "media": hide_queries(post.media),
        "music_url": hide_queries(post.music_url),
        "options": hide_queries(post.options),
        "ai_generated": post.ai_generated,
        "scheduled_at": post.due_at,
        "deliveries": {str(part.id): part.state for part in post.deliveries},
    }
