"""The page of a post: its media and content, for each account where it stands and why, and its history.

What people need comes first; the technical record of each account (codes, moves, attempts, receipts) is folded.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from adapters.contract import Platform
from pipeline.actions.explain import ExplainedDelivery, ExplainedPost, explain_post
from pipeline.dashboard.actions import ACTIONS, Button, find_next, is_paused, list_buttons
from pipeline.dashboard.filter import parse_id_or_none
from pipeline.dashboard.history import read_post_history
from pipeline.dashboard.ledger import act, get_state, read
from pipeline.dashboard.page import page, require_found
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.dashboard.words import REMOVED, Word, name_post, name_state
from pipeline.domain.account import Role
from pipeline.domain.own_content import OwnContent
from pipeline.domain.post import PostStatus
from pipeline.domain.receipt import content_sha256
from pipeline.domain.restore import split_candidates
from pipeline.imports.local_time import AmbiguousTime
from pipeline.media.uploads import PATH, UploadUrls
from pipeline.stages.drafts import list_urls
from pipeline.stages.post_state import (
    compute_version,
    derive_delivery_status,
    may_be_rescheduled,
)
from pipeline.store.auth.workspaces import list_policies
from pipeline.store.deliveries.history import SHOWN, AttemptFacts, History, Move, read_history
from pipeline.store.files.files import find_own
from pipeline.store.files.thumbnails import find_thumbnails_of_post
from pipeline.store.posts.views import PostView, find_workspace_of_post

DONE: Mapping[str, str] = {
    "new": "It is stored, and on its way.",
    "draft": "It is kept as a draft.",
    "edit": "Changed.",
    "reschedule": "Moved.",
    "cancel": "Canceled.",
    "undo": "Undone.",
    "retry": "It is tried again.",
    "file": "The file is replaced, and it is tried again.",
    "live": "Marked as live.",
    "again": "It is published again.",
    "resume": "It goes on.",
    "look": "The platform is looked at now.",
    "pause": "Paused.",
    "unpause": "Resumed.",
}
"""Action -> the sentence that the page begins with after it."""
OWN_WORDS = ("text", "caption", "title", "description")
"""Options of a platform that are words of its own."""
OPEN = 7
"""The urgency from which on an account is shown with all that is known of it."""


@page("/posts/{post_id}", Role.VIEWER)
async def show_post(request: Request, visitor: Visitor) -> Response:
    """Show a post of one of the visitor's workspaces."""
    done = DONE.get(request.query_params.get("did", ""))
    return await render_post(request, visitor, *await find_post(request, visitor), done=done)


async def find_post(request: Request, visitor: Visitor, role: Role = Role.VIEWER) -> tuple[UUID, UUID]:
    """Return the workspace and id of the post of a path. Raises as `find_place` does."""
    post = require_found(parse_id_or_none(request.path_params["post_id"]))
    return await find_place(request, visitor, post, role), post


async def find_place(request: Request, visitor: Visitor, post: UUID, role: Role = Role.VIEWER) -> UUID:
    """Return the workspace of a post. Raises HTTPException 404 unless the visitor may see it, and Forbidden."""
    workspace = require_found(await read(request, find_workspace_of_post, post))
    visitor.require(workspace, role)
    return workspace


async def render_post(
    request: Request,
    visitor: Visitor,
    workspace: UUID,
    post: UUID,
    *,
    done: str | None = None,
    refusal: Exception | None = None,
    asks_time: str | None = None,
) -> Response:
    """Render the page. *refusal*: why the action was not done. Raises HTTPException 404 for a deleted post."""
    found = require_found(await act(request, explain_post, workspace, post))
    view = found.post
    more = await read(request, _read_more, view, get_state(request).context.files.addresses)
    role = visitor.roles[workspace]
    columns = build_columns(found, more["histories"], role)
    targeted = [column for column in columns if not column.explained.view.removed]
    cause = refusal and refusal.__cause__
    return render(
        request,
        "post.html",
        getattr(refusal, "status", 409) if refusal else 200,
        post=view,
        word=name_post([column.explained.view for column in targeted]),
        columns=columns,
        counts=Counter(column.word.label.lower() for column in targeted),
        accounts=len(targeted),
        open_from=OPEN,
        more=more,
        names=more["names"],
        options={name: section for name, section in view.options.items() if section},
        may_reschedule=role >= ACTIONS["reschedule"].role and may_be_rescheduled(view),
        tag=f'"{compute_version(view)}"',
        done=done,
        refused=refusal and str(refusal),
        asks_time=asks_time,
        instants=[one.isoformat() for one in cause.instants] if isinstance(cause, AmbiguousTime) else (),
    )


