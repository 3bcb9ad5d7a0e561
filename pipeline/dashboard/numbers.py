"""The page of numbers: how many accounts posts went to, how late, and why others failed, of one client or of all.

The content of the page, computed from rollups: totals, a line a platform, causes, and a line for each day or hour.

A client's month: what went out, when and how late, and what failed and why, as a page to print and as CSV.

A post stands in the month in which it is due by the session's clock, with all of its accounts.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from math import floor, isinf, log
from typing import NamedTuple
from urllib.parse import quote, urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from adapters.contract import Platform
from pipeline.dashboard import queue
from pipeline.dashboard.clock import find_midnight, find_page_zone, split_days, split_hours
from pipeline.dashboard.filter import format_time
from pipeline.dashboard.ledger import read
from pipeline.dashboard.page import find_client, page
from pipeline.dashboard.post import find_link
from pipeline.dashboard.render import format_duration, render
from pipeline.dashboard.visitor import Visitor
from pipeline.dashboard.words import name_cause, name_platform, name_state, quote_platform
from pipeline.domain.account import Role
from pipeline.domain.delivery import State
from pipeline.domain.histogram import LATENESS_BOUNDS, estimate_quantile
from pipeline.imports.cells import defuse
from pipeline.imports.export import PAGE, UTF_8_MARK, write_rows
from pipeline.store.deliveries.queue import Place
from pipeline.store.deliveries.queue_posts import list_queued_posts
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.posts.calendar import Span
from pipeline.store.posts.views import DeliveryView, PostView, read_posts
from pipeline.store.rollups import settled_counts as rollup

PATH = "/dashboard/numbers"
DAYS: Mapping[str, int] = {"today": 1, "week": 7, "month": 30}
"""Periods by their names in the address; another one, ``span``, is from one day to another."""
MOST_DAYS = 366
MINUTE = 60.0
_BARS, _FEW = 62, 8
"""Days that have a bar each: of more, each week has one; and bars that have room for their words."""
_RANKED = 6
"""Clients with most failed."""
_FOOT, _USUAL, _MOST, _SCALE = 0.1, 300.0, 3600.0, 150
"""Seconds at the foot of the chart, at its top, and at its top if more was late than usual; and its pixels."""
_TICKS = {_FOOT: "0.1 s", 1: "1 s", 10: "10 s", MINUTE: "1 min", _USUAL: "5 min", _MOST: "1 h"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """Totals of one platform, of one day or hour, or of all; seconds and the share are None if nothing was sent."""

    published: int
    failed: int
    fastest: float | None
    typical: float | None
    slowest: float | None
    """The lateness of the 99th of 100."""
    prompt: float | None
    """The share of those that were sent within a minute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """A period. ``bars``: a line for each start; ``causes``: class of error -> number; ``before``: as long before."""

    platforms: Mapping[str, Line]
    total: Line
    before: Line
    bars: Sequence[Line]
    causes: Counter[str]


class Frame(NamedTuple):
    """The days that are shown, and the spans that have a bar each. ``before``: when the period before begins."""

    first: date
    last: date
    bars: Sequence[Span]
    before: datetime
    minutes: int
    """The length of the counted spans: where it is a day, the days are those of UTC."""
    labels: Sequence[str]


def build_frame(first: date, last: date, zone: ZoneInfo, now: datetime) -> Frame:
    """Return the frame of these days: they are those of *zone* if their hours are kept, else of UTC."""
    minutes = rollup.HOUR if find_midnight(first, zone) >= now - rollup.KEPT[rollup.HOUR] else rollup.DAY
    zone, number = zone if minutes == rollup.HOUR else ZoneInfo("UTC"), (last - first).days + 1
    bars, form = split_days(first, number, zone), "%a %-d" if number <= _FEW else "%-d %b"
    if number > _BARS:
        bars = [(bars[n][0], bars[min(n + 6, number - 1)][1]) for n in range(0, number, 7)]
    elif number == 1 and minutes == rollup.HOUR:
        bars, form = split_hours(bars), "%H:%M"
    before = find_midnight(first - timedelta(days=number), zone)
    labels = [start.astimezone(zone).strftime(form) for start, _ in bars]
    return Frame(first, last, bars, before, minutes, labels)


def compute_numbers(counts: Sequence[rollup.SettledCount], starts: Sequence[datetime]) -> Numbers:
    """Return the numbers of a period. *starts*: of its bars; what is counted earlier is the period before."""
    parts: list[list[rollup.SettledCount]] = [[] for _ in range(len(starts) + 1)]
    for one in counts:
        parts[bisect_right(starts, one.starts_at)].append(one)
    before, *bars = parts
    shown = [one for part in bars for one in part]
    causes = Counter[str]()
    for one in shown:
        causes[one.label] += one.n if one.kind == State.FAILED else 0
    return Numbers(
        platforms={p: _add_up([one for one in shown if one.platform == p]) for p in Platform},
        total=_add_up(shown),
        before=_add_up(before),
        bars=[_add_up(part) for part in bars],
        causes=+causes,
    )


