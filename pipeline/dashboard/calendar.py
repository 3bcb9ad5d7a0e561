"""The calendar: how many posts a month has by day, hour and platform, and the posts of a week and of a day by hour.

Dates and hours are those of the session's clock. A day has the hours that the clock shows, one of them twice where
clocks go back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from adapters.contract import Platform
from pipeline.dashboard import queue
from pipeline.dashboard.actions import ACTIONS
from pipeline.dashboard.clock import find_page_zone, split_days, split_hours
from pipeline.dashboard.fill import FreeTime, list_free_times
from pipeline.dashboard.filter import SHORT, InvalidFilter, find_workspaces, format_time
from pipeline.dashboard.ledger import read
from pipeline.dashboard.page import page, parse_choice
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import PLATFORM_NAMES, Role
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_state import compute_version, may_be_rescheduled
from pipeline.store.deliveries.queue import SOME
from pipeline.store.files.thumbnails import Thumbnail, find_thumbnails
from pipeline.store.posts.calendar import Span, SpanCount, Whose, count_due, list_due
from pipeline.store.posts.views import PostView, read_posts_within


class View(StrEnum):
    """The length of what is shown."""

    MONTH = "month"
    WEEK = "week"
    DAY = "day"


FEW, OF_WEEK, OF_DAY = 4, 2, 6
"""Posts that are shown of a day of the month, if it has no more; of an hour of a week; and of an hour of a day."""
ROWS = 10
"""Hours of a week that are open, the ones with most posts. The others are folded."""
DRAWN = range(5, 23)
"""Hours that have a bar."""
YEARS = range(2000, 2201)
Key = tuple[int, int]
"""An hour of the clock, and 1 if it is there for the second time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The request of an address. ``at``: a day of the view; ``opened``: the one in the panel.

    ``chosen``: the named clients, empty for all.
    """

    view: View
    at: date
    opened: date | None
    every_hour: bool
    chosen: tuple[UUID, ...]
    whose: Whose
    visitor: Visitor
    zone: ZoneInfo

    def build_address(self, **changes: object) -> str:
        """Return the address of the calendar with these fields changed; None leaves one out."""
        own = {"view": self.view, "date": self.at, "workspace": self._name_chosen()}
        return "?" + self._encode({**own, **changes})

    def link_queue(self, span: Span) -> str:
        """Return the address of the queue with the posts of a span."""
        start, end = map(format_time, span)
        own = {"workspace": self._name_chosen(), "due_from": start, "due_to": end}
        return f"{queue.PATH}?{self._encode(own)}"

    def _name_chosen(self) -> str:
        return ".".join(one.hex[-SHORT:] if self.chosen[1:] else str(one) for one in self.chosen)

    def _encode(self, fields: Mapping[str, object]) -> str:
        own = {"platform": self.whose.platform, **fields}
        return urlencode({name: value for name, value in own.items() if value}, safe=":")


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A post, at a time. ``version``: of the post, if the visitor may move it."""

    post: PostView
    due_at: datetime
    thumbnail: Thumbnail | None
    version: str | None


@dataclass(kw_only=True, slots=True)
class Hour:
    """An hour of a day. ``starts``: by the clock, with the offset where the clock shows it twice."""

    key: Key
    label: str
    starts: str
    span: Span
    number: int = 0
    cards: list[Card] = field(default_factory=list)
    free: list[FreeTime] = field(default_factory=list)
    """Of one client, where a day is shown by its hours."""