def _read_more(c: Connection, view: PostView, addresses: UploadUrls) -> dict[str, Any]:
    """Return what the page shows beside the explanation of a post. ``late``: its client's rule for late posts."""
    histories = read_history(c, view.id)
    entries, names = read_post_history(c, view, histories)
    media = zip_longest(list_urls(view.media), view.media.get("alt_texts") or ())
    return {
        "histories": histories,
        "media": [
            _find_media(c, view.workspace_id, url, alt, addresses) for url, alt in media if url is not None
        ],
        "entries": entries,
        "names": names,
        "late": list_policies(c).get(view.workspace_id),
        "thumbnails": find_thumbnails_of_post(c, view.id),
    }


def _find_media(
    c: Connection, workspace: UUID, url: str, alt: str | None, addresses: UploadUrls
) -> dict[str, str | None]:
    """Return a file as it is shown. ``source``: where this server has it; ``link``: it, if a browser may follow it."""
    name = addresses.parse_name(url)
    file = None if name is None else find_own(c, workspace, name)
    own = {"source": f"{PATH}{file.name}", "content_type": file.content_type} if file else {"source": None}
    return {"url": url, "alt": str(alt or ""), "link": find_link(url), **own}


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


def _describe_move(move: Move) -> Entry:
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
class Column:
    """One account of the post."""

    explained: ExplainedDelivery
    status: PostStatus
    word: Word
    own_words: Mapping[str, str]
    """What it is sent instead of the post's words, by the name of the option."""
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


def build_columns(found: ExplainedPost, histories: Mapping[UUID, History], role: Role) -> list[Column]:
    """Return the accounts of a post for a visitor with this role in its workspace: what needs somebody first."""
    columns = [
        _build_column(found.post, one, histories.get(one.view.id, NOTHING), role) for one in found.deliveries
    ]
    return sorted(columns, key=lambda one: (one.explained.view.removed, -one.word.urgency))


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
    view = explained.view
    buttons = list_buttons(view, is_paused=is_paused(explained.evidence.derived), role=role)
    receipts = [json.loads(line) for line in history.receipts]
    own = OwnContent.from_dict(view.own) or OwnContent()
    section = {**post.options, **own.options}.get(Platform(view.platform), {})
    likely, unlikely = (
        [{**one, "link": find_link(one.get("url"))} for one in part] for part in split_candidates(view.error)
    )
    return Column(
        explained=explained,
        status=derive_delivery_status(view, post.now),
        word=REMOVED if view.removed else name_state(view),
        own_words={
            name: str(text)
            for name, text in {**({"caption": own.caption} if own.caption else {}), **section}.items()
            if name in OWN_WORDS and text
        },
        link=find_link(view.url),
        lateness=None if view.published_at is None else view.published_at - view.due_at,
        is_edited_since=_is_edited_since(own.caption or post.caption, own.media or post.media, receipts),
        error=describe_error(view.error),
        candidates=likely,
        unlikely_candidates=unlikely,
        timeline=build_timeline(history),
        has_earlier=len(history.moves) == SHOWN or len(history.attempts) == SHOWN,
        receipts=receipts,
        buttons=buttons,
        next=find_next(explained.explanation.action, [button.verb for button in buttons]),
    )


def _is_edited_since(caption: str, media: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]]) -> bool:
    live = [one["content_sha256"] for one in receipts if one["outcome"] == "published"]
    return bool(live) and live[-1] != content_sha256(caption, media)