def _add_up(counts: Sequence[rollup.SettledCount]) -> Line:
    kinds, late = Counter[str](), Counter[str]()
    for one in counts:
        is_lateness = one.kind == rollup.LATENESS
        (late if is_lateness else kinds)[one.label if is_lateness else one.kind] += one.n
    prompt = sum(n for bound, n in late.items() if float(bound) <= MINUTE)
    return Line(
        published=kinds[State.PUBLISHED],
        failed=kinds[State.FAILED],
        fastest=estimate_quantile(late, 0),
        typical=estimate_quantile(late, 0.5),
        slowest=estimate_quantile(late, 0.99),
        prompt=prompt / late.total() if late else None,
    )


@page("/numbers", Role.VIEWER)
async def show_numbers(request: Request, visitor: Visitor) -> Response:
    """Show the numbers of a period, of one client or all of the visitor's."""
    query, now, own = request.query_params, datetime.now(UTC), visitor.workspaces(Role.VIEWER)
    chosen = find_client(visitor, query.get("workspace"), "workspace") or (own[0] if len(own) == 1 else None)
    frame = _read_frame(query, find_page_zone(request), now)
    everywhere = None if visitor.has_everywhere(Role.VIEWER) else own
    among = (everywhere, own) if chosen is None else ([chosen], ())
    counts, counting, ranked = await read(request, _read, *among, frame)
    starts = [rollup.find_start(start, frame.minutes) for start, _ in frame.bars]
    numbers = compute_numbers(counts, starts)
    known = max(counting.since or now, now - rollup.KEPT[frame.minutes])
    top = _USUAL if max(one.slowest or 0 for one in numbers.bars) <= _USUAL else _MOST
    return render(
        request,
        "numbers.html",
        numbers=numbers,
        frame=frame,
        ranked=ranked,
        counting=counting,
        known=known,
        period=query.get("period") or "week",
        chosen=chosen,
        link=partial(link_queue, workspace=chosen),
        height=partial(find_height, top=top),
        ticks=[(seconds, words) for seconds, words in _TICKS.items() if seconds <= top],
        lateness=format_lateness,
        share=format_share,
        cause=name_cause,
    )


def _read_frame(query: QueryParams, zone: ZoneInfo, now: datetime) -> Frame:
    """Return the days that are asked for. Raises HTTPException 400."""
    if days := DAYS.get(query.get("period") or "week"):
        last = now.astimezone(zone if days == 1 else UTC).date()
        return build_frame(last - timedelta(days=days - 1), last, zone, now)
    given = [query.get(name, "")[:50] for name in ("period", "from", "to")]
    try:
        first, last = map(date.fromisoformat, given[1:])
        if given[0] == "span" and 0 <= (last - first).days < MOST_DAYS:
            return build_frame(first, last, zone, now)
    except (ValueError, OverflowError):
        pass
    rule = f"today, week, month, or span with two days such as 2026-11-27, at most {MOST_DAYS} in all"
    raise HTTPException(400, f"period, from, to: choose {rule}; not {', '.join(map(repr, given))}.")


def _read(
    c: Connection, workspaces: Collection[UUID] | None, among: Collection[UUID], frame: Frame
) -> tuple[Sequence[rollup.SettledCount], rollup.Counting, Sequence[rollup.WorkspaceCount]]:
    edges = (frame.before, frame.bars[0][0], frame.bars[-1][1])
    before, since, until = (rollup.find_start(at, frame.minutes) for at in edges)
    counts = rollup.list_settled(c, workspaces, frame.minutes, before, until)
    ranked = rollup.rank_failed(c, among, frame.minutes, since, until, limit=_RANKED)
    return counts, rollup.read_counting(c), ranked


def link_queue(since: datetime, until: datetime, **conditions: object) -> str:
    """Return the address of the queue with what is due in a span of time, and these conditions unless None."""
    fields = {"when": "all", "due_from": format_time(since), "due_to": format_time(until), **conditions}
    return f"{queue.PATH}?{urlencode({name: value for name, value in fields.items() if value})}"


def find_height(seconds: float, top: float) -> float:
    """Return where seconds are on the chart's logarithmic scale, in pixels above its foot."""
    return round(_SCALE * log(min(max(seconds, _FOOT), top) / _FOOT) / log(top / _FOOT), 1)


def format_lateness(seconds: float | None) -> str:
    """Return seconds as a user reads them; a dash for None."""
    if seconds is None:
        return "\N{EN DASH}"
    if isinf(seconds):
        return f"over {format_duration(timedelta(seconds=LATENESS_BOUNDS[-1]))}"
    return f"{seconds:.2g} s" if seconds < LATENESS_BOUNDS[6] else format_duration(timedelta(seconds=seconds))


