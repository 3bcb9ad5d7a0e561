"""The first page: today by hour, and everything that needs somebody, by cause and account, each with what helps.

Also the sidebar's counts: what goes out now and in the next hour, what is late, failed today, and needs attention.

It is the list of ``slipway attention`` by account. Each line is dealt with by a page, a form, or a command for the
operator at the server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions.attention import AttentionItem, read_attention
from pipeline.dashboard import words
from pipeline.dashboard.actions import ACTIONS, DECIDE
from pipeline.dashboard.approval_queue import PATH as APPROVAL
from pipeline.dashboard.clock import find_page_zone, keep_zone, split_days, split_hours
from pipeline.dashboard.filter import MOST, build_when, format_time, get_within
from pipeline.dashboard.ledger import get_state, read
from pipeline.dashboard.page import HOME, page
from pipeline.dashboard.pauses import choose_mine
from pipeline.dashboard.queue import PATH as QUEUE
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.dashboard.words import STATES, name_hold, quote_platform
from pipeline.domain.account import Role
from pipeline.domain.attention import (
    AT_THE_SERVER,
    CARDS,
    HELD,
    OVERDUE,
    REFUSED,
    Kind,
    Matter,
    name_cause,
)
from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import Hold
from pipeline.domain.steering import Verb
from pipeline.domain.time_zone import UnknownZone, find_zone
from pipeline.store.accounts.accounts import AccountRow, read_accounts
from pipeline.store.accounts.health import count_by_status
from pipeline.store.attention import ROWS
from pipeline.store.deliveries.pauses import list_pauses
from pipeline.store.deliveries.queue import Within
from pipeline.store.deliveries.queue_posts import count_queued_posts
from pipeline.store.deliveries.selection import NO_ERROR, NO_HOLD, ListFilter
from pipeline.store.files.thumbnails import find_thumbnails
from pipeline.store.health import database_now
from pipeline.store.posts.approvals import count_waiting
from pipeline.store.posts.outcomes import count_outcomes

PAUSES = 3
"""Pauses that are named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A button that leads to where a matter is dealt with. ``role``: what its visitor needs."""

    label: str
    address: str
    role: Role = Role.VIEWER


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A line of the page. ``account``: the one that it is about, if it is one."""

    matter: Matter
    account: AccountRow | None
    cause: str
    says: str
    show: str
    """The address of what it counts; empty: there is none."""
    verb: Link | None
    """What helps, if the visitor may do it."""
    command: str


@page("/", Role.VIEWER)
async def show_attention(request: Request, visitor: Visitor) -> Response:
    """List what needs somebody in the visitor's workspaces, under the posts of today."""
    silent = timedelta(seconds=get_state(request).context.settings.worker.silent)
    found = await read(request, _read, silent, visitor, find_page_zone(request))
    return render(
        request, "attention.html", cards=CARDS, words=words.CARDS, overdue=OVERDUE, here=HOME, **found
    )


def _read(c: Connection, silent: timedelta, visitor: Visitor, zone: ZoneInfo) -> dict[str, Any]:
    """Return the content of the page, and the clock that its times are by."""
    now, within = database_now(c), get_within(visitor, Role.VIEWER)
    items, has_more = list_items(c, silent, within)
    accounts = read_accounts(c, {named for one in items if (named := one.matter.account_id)})
    hours = split_hours(split_days(now.astimezone(zone).date(), 1, zone))
    return {
        "now": now,
        "rows": [build_row(one, accounts, now, visitor) for one in items],
        "has_more": has_more,
        "thumbnails": find_thumbnails(c, {post for one in items for post in one.matter.posts}),
        "hours": hours,
        "due": count_outcomes(c, visitor.workspaces(Role.VIEWER), hours),
        "times": count_now(c, within, zone, ("now", "hour")),
        "pauses": list_pauses(c, choose_mine(visitor), cap=1, most=PAUSES + 1),
        "named": PAUSES,
        "is_new": not items and not any(count_by_status(c, visitor.workspaces(Role.VIEWER)).values()),
    }


