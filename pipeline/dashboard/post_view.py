"""The content of the page of a post: its media, and a column for each account.

The timeline of a delivery: its moves and attempts, as sentences, newest first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from pipeline.actions.explain import ExplainedDelivery, ExplainedPost
from pipeline.dashboard.post_buttons import Button, find_next, is_paused, list_buttons
from pipeline.domain.account import Role
from pipeline.domain.post import PostStatus
from pipeline.domain.receipt import content_sha256
from pipeline.domain.restored_post import split_candidates
from pipeline.stages.post_state import derive_delivery_status
from pipeline.store.dashboard.post_history import SHOWN, History
from pipeline.store.deliveries.attempts import AttemptFacts
from pipeline.store.deliveries.inspection import MoveFacts
from pipeline.store.posts.views import PostView


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One event. ``details``: sentences, some of them a platform's words."""

    at: datetime
    title: str
    state: str | None = None
    """The state that it came to."""
    details: tuple[str, ...] = ()


def build_timeline(history: History) -> list[Entry]:
    """Return the events of a delivery, newest first; with the same timestamp, the later one first."""
    entries = [
        *map(_describe_move, history.moves),
        *(entry for attempt in history.attempts for entry in _describe_attempt(attempt)),
    ]
    entries.reverse()  # the sort keeps the order of entries with one timestamp
    return sorted(entries, key=lambda entry: entry.at, reverse=True)


def describe_error(error: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the sentences of a classified error: ours, the platform's own words, and what to do."""
    if not error:
        return ()
    code = " ".join(str(error[name]) for name in ("class", "code", "platform_code") if error.get(name))
    words = error.get("platform_message")
    found = (f"{error.get('message') or 'Failed.'} ({code})", words and f"The platform's words: {words}")
    return tuple(text for text in (*found, error.get("next_action")) if text)


def _describe_move(move: MoveFacts) -> Entry:
    came = f"From {move.origin}" if move.origin else "Created"
    return Entry(
        at=move.at,
        title=f"{came} by {move.mover}",
        state=move.target,
        details=(move.why,) if move.why else (),
    )


def _describe_attempt(attempt: AttemptFacts) -> Iterator[Entry]:
    yield Entry(at=attempt.opened_at, title=f"Attempt {attempt.n} opened")
    if attempt.armed_at is not None:
        yield Entry(at=attempt.armed_at, title=f"Attempt {attempt.n} armed: the visible call may happen")
    late = tuple(f"Arrived after the claim was lost: {_describe_late(one)}" for one in attempt.late or ())
    if attempt.closed_at is not None:
        remote = (f"Post {attempt.remote_id}",) if attempt.remote_id else ()
        yield Entry(
            at=attempt.closed_at,
            title=f"Attempt {attempt.n} closed: {attempt.outcome}",
            details=(*remote, *describe_error(attempt.error), *late),
        )
    elif late:
        yield Entry(at=attempt.armed_at or attempt.opened_at, title=f"Attempt {attempt.n}", details=late)


def _describe_late(late: Mapping[str, Any]) -> str:
    if late.get("remote_id"):
        return f"post {late['remote_id']}"
    return " ".join(describe_error(late)) if late.get("message") else ", ".join(sorted(late))


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
    """The URL of the live post, if it is one that a browser may follow."""
    lateness: timedelta | None
    is_edited_since: bool
    """The live content is not what the post says now."""
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
    """Return the columns of a post for a visitor with this role in its workspace, columns of removed accounts last."""
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
