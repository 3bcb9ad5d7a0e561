"""The first page: everything that needs an operator, as in ``slipway attention``, each with the way to deal with it.

Each matter of the attention list is dealt with by a page, a form, or a command for the operator at the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.actions.attention import AttentionItem, list_attention
from pipeline.dashboard.actions import ACTIONS
from pipeline.dashboard.ledger import get_state, read
from pipeline.dashboard.page import HOME, page
from pipeline.dashboard.queue import format_time, get_within
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.attention import HELD, OVERDUE, Kind, Matter
from pipeline.domain.delivery import Reason, State
from pipeline.domain.steering import Verb
from pipeline.store.deliveries.queue import Within
from pipeline.store.deliveries.selection import NO_ERROR, NO_HOLD
from pipeline.store.health import database_now

QUEUE = "/dashboard/queue"
TITLES: Mapping[Kind, str] = {
    Kind.UNREAD: "Took longer than 2 s to read: a table is locked, or the database is overloaded",
    Kind.RESTORE: "Nothing is sent: a restore waits to be accepted",
    Kind.SILENT_QUEUE: "No worker takes from a queue",
    Kind.NEWER_WORKER: "Not sent before a worker of this version runs: upgrade the workers",
    Kind.ALARM: "Alarms of the last day",
    Kind.UNKNOWN: "Outcome not known yet",
    Kind.BLOCKED: "Blocked",
    Kind.RECONNECT: "Accounts to connect again",
    Kind.PAUSED: "Paused",
    Kind.HELD: "Held for a day or longer",
    Kind.OVERDUE: "Overdue",
    Kind.DEAD_LETTERS: "Failed",
    Kind.GRANT_ENDING: "Grants that end soon",
    Kind.WEBHOOK_PAUSED: "Webhooks that are paused",
}
AT_THE_SERVER = frozenset(
    {Kind.UNREAD, Kind.RESTORE, Kind.SILENT_QUEUE, Kind.NEWER_WORKER, Kind.WEBHOOK_PAUSED}
)
"""Matters that only the operator at the server can deal with: the list shows the command."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A button that leads to where a matter is dealt with. ``role``: what its visitor needs somewhere."""

    label: str
    address: str
    role: Role = Role.VIEWER


def list_links(matter: Matter, now: datetime) -> list[Link]:
    """Return the buttons of a matter, the one that deals with it first."""
    match matter.kind:
        case Kind.RECONNECT | Kind.GRANT_ENDING:
            query = urlencode({"needs_person": "1", "platform": matter.platform or ""})
            return [Link(label="Connect", address=f"/dashboard/accounts?{query}", role=Role.OPERATOR)]
        case Kind.PAUSED:
            return [Link(label="Resume", address="/dashboard/pauses", role=Role.OPERATOR)]
        case Kind.ALARM:
            return [Link(label="What to do", address="/runbooks#slipwayalarm")]
        case kind if kind in AT_THE_SERVER:
            return []
    show = Link(label="Show", address=f"{QUEUE}?{urlencode(build_query(matter, now))}")
    return [replay, show] if (replay := _build_replay(matter, now)) else [show]


def build_query(matter: Matter, now: datetime) -> dict[str, str]:
    """Return the fields of the queue's filter that select exactly the deliveries of a matter."""
    found = {"state": _STATES.get(matter.kind) or matter.state, "platform": matter.platform}
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


def _build_replay(matter: Matter, now: datetime) -> Link | None:
    """Return the button that sends dead letters again: failed ones, and ones blocked for an operator."""
    is_dead = matter.kind is Kind.DEAD_LETTERS or (
        matter.kind is Kind.BLOCKED and matter.reason == Reason.PERSON_NEEDED
    )
    if not is_dead:
        return None
    query = {"action": Verb.REPLAY, "scope": "all", "filter": urlencode(build_query(matter, now))}
    return Link(label="Replay", address=f"{QUEUE}/count?{urlencode(query)}", role=ACTIONS[Verb.REPLAY].role)


_STATES: Mapping[Kind, str] = {
    Kind.UNKNOWN: State.UNKNOWN,
    Kind.BLOCKED: State.BLOCKED,
    Kind.DEAD_LETTERS: State.FAILED,
}


def _read(c: Connection, silent: timedelta, within: Within) -> tuple[datetime, Sequence[AttentionItem]]:
    """Return the list and the clock that its times are by."""
    return database_now(c), list_attention(c, silent, within)


@page(Role.VIEWER)
async def show_attention(request: Request, visitor: Visitor) -> Response:
    """List what needs an operator in the visitor's workspaces."""
    silent = timedelta(seconds=get_state(request).context.settings.worker.silent)
    now, items = await read(request, _read, silent, get_within(visitor, Role.VIEWER))
    return render(
        request,
        visitor,
        "attention.html",
        items=[
            (
                item,
                TITLES[item.matter.kind],
                [link for link in list_links(item.matter, now) if visitor.has(link.role)],
                item.command if item.matter.kind in AT_THE_SERVER else "",
                now - item.matter.oldest if item.matter.oldest else None,
            )
            for item in items
        ],
        here=HOME,
    )


ROUTES = (Route("/", show_attention),)