def build_row(
    item: AttentionItem, accounts: Mapping[UUID, AccountRow], now: datetime, visitor: Visitor
) -> Row:
    """Return an item as the page shows it to this visitor."""
    matter = item.matter
    account = accounts.get(matter.account_id) if matter.account_id else None
    verb = find_verb(matter, now)
    query = {} if matter.kind in _NOT_QUEUED else build_query(matter, now)
    return Row(
        matter=matter,
        account=account,
        cause=name_cause(matter),
        says=_say(matter, account),
        show=f"{QUEUE}?{urlencode(query)}" if query else "",
        verb=verb if verb and _may_use(verb, visitor, account) else None,
        command=item.command if matter.kind in AT_THE_SERVER else "",
    )


def _may_use(verb: Link, visitor: Visitor, account: AccountRow | None) -> bool:
    if account is None:
        return visitor.has(verb.role)
    return visitor.roles.get(account.workspace_id, Role.VIEWER) >= verb.role


def _say(matter: Matter, account: AccountRow | None) -> str:
    """Return what the platform says, else what we say of the matter."""
    error = (account and account.error) or {}
    if matter.kind in {Kind.HELD, Kind.OVERDUE}:
        held = name_hold(Hold(matter.reason), matter.platform or "") if matter.reason else ""
        return held or STATES[matter.state or ""].label
    if matter.kind in AT_THE_SERVER:
        return " ".join(filter(None, (matter.platform, matter.reason))).replace("_", " ")
    if words := matter.words or error.get("platform_message"):
        return quote_platform(matter.platform or "", words)
    return matter.message or error.get("message") or ""


def find_verb(matter: Matter, now: datetime) -> Link | None:
    """Return the button that helps; None: there is only the list of what it counts."""
    cause, only = name_cause(matter), matter.posts[0] if matter.count == 1 and matter.posts else None
    if cause in {Kind.RECONNECT, Kind.GRANT_ENDING}:
        return Link(label="Connect", address="/dashboard/accounts/connect", role=Role.OPERATOR)
    if cause in _TRIES:
        query = {"action": _TRIES[cause], "scope": "all", "filter": urlencode(build_query(matter, now))}
        return Link(
            label="Try again",
            address=f"{QUEUE}/count?{urlencode(query)}",
            role=ACTIONS[_TRIES[cause]].role,
        )
    if cause in _OF_ONE and only:
        label, role = _OF_ONE[cause]
        return Link(label=label, address=f"/dashboard/posts/{only}", role=role)
    if matter.reason in {Hold.LOCKED, Hold.PAUSED}:
        return Link(label="Show pauses", address="/dashboard/pauses")
    return _PAGES.get(cause)


def build_query(matter: Matter, now: datetime) -> dict[str, str]:
    """Return the fields of the queue's filter that select exactly the deliveries of a matter."""
    found = {
        # the other kinds are named as the states that they list
        "state": State.FAILED if matter.kind is Kind.DEAD_LETTERS else matter.state or matter.kind,
        "platform": matter.platform,
        "account": str(matter.account_id or ""),
    }
    if matter.kind is Kind.RECONNECT:
        return {"account": str(matter.account_id), "when": "open"}
    if matter.kind in {Kind.BLOCKED, Kind.DEAD_LETTERS}:
        found |= {
            "error_class": matter.error_class or NO_ERROR,
            "code": matter.code or NO_ERROR,
            "discarded": "no",
        }
    if matter.kind is Kind.BLOCKED:
        found["reason"] = matter.reason
    if matter.kind in {Kind.HELD, Kind.OVERDUE}:
        until = format_time(now - (HELD if matter.kind is Kind.HELD else OVERDUE))
        found |= {"reason": matter.reason or NO_HOLD, "due_to": until, "late_to": until}
    if matter.kind is Kind.OVERDUE:
        found["late_from"] = format_time(now - HELD)
    return {name: value for name, value in found.items() if value}


