"""The time zone of a page, and the days of its calendar as spans of time, with days of 23 and 25 hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.dashboard import queue
from pipeline.dashboard.actions import ACTIONS
from pipeline.dashboard.ledger import read
from pipeline.dashboard.page import page
from pipeline.dashboard.queue import format_time
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.imports.local_time import InvalidCell, find_zone, list_zones
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_state import compute_version, derive_status, may_be_rescheduled
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.posts.calendar import DuePost, FilledSpan, Span, list_due
from pipeline.store.posts.views import PostView, read_posts

ZONE_COOKIE = "slipway-zone"
"""Set by the pages' script to the browser's zone, unless the visitor has chosen another."""
_YEAR = 365 * 24 * 60 * 60
_HOUR = timedelta(hours=1)


def find_page_zone(request: Request) -> ZoneInfo:
    """Return the zone that the query chooses, else that of the browser, else UTC. Raises Refusal 400."""
    asked = request.query_params.get("zone")
    try:
        return find_zone(asked or request.cookies.get(ZONE_COOKIE) or "UTC")
    except InvalidCell as error:
        if not asked:
            return ZoneInfo("UTC")
        raise Refusal(400, "validation_failed", f"zone: {error}") from None


def keep_zone(request: Request, response: Response, zone: ZoneInfo) -> None:
    """Let the browser keep a zone that the query chooses."""
    if request.query_params.get("zone"):
        response.set_cookie(ZONE_COOKIE, zone.key, max_age=_YEAR, path="/dashboard", samesite="lax")


def split_days(first: date, days: int, zone: ZoneInfo) -> list[Span]:
    """Return the spans of this many days from *first* on, from midnight to midnight in the zone."""
    ends = [_find_midnight(first + timedelta(days=n), zone) for n in range(days + 1)]
    return list(pairwise(ends))


def split_hours(spans: Sequence[Span]) -> list[Span]:
    """Return the hours of the spans; the last of a span is shorter where the span ends within it."""
    return [
        (start + n * _HOUR, min(start + (n + 1) * _HOUR, end))
        for start, end in spans
        for n in range(-((start - end) // _HOUR))
    ]


def format_offset(instant: datetime, zone: ZoneInfo) -> str:
    """Return the offset of a zone at an instant, such as ``+05:30``."""
    return instant.astimezone(zone).isoformat()[-6:]


def format_wall_time(instant: datetime, zone: ZoneInfo) -> str:
    """Return the wall time of the zone at an instant, to the second, such as ``2026-11-27T09:00:00``."""
    return instant.astimezone(zone).replace(tzinfo=None).isoformat(timespec="seconds")


def _find_midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins; where clocks skip midnight, when they do so."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


MOST_DAYS = 42
"""Maximum days of one calendar: six weeks show any month."""
WORDS = 80
"""Characters of a caption on a card."""
LENGTH = timedelta(minutes=30)
"""The length of a card in the week's grid; a post has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """A view: the spans that its posts are counted in, and how many are shown of each."""

    title: str
    unit: Literal["hour", "day"]
    shown: int


VIEWS: Mapping[str, _View] = {
    "timeGridWeek": _View(title="Week", unit="hour", shown=3),
    "dayGridMonth": _View(title="Month", unit="day", shown=5),
    "listWeek": _View(title="List", unit="day", shown=40),
}
"""The views, by their names in the calendar's library."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Whose posts are shown."""

    workspace: UUID
    account: UUID | None


@page(Role.VIEWER)
async def show_calendar(request: Request, visitor: Visitor) -> Response:
    """Show the calendar's frame: the choice of workspace, account and zone."""
    zone, place = find_page_zone(request), _read_place(request, visitor)
    accounts: Sequence[AccountRow] = ()
    if place is not None:
        accounts = await read(request, find_accounts, place.workspace)
    response = render(
        request,
        visitor,
        "calendar.html",
        place=place,
        workspaces=sorted(visitor.workspaces(Role.VIEWER), key=lambda w: (visitor.names.get(w, ""), w)),
        accounts=accounts,
        zone=zone.key,
        offset=format_offset(datetime.now(UTC), zone),
        zones=sorted(list_zones().values()),
        views=VIEWS,
    )
    keep_zone(request, response, zone)
    return response


