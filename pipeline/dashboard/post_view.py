"""What the page of a post shows: its media, and a column for each account."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from pipeline.actions.explain import ExplainedDelivery, ExplainedPost
from pipeline.dashboard.post_buttons import Button, find_next, is_paused, list_buttons
from pipeline.dashboard.timeline import Entry, build_timeline, describe_error
from pipeline.domain.candidates import split_candidates
from pipeline.domain.post import PostStatus
from pipeline.domain.receipt import content_sha256
from pipeline.domain.role import Role
from pipeline.stages.post_state import derive_delivery_status
from pipeline.store.dashboard.post_history import SHOWN, History
from pipeline.store.posts.views import PostView

NOTHING = History(moves=(), attempts=(), receipts=())


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaItem:
    """A media URL. ``source``: where this server has it, if it is a file of the workspace."""

    url: str
    source: str | None
    content_type: str
    alt: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One account of the post."""

    explained: ExplainedDelivery
    status: PostStatus
    link: str | None
    """Of the live post, if it is one that a browser may follow."""
    lateness: timedelta | None
    is_edited_since: bool
    """What is live is not what the post says now."""
    error: tuple[str, ...]
    candidates: Sequence[Mapping[str, Any]]
    unlikely_candidates: Sequence[Mapping[str, Any]]
    timeline: Sequence[Entry]
    has_earlier: bool
    """More happened than the timeline shows."""
    receipts: Sequence[Mapping[str, Any]]
    buttons: Sequence[Button]
    next: str | None
    """The verb or page of the next action."""
    is_paused: bool


def build_columns(found: ExplainedPost, histories: Mapping[UUID, History], role: Role) -> list[Column]:
    """Return the columns of a post for a visitor with this role in its workspace, those of removed accounts last."""
    ordered = sorted(found.deliveries, key=lambda one: one.view.removed)
    return [_build_column(found.post, one, histories.get(one.view.id, NOTHING), role) for one in ordered]


def find_link(url: str | None) -> str | None:
    """Return a URL that a browser may follow: platforms' answers are not trusted with others than http and https."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in {"http", "https"} and parts.hostname else None


def _build_column(post: PostView, explained: ExplainedDelivery, history: History, role: Role) -> Column:
    view, paused = explained.view, is_paused(explained)
    buttons = list_buttons(view, is_paused=paused, role=role)
    receipts = [json.loads(line) for line in history.receipts]
    likely, unlikely = (
        [{**one, "link": find_link(one.get("url"))} for one in part] for part in split_candidates(view.error)
    )
    return Column(
        explained=explained,
        status=derive_delivery_status(view, post.now),
        link=find_link(view.url),
        lateness=None if view.published_at is None else view.published_at - view.due_at,
        is_edited_since=_is_edited_since(post, receipts),
        error=describe_error(view.error),
        candidates=likely,
        unlikely_candidates=unlikely,
        timeline=build_timeline(history),
        has_earlier=len(history.moves) == SHOWN or len(history.attempts) == SHOWN,
        receipts=receipts,
        buttons=buttons,
        next=find_next(explained.explanation.action, [button.verb for button in buttons]),
        is_paused=paused,
    )


def _is_edited_since(post: PostView, receipts: Sequence[Mapping[str, Any]]) -> bool:
    live = [one["content_sha256"] for one in receipts if one["outcome"] == "published"]
    return bool(live) and live[-1] != content_sha256(post.caption, post.media)
