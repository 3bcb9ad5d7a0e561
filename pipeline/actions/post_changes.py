"""Changes of a post: the request and answer of an edit, and the audit rows of deliveries that a change moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.audit import Actor, hide_queries
from pipeline.domain.delivery import State
from pipeline.stages.post_request import AcceptanceWarning
from pipeline.store.audit import record_change
from pipeline.store.posts.actions import LockedDelivery, LockedPost
from pipeline.store.posts.views import find_workspace_of_post


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The changes a client asks for: the values of the fields named in ``given``, with valid shape and types."""

    given: frozenset[str]
    caption: str = ""
    media: Mapping[str, Any] | None = None
    account_ids: Sequence[UUID] = ()
    scheduled_at: datetime | None = None
    music_url: str | None = None
    options: Mapping[Platform, Mapping[str, Any] | None] = field(default_factory=dict)
    """The platforms' sections that were sent; None removes a section."""
    ai_generated: bool = False
    external_id: str | None = None
    """The post's own, if it was sent along: another one is refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EditResult:
    """A committed edit."""

    id: UUID
    status: str
    scheduled_at: datetime
    version: str
    warnings: Sequence[AcceptanceWarning] = ()


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