_TRIES: Mapping[str, Verb] = {Kind.DEAD_LETTERS: Verb.RETRY, Reason.PERSON_NEEDED: Verb.REPLAY}
_OF_ONE: Mapping[str, tuple[str, Role]] = {
    REFUSED: ("Open post", Role.AUTHOR),
    Kind.UNKNOWN: ("Decide", DECIDE),
    Reason.IS_IT_LIVE: ("Decide", DECIDE),
}
"""Cause of a single delivery -> the button that leads to its post, and who needs it."""
_NOT_QUEUED = AT_THE_SERVER | {Kind.GRANT_ENDING, Kind.APPROVAL}
"""Matters that the queue has no filter for: what waits for an approval may be paused as well."""
_PAGES: Mapping[str, Link] = {
    Kind.ALARM: Link(label="Show what to do", address="/runbooks#slipwayalarm"),
    Kind.APPROVAL: Link(label="Show posts", address=APPROVAL),
}
"""Cause -> the page where it is dealt with."""


# --- the sidebar ------------------------------------------------------------------------------------------------------


_TIMES = {
    "now": ("Going out now", ""),
    "hour": ("Next hour", ""),
    "late": ("Late", "amber"),
    "failed": ("Failed today", "red"),
}
"""Name of the filter -> its label and colour."""


@page("/now", Role.VIEWER)
async def show_now(request: Request, visitor: Visitor) -> Response:
    """Show the counts of the visitor's workspaces, for the sidebar."""
    silent = timedelta(seconds=get_state(request).context.settings.worker.silent)
    zone, within = find_page_zone(request), get_within(visitor, Role.VIEWER)
    shown = await read(request, _read_now, silent, within, zone)
    return render(request, "now.html", most=MOST, **shown)


@page("/clock", Role.VIEWER, "POST")
async def set_clock(request: Request, _visitor: Visitor) -> Response:
    """Choose the zone of the session's clock. Raises HTTPException 400."""
    try:
        zone = find_zone(str(request.state.form.get("zone", "")))
    except UnknownZone as error:
        raise HTTPException(400, f"zone: {error}") from None
    response = RedirectResponse("/dashboard/sessions", 303)
    keep_zone(response, zone)
    return response


def count_now(
    c: Connection, within: Within, zone: ZoneInfo, names: Sequence[str] = tuple(_TIMES)
) -> Mapping[str, Mapping[str, Any]]:
    """Return how many posts each of these filters selects in these workspaces, by name, as a line shows it."""
    now, found = database_now(c), {}
    for name in names:
        label, colour = _TIMES[name]
        number = count_queued_posts(c, ListFilter(**build_when(name, now, zone)), within, most=MOST)
        counted = {"number": min(number, MOST), "is_capped": number > MOST}
        found[name] = {"name": name, "label": label, "colour": colour, **counted}
    return found


def list_items(c: Connection, silent: timedelta, within: Within) -> tuple[list[AttentionItem], bool]:
    """Return what needs attention in these workspaces, line by line, and whether there may be more.

    Pauses are left out: they were made on purpose.
    """
    listed = read_attention(c, silent, within, by_account=True)
    found = [one for one in listed if one.matter.kind is not Kind.PAUSED]
    return found, ROWS in Counter(one.matter.kind for one in found).values()


def _read_now(c: Connection, silent: timedelta, within: Within, zone: ZoneInfo) -> dict[str, Any]:
    items, has_more = list_items(c, silent, within)
    waiting = count_waiting(c, within, sent_back=False, most=MOST)
    counts = [*count_now(c, within, zone).values()]
    return {"counts": counts, "matters": len(items), "has_more": has_more, "waiting": waiting}