@dataclass(kw_only=True, slots=True)
class Day:
    """A day by its hours."""

    date: date
    span: Span
    hours: Sequence[Hour]
    count: SpanCount = field(default_factory=SpanCount)

    @property
    def bars(self) -> Sequence[int]:
        """Return the number of posts by hour."""
        found: Counter[int] = Counter()
        for hour in self.hours:
            found[hour.key[0]] += hour.number
        return [found[hour] for hour in DRAWN]

    @property
    def filled(self) -> Sequence[Hour]:
        """Return the hours that have posts or free times, or may have posts that were not counted."""
        return [hour for hour in self.hours if hour.number or hour.free or self.count.has_more]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Hours of a week: one that is open, or some that are folded. ``number``: of their posts."""

    label: str
    keys: Sequence[Key]
    is_open: bool
    number: int


Found = tuple[Sequence[Day], Sequence[Row], Day | None]
"""The days of a month or week, the rows of a week, and the day that is alone or in the panel."""


@page("/calendar", Role.VIEWER)
async def show_calendar(request: Request, visitor: Visitor) -> Response:
    """Show a month and one of its days, a week, or a day."""
    asked = _read_address(request, visitor)
    days, rows, opened = await read(request, _read, asked)
    today = datetime.now(UTC).astimezone(asked.zone).date()
    return render(
        request,
        "calendar.html",
        asked=asked,
        days=days,
        rows=rows,
        opened=opened,
        today=today,
        steps=_step(asked.view, asked.at),
        next_to=_step(View.DAY, asked.opened or asked.at),
        views=View,
        drawn=DRAWN,
        platforms=PLATFORM_NAMES,
        clients=visitor.list_clients(Role.VIEWER),
    )


def _read_address(request: Request, visitor: Visitor) -> Asked:
    """Return the request of an address. Raises Refusal 400, and HTTPException 400 and 404."""
    query, zone, own = request.query_params, find_page_zone(request), visitor.list_clients(Role.VIEWER)
    try:
        chosen = find_workspaces(".".join(query.getlist("workspace")), visitor)
    except InvalidFilter:
        raise HTTPException(404) from None
    view = parse_choice(View, query.get("view"), "view") or View.MONTH
    today = datetime.now(UTC).astimezone(zone).date()
    return Asked(
        view=view,
        at=_parse_date(query.get("date"), "date") or today,
        opened=_parse_date(query.get("day"), "day") if view is View.MONTH else None,
        every_hour=query.get("hours") == "all",
        chosen=chosen,
        whose=Whose(
            workspaces=[*(chosen or own)][:SOME],
            platform=parse_choice(Platform, query.get("platform"), "platform"),
        ),
        visitor=visitor,
        zone=zone,
    )


def _parse_date(text: str | None, name: str) -> date | None:
    """Return a date; None for none. Raises Refusal 400."""
    try:
        found = date.fromisoformat(text) if text else None
    except ValueError:
        found = date.min
    if found is None or found.year in YEARS:
        return found
    message = f"{name}: give a date from {YEARS[0]} to {YEARS[-1]}, such as 2026-11-27, not {text!r:.50}."
    raise Refusal(400, "validation_failed", message)


def _step(view: View, at: date) -> Sequence[date]:
    """Return a date of the view before, and of the one after."""
    if view is View.MONTH:
        first = at.replace(day=1)
        return [(first - timedelta(days=1)).replace(day=1), (first + timedelta(days=31)).replace(day=1)]
    days = timedelta(days=7 if view is View.WEEK else 1)
    return [at - days, at + days]


def _read(c: Connection, asked: Asked) -> Found:
    opened = _read_day(c, asked, asked.opened) if asked.opened else None
    if asked.view is View.DAY:
        return (), (), _read_day(c, asked, asked.at)
    monday = asked.at - timedelta(days=asked.at.weekday())
    if asked.view is View.WEEK:
        days = _count(c, asked, monday, 7)
        _add_free(c, asked, days)
        rows = _fold(days, asked)
        keys = {key for row in rows if row.is_open for key in row.keys}
        _show(c, asked, [hour for day in days for hour in day.filled if hour.key in keys], OF_WEEK)
        return days, rows, None
    first, (_, following) = asked.at.replace(day=1), _step(View.MONTH, asked.at)
    monday = first - timedelta(days=first.weekday())
    days = _count(c, asked, monday, -((monday - following).days // 7) * 7)
    _show(c, asked, [hour for day in days if day.count.posts <= FEW for hour in day.filled], FEW)
    return days, (), opened


def _read_day(c: Connection, asked: Asked, day: date) -> Day:
    [found] = _count(c, asked, day, 1)
    _add_free(c, asked, [found])
    _show(c, asked, found.filled, OF_DAY)
    return found


def _add_free(c: Connection, asked: Asked, days: Sequence[Day]) -> None:
    """Add the free times of the one client that is shown: those of several would be more than the posts."""
    if len(asked.whose.workspaces) != 1:
        return
    [client], span = asked.whose.workspaces, (days[0].span[0], days[-1].span[1])
    hours = {hour.span: hour for day in days for hour in day.hours}
    for free in list_free_times(c, client, asked.whose.platform, span):
        place = next((one for one in hours if one[0] <= free[0] < one[1]), None)
        if place is not None:
            hours[place].free.append(free)


def _count(c: Connection, asked: Asked, first: date, number: int) -> list[Day]:
    """Return days with their numbers."""
    spans = split_days(first, number, asked.zone)
    days = [_build_day(span, asked.zone) for span in spans]
    hours = [hour for day in days for hour in day.hours]
    counts = count_due(c, asked.whose, spans, [hour.span[0] for hour in hours])
    for day, count in zip(days, counts, strict=True):
        day.count = count
        for part, posts in count.parts.items():
            hours[part - 1].number = posts
    return days


def _build_day(span: Span, zone: ZoneInfo) -> Day:
    spans = split_hours([span])
    walls = [start.astimezone(zone) for start, _ in spans]
    clock = [wall.hour for wall in walls]
    hours = [
        Hour(
            key=(wall.hour, clock[:n].count(wall.hour)),
            label=f"{wall:%H:%M}{' again' if wall.hour in clock[:n] else ''}",
            starts=f"{wall:%Y-%m-%dT%H:%M}{wall.isoformat()[-6:] if clock.count(wall.hour) > 1 else ''}",
            span=one,
        )
        for n, (wall, one) in enumerate(zip(walls, spans, strict=True))
    ]
    return Day(date=walls[0].date(), span=span, hours=hours)


def _fold(days: Sequence[Day], asked: Asked) -> list[Row]:
    """Return the hours of a week; neighbours that are folded are one row."""
    hours = {hour.key: hour.label for day in days for hour in day.hours}
    numbers: Counter[Key] = Counter()
    free: Counter[Key] = Counter()
    for hour in (hour for day in days for hour in day.filled):
        numbers[hour.key] += hour.number
        free[hour.key] += len(hour.free)
    ranked = sorted(numbers, key=lambda key: (-numbers[key], -free[key], key))
    is_open = set(hours) if asked.every_hour else set(ranked[:ROWS])
    rows = []
    for opened, group in groupby(sorted(hours), key=is_open.__contains__):
        keys = list(group)
        for some in [[key] for key in keys] if opened else [keys]:
            label = " to ".join(dict.fromkeys((hours[some[0]], hours[some[-1]])))
            rows.append(Row(label=label, keys=some, is_open=opened, number=sum(numbers[key] for key in some)))
    return rows


def _show(c: Connection, asked: Asked, hours: Sequence[Hour], shown: int) -> None:
    """Read the first posts of these hours."""
    due = list_due(c, asked.whose, [hour.span for hour in hours], shown=shown)
    ids = {one.id for posts in due for one in posts}
    thumbnails, own = find_thumbnails(c, ids), asked.visitor.workspaces(ACTIONS["reschedule"].role)
    views = {view.id: view for view in read_posts_within(c, asked.whose.workspaces, ids)}
    for hour, posts in zip(hours, due, strict=True):
        for due_at, view in [(one.due_at, views[one.id]) for one in posts if one.id in views]:
            may_move = view.workspace_id in own and due_at == view.due_at and may_be_rescheduled(view)
            version = compute_version(view)[:32] if may_move else None
            hour.cards.append(
                Card(post=view, due_at=due_at, thumbnail=thumbnails.get(view.id), version=version)
            )
