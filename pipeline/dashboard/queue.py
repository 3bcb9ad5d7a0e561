"""The page of the queue: the posts that a filter selects, where each stands, and what can be done to some or all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from pipeline.actions.explain import build_situation
from pipeline.dashboard.actions import ACTIONS, list_verbs
from pipeline.dashboard.clock import find_page_zone, format_day
from pipeline.dashboard.filter import (
    BY_TIME,
    MOST,
    NEWEST,
    ORDER,
    WHEN,
    Asked,
    InvalidFilter,
    build_when,
    parse_id_or_none,
    read_filter,
    resolve_filter,
)
from pipeline.dashboard.ledger import read
from pipeline.dashboard.page import SEPARATOR, page
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.dashboard.words import HOLDS, REASONS, STATES, Word, name_post, name_state, quote_platform
from pipeline.domain.account import PLATFORM_NAMES, Role
from pipeline.domain.attention import OVERDUE
from pipeline.domain.delivery import State
from pipeline.domain.explanation import explain
from pipeline.domain.post import NO_TIME
from pipeline.store.deliveries.history import Evidence
from pipeline.store.deliveries.queue import Place, QueuedDelivery, Within, choose_walk, is_place
from pipeline.store.deliveries.queue_posts import (
    QueuedPost,
    count_queued_posts,
    list_queued_posts,
    read_queued_posts,
)
from pipeline.store.deliveries.selection import NO_HOLD, TO_SEND, ListFilter
from pipeline.store.files.thumbnails import Thumbnail, find_thumbnails
from pipeline.store.health import database_now
from pipeline.store.imports.imports import list_newest

PATH = "/dashboard/queue"
PAGE = 50
TROUBLE = 20
"""Late and failed posts above those of today."""
NAMED = 10
"""Imports that the filter names: the latest."""
_LATE = "late"
_FILL = "fill"
"""The verb of drafts that no job does: they are put on free times (``fill.py``)."""
ORDERS: Mapping[str, str] = {BY_TIME: "By time", NEWEST: "Newest first"}
_NEXT_STEP = ("next_at", "lease_until")
"""Columns of walks that run by what happens next."""
_REASONS: Mapping[str, str] = {
    **{str(reason): word.label for reason, word in REASONS.items()},
    **{str(hold): words.format(platform="The platform") for hold, words in HOLDS.items()},
    NO_HOLD: "Nothing holds it",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueRow:
    """A post as the list shows it."""

    post: QueuedPost
    word: Word
    happens: str
    """What happens next to the account that needs somebody most, or what the platform said."""
    late: timedelta | None
    thumbnail: Thumbnail | None
    verbs: Sequence[str]
    """What the visitor can do to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Rows under one head. ``key``: of the head, in the address of a reload."""

    key: str
    title: str
    rows: Sequence[QueueRow]


NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(("sections", "order", "orders", "following", "is_cut"), ()),
    **dict.fromkeys(("number", "new"), 0),
    "imports": {},
}
"""What is shown of a filter that cannot be used."""


@page("/queue", Role.VIEWER)
async def show_queue(request: Request, visitor: Visitor) -> Response:
    """List what the address selects; 400 with the reasons if it cannot be used."""
    zone = find_page_zone(request)
    asked = read_filter(request.query_params, visitor, zone)
    if not asked.given:
        asked = read_filter({WHEN: "today"}, visitor, zone)
    found, problem = NOTHING, ""
    if not asked.problems:
        try:
            found = await read(request, _read, asked, request.query_params, zone, visitor)
        except InvalidFilter as error:
            problem = str(error)
    return render(
        request,
        "queue.html",
        400 if found is NOTHING else 200,
        **found,
        asked=asked,
        problem=problem,
        most=MOST,
        begins=asked.chosen.due_from,
        here=asked.build_address(PATH, after=request.query_params.get("after")),
        is_first="after" not in request.query_params,
        actions={name: action for name, action in ACTIONS.items() if visitor.has(action.role)},
        states={str(state): word.label for state, word in STATES.items()},
        platforms=PLATFORM_NAMES,
        clients={str(identity): name for identity, name in visitor.names.items()} | _name_several(asked),
        reasons=_REASONS,
        jobs=urlencode([("id", one) for one in request.query_params.getlist("job")]),
        shows_filters="filters" in request.query_params or bool(asked.problems or problem),
        path_of_page=PATH,
    )


def _name_several(asked: Asked) -> dict[str, str]:
    several = asked.given.get("workspace", "")
    return {several: f"{several.count('.') + 1} clients"} if "." in several else {}


def _read(
    c: Connection, asked: Asked, query: QueryParams, zone: ZoneInfo, visitor: Visitor
) -> dict[str, Any]:
    """Return what is shown of a page. ``new``: posts that it does not show yet; ``orders``: to choose from."""
    chosen, after = resolve_filter(c, asked), _read_place(query)
    newest = asked.given.get(ORDER) == NEWEST
    walk = choose_walk(chosen, asked.within, newest=newest)
    if after is not None and not is_place(walk, after):
        raise InvalidFilter("The address of this page does not fit its filter: begin with the first page.")
    now = database_now(c)
    listed = list_queued_posts(c, chosen, asked.within, limit=PAGE, after=after, newest=newest)
    trouble = _list_trouble(c, asked, now, zone) if after is None and asked.given.get(WHEN) == "today" else []
    fresh = [*trouble, *(one for one in listed.posts if one not in trouble)]
    shown = [parse_id_or_none(text.removeprefix(f"{_LATE}:")) for text in query.getlist("shown")[: 2 * PAGE]]
    kept = [one for one in shown if one is not None]
    late = {text.partition(":")[2] for text in query.getlist("shown") if text.startswith(f"{_LATE}:")}
    first = {one for one in kept if str(one) in late} if kept else {*trouble}
    thumbnails = find_thumbnails(c, kept or fresh)
    posts = read_queued_posts(c, kept or fresh, asked.within)
    rows = [_build_row(one, now, thumbnails.get(one.id), visitor) for one in posts]
    return {
        "sections": [*_split(rows, first, walk.by, now.astimezone(zone).date(), zone)],
        "number": count_queued_posts(c, chosen, asked.within, most=MOST),
        "order": _name_order(walk.by),
        "orders": _list_orders(chosen, asked.within, now),
        "new": len(set(fresh) - set(kept)) if kept and after is None else 0,
        "following": asked.build_address(PATH, after=SEPARATOR.join(listed.after)) if listed.after else None,
        "is_cut": listed.is_cut,
        "imports": {str(job.id): job.title for job, _ in list_newest(c, asked.within, limit=NAMED)},
    }


def _list_orders(chosen: ListFilter, within: Within, now: datetime) -> Mapping[str, str]:
    """Return the orders that the posts of a filter can be listed in, if they are several."""
    timed = replace(chosen, due_from=chosen.due_from or (None if chosen.due_until else now))
    walks = choose_walk(timed, within), choose_walk(chosen, within, newest=True)
    return ORDERS if walks[0].by != walks[1].by else {}


def _name_order(by: str) -> str:
    return ORDERS[BY_TIME] if by == "due_at" else "Next step first" if by in _NEXT_STEP else ORDERS[NEWEST]


def _list_trouble(c: Connection, asked: Asked, now: datetime, zone: ZoneInfo) -> list[UUID]:
    """Return posts that are late, wait for somebody or failed today, each once."""
    filters = [
        ListFilter(**build_when("late", now, zone)),
        ListFilter(state=State.BLOCKED),
        ListFilter(**build_when("failed", now, zone)),
    ]
    pages = [list_queued_posts(c, one, asked.within, limit=TROUBLE) for one in filters]
    return list(dict.fromkeys(post for found in pages for post in found.posts))[:TROUBLE]


def _split(
    built: Sequence[QueueRow], trouble: Collection[UUID], by: str, today: date, zone: ZoneInfo
) -> Iterator[Section]:
    """Yield the sections: what is late or failed, then the days of the order *by* a column."""
    if first := [one for one in built if one.post.id in trouble]:
        yield Section(key=_LATE, title="Late or failed", rows=first)
    rest = [one for one in built if one.post.id not in trouble]
    if by in _NEXT_STEP:
        yield Section(key="all", title=_name_order(by), rows=rest)
        return
    is_timed = by == "due_at"

    def find_day(one: QueueRow) -> date:
        return (one.post.due_at if is_timed else one.post.created_at).astimezone(zone).date()

    for day, rows in groupby(rest, key=find_day):
        names = ("Today, ", "") if is_timed else ("Added today, ", "Added ")
        title = f"{names[day != today]}{format_day(day, today)}"
        yield Section(key="day", title=title, rows=list(rows))


def _build_row(post: QueuedPost, now: datetime, thumbnail: Thumbnail | None, visitor: Visitor) -> QueueRow:
    most = max(post.deliveries, key=lambda one: name_state(one.facts).urgency)
    is_late = now - post.due_at >= OVERDUE and any(_is_unsent(one) for one in post.deliveries)
    role, is_draft = visitor.roles.get(post.workspace_id, Role.VIEWER), post.due_at >= NO_TIME
    return QueueRow(
        post=post,
        word=name_post([one.facts for one in post.deliveries]),
        happens=describe_next(most),
        late=now - post.due_at if is_late else None,
        thumbnail=thumbnail,
        verbs=[*list_verbs(post.deliveries, role), *([_FILL] if is_draft and role >= Role.AUTHOR else ())],
    )


def _is_unsent(one: QueuedDelivery) -> bool:
    return one.facts.armed_at is None and one.facts.state in TO_SEND


def describe_next(one: QueuedDelivery) -> str:
    """Return what the platform said of a delivery, or what happens to it next; empty for what is on its way."""
    facts, error = one.facts, one.facts.error or {}
    if facts.state in {State.PUBLISHED, State.CANCELLED} or (
        facts.state == State.SCHEDULED and facts.held_for is None
    ):
        return ""
    if words := error.get("platform_message"):
        return quote_platform(facts.platform, words)
    said = explain(build_situation(facts, _gather_evidence(one)))
    return " ".join(text for text in (error.get("message") or said.summary, said.next_step) if text)


def _read_place(query: QueryParams) -> Place | None:
    text = query.get("after")
    return tuple(text.split(SEPARATOR)) if text else None


def _gather_evidence(one: QueuedDelivery) -> Evidence:
    """Return what the list knows of a delivery in addition to its row; the page of its post knows more."""
    return Evidence(
        delivery_id=one.facts.id,
        account_id=one.facts.account_id,
        moved_at=one.updated_at,
        why=None,
        attempt=None,
        attempt_opened_at=None,
        attempt_armed_at=None,
        attempt_outcome=None,
        account_status="",
        grant_ends_at=None,
        derived=one.derived,
    )