@page(Role.VIEWER)
async def list_cards(request: Request, visitor: Visitor) -> Response:
    """Return the cards of a view of the calendar, as JSON for its script. Times are those of the zone's clocks."""
    place = _read_place(request, visitor)
    if place is None:
        raise HTTPException(404)
    zone = find_page_zone(request)
    view, spans = _read_spans(request, zone)
    filled, posts = await read(request, _read_posts, place, spans, view.shown)
    may_move = place.workspace in visitor.workspaces(ACTIONS["reschedule"].role)
    cards = [
        _build_card(due, posts[due.id], zone, may_move=may_move)
        for one in filled
        for due in one.posts
        if due.id in posts
    ]
    others = [_build_others(one, place, zone) for one in filled if one.others]
    return JSONResponse([*cards, *others])


def _read_place(request: Request, visitor: Visitor) -> _Place | None:
    """Return whose posts are asked for; None if the visitor sees no workspace. Raises HTTPException 404."""
    own = visitor.workspaces(Role.VIEWER)
    asked = request.query_params.get("workspace")
    account = request.query_params.get("account")
    try:
        if asked:
            workspace = UUID(asked)
        elif own:
            workspace = min(own, key=lambda w: (visitor.names.get(w, ""), w))
        else:
            return None
        if workspace not in own:
            raise HTTPException(404)
        return _Place(workspace=workspace, account=UUID(account) if account else None)
    except ValueError:
        raise HTTPException(404) from None


def _read_spans(request: Request, zone: ZoneInfo) -> tuple[_View, Sequence[Span]]:
    """Return the view that is asked for, and its spans. Raises Refusal 400."""
    query = request.query_params
    view = VIEWS.get(query.get("view", ""))
    if view is None:
        raise Refusal(400, "validation_failed", f"view: choose one of {', '.join(VIEWS)}.")
    try:
        start, end = (date.fromisoformat(query.get(name, "")[:10]) for name in ("start", "end"))
    except ValueError:
        message = "start, end: give two dates, such as 2026-11-27."
        raise Refusal(400, "validation_failed", message) from None
    days = (end - start).days
    if not 1 <= days <= MOST_DAYS or not 2000 <= start.year <= 2200:  # noqa: PLR2004  years of any post
        message = (
            f"start, end: a calendar has 1 to {MOST_DAYS} days between 2000 and 2200, not {start} to {end}."
        )
        raise Refusal(400, "validation_failed", message)
    found = split_days(start, days, zone)
    return view, split_hours(found) if view.unit == "hour" else found


def _read_posts(
    c: Connection, place: _Place, spans: Sequence[Span], shown: int
) -> tuple[list[FilledSpan], Mapping[UUID, PostView]]:
    filled = list_due(c, place.workspace, place.account, spans, shown=shown)
    ids = {due.id for one in filled for due in one.posts}
    return filled, {view.id: view for view in read_posts(c, place.workspace, ids)}


def _build_card(due: DuePost, view: PostView, zone: ZoneInfo, *, may_move: bool) -> Mapping[str, Any]:
    """Return a post as the calendar's library takes it. *may_move*: the visitor may reschedule posts."""
    status = derive_status(view)
    movable = may_move and due.due_at == view.due_at and may_be_rescheduled(view)
    return {
        "id": f"{view.id} {due.due_at.isoformat()}",
        "start": format_wall_time(due.due_at, zone),
        "end": format_wall_time(due.due_at + LENGTH, zone),
        "title": view.caption[:WORDS],
        "startEditable": movable,
        "classNames": [f"card-{status}"],
        "extendedProps": {
            "link": f"/dashboard/posts/{view.id}",
            "post": str(view.id),
            "at": format_wall_time(due.due_at, zone),
            "status": status,
            "accounts": ", ".join(f"{d.username} on {d.platform}" for d in view.deliveries if not d.removed),
            "version": f'"{compute_version(view)}"' if movable else None,
        },
    }


def _build_others(filled: FilledSpan, place: _Place, zone: ZoneInfo) -> Mapping[str, Any]:
    """Return the card that leads to the posts of a span which are not shown."""
    start, end = filled.span
    query = {name: str(value) for name, value in asdict(place).items() if value is not None}
    query |= {"due_from": format_time(start), "due_to": format_time(end)}
    shown_at = max([due.due_at for due in filled.posts], default=start)
    return {
        "id": f"others {start.isoformat()}",
        "start": format_wall_time(shown_at, zone),
        "end": format_wall_time(shown_at + LENGTH, zone),
        "title": f"and {'more than ' if filled.has_more else ''}{filled.others:,} more",
        "startEditable": False,
        "classNames": ["card-others"],
        "extendedProps": {"link": f"{queue.PATH}?{urlencode(query)}"},
    }


ROUTES = (
    Route("/calendar", show_calendar),
    Route("/calendar/posts", list_cards),
)