def format_share(share: float | None) -> str:
    """Return a share in percent, rounded down: not all is never 100 %. A dash for None."""
    return "\N{EN DASH}" if share is None else f"{floor(share * 1000) / 10:g} %"


# --- a client's month ------------------------------------------------------------------------------------------------


MOST = 5_000
"""Accounts of posts that the page shows; the CSV has all."""
_COLUMNS = ["Due", "Words", "Platform", "Account", "State", "Went live", "Seconds late", "Link", "Why not"]


class Month(NamedTuple):
    """What is asked for: the posts of a client that are due in a month, by a clock."""

    client: UUID
    zone: ZoneInfo
    first: date
    chosen: ListFilter


class Row(NamedTuple):
    """One account of a post. ``late``: from its time to when it was seen live; ``why``: it is not live."""

    post: PostView
    one: DeliveryView
    late: timedelta | None
    why: str


@page("/numbers/month", Role.VIEWER)
async def show_month(request: Request, visitor: Visitor) -> Response:
    """Show the month, with its totals on top."""
    month = _read_month(request, visitor)
    found, is_cut = await read(request, list_month, month)
    prompt = [row.late <= timedelta(seconds=MINUTE) for row in found if row.late is not None]
    return render(
        request,
        "client_month.html",
        month=month,
        others=[month.first - timedelta(days=1), month.first + timedelta(days=31)],
        found=found,
        is_cut=is_cut,
        prompt=format_share(sum(prompt) / len(prompt) if prompt else None),
        link=link_queue,
        find_link=find_link,
    )


@page("/numbers/month.csv", Role.VIEWER)
async def export_month(request: Request, visitor: Visitor) -> Response:
    """Write the month as CSV, page by page at the browser's speed."""
    month = _read_month(request, visitor)
    start = await read(request, list_page, month)

    async def stream() -> AsyncIterator[bytes]:
        found, after = start
        yield UTF_8_MARK + write_rows([_COLUMNS, *_to_cells(found, month.zone)])
        while after is not None:
            found, after = await read(request, list_page, month, after)
            yield write_rows(_to_cells(found, month.zone))

    name = quote(f"{visitor.names[month.client]} {month.first:%Y-%m}.csv", safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return StreamingResponse(stream(), headers=headers, media_type="text/csv")


def _read_month(request: Request, visitor: Visitor) -> Month:
    """Return the month that is asked for, else the present one. Raises HTTPException 400, and 404 for another's."""
    query, zone = request.query_params, find_page_zone(request)
    if (client := find_client(visitor, query.get("client"), "client")) is None:
        raise HTTPException(400, "client is missing: choose one on the page of numbers.")
    text = query.get("month") or f"{datetime.now(zone):%Y-%m}"
    if not re.fullmatch(r"2[01]\d\d-(0[1-9]|1[0-2])", text, re.ASCII):
        raise HTTPException(400, f"month has to be one such as 2026-11: {text[:50]!r} is not.")
    first = date.fromisoformat(f"{text}-01")
    since, until = (find_midnight(day.replace(day=1), zone) for day in (first, first + timedelta(days=31)))
    return Month(client, zone, first, ListFilter(workspace=client, due_from=since, due_until=until))


def list_month(c: Connection, month: Month) -> tuple[Sequence[Row], bool]:
    """Return the accounts of the month's posts in the order of their time, ``MOST`` at most; True: there are more."""
    found, after = list_page(c, month)
    while after is not None and len(found) <= MOST:
        more, after = list_page(c, month, after)
        found += more
    return found[:MOST], after is not None or len(found) > MOST


def list_page(c: Connection, month: Month, after: Place | None = None) -> tuple[list[Row], Place | None]:
    """Return a page of the month, and where the next one begins; None at the end."""
    listed = list_queued_posts(c, month.chosen, [month.client], limit=PAGE, after=after)
    posts = sorted(read_posts(c, month.client, listed.posts), key=lambda one: (one.due_at, one.id))
    found = [_build_row(post, one) for post in posts for one in post.deliveries if not one.removed]
    return found, listed.after


def _build_row(post: PostView, one: DeliveryView) -> Row:
    error = one.error if one.error and one.state not in {State.PUBLISHED, State.CANCELLED} else {}
    words = error.get("platform_message")
    late = max(one.published_at - one.due_at, timedelta(0)) if one.published_at else None
    return Row(post, one, late, quote_platform(one.platform, words) if words else error.get("message") or "")


def _to_cells(found: Sequence[Row], zone: ZoneInfo) -> Iterator[list[str]]:
    for post, one, late, why in found:
        times = [at and at.astimezone(zone) for at in (one.due_at, one.published_at)]
        due, live = (at.isoformat(" ", "seconds") if at else "" for at in times)
        seconds = "" if late is None else f"{late.total_seconds():.0f}"
        what = due, post.caption, name_platform(one.platform), one.username, name_state(one).label
        yield [defuse(cell) for cell in (*what, live, seconds, one.url or "", why)]
