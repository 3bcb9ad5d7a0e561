"""The page of the queue: what a filter selects, why each waits or failed, and what can be done to some or all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.contract import Platform
from pipeline.actions.explain import build_situation
from pipeline.dashboard.actions import ACTIONS, DECIDE
from pipeline.dashboard.ledger import read
from pipeline.dashboard.page import page
from pipeline.dashboard.queue_filter import Asked, InvalidFilter, read_filter, resolve_filter
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.delivery import Reason, State
from pipeline.domain.explanation import Explanation, explain
from pipeline.domain.hold import Hold
from pipeline.store.dashboard.queue import Place, QueuedDelivery, QueuePage, list_queue
from pipeline.store.dashboard.walks import choose_walk, is_place
from pipeline.store.deliveries.evidence import Evidence

PATH = "/dashboard/queue"
PAGE = 50
FIRST_FIELDS = frozenset({"text", "state", "reason", "platform"})
"""Conditions that are always shown; the form shows the others when one is given."""
SEPARATOR = "~"
"""Between the parts of a place in an address."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueRow:
    """One line of the list."""

    queued: QueuedDelivery
    explanation: Explanation
    may_decide: bool
    """True if this visitor can say what became of it."""


@page(Role.VIEWER)
async def show_queue(request: Request, visitor: Visitor) -> Response:
    """List what the address selects; 400 with the reasons if it cannot be used."""
    asked = read_filter(request.query_params, visitor)
    found, problem = None, ""
    if not asked.problems:
        try:
            found = await read(request, _read, asked, _read_place(request.query_params))
        except InvalidFilter as error:
            problem = str(error)
    return render(
        request,
        visitor,
        "queue.html",
        200 if found else 400,
        asked=asked,
        problem=problem,
        rows=_explain(found, visitor) if found else (),
        following=found and found.after and asked.build_address(PATH, after=SEPARATOR.join(found.after)),
        is_cut=found is not None and found.is_cut,
        here=asked.build_address(PATH, after=request.query_params.get("after")),
        is_narrow=bool(asked.given.keys() - FIRST_FIELDS),
        is_first="after" not in request.query_params,
        actions=[action for action in ACTIONS.values() if visitor.has(action.role)],
        choices={"platform": [*Platform], "state": [*State]},
        reasons={"Blocked": [*Reason], "Waits": [*Hold]},
        path_of_page=PATH,
    )


def _read_place(query: QueryParams) -> Place | None:
    text = query.get("after")
    return tuple(text.split(SEPARATOR)) if text else None


def _read(c: Connection, asked: Asked, after: Place | None) -> QueuePage:
    chosen = resolve_filter(c, asked)
    if after is not None and not is_place(choose_walk(chosen, asked.within), after):
        raise InvalidFilter("The address of this page does not fit its filter: begin with the first page.")
    return list_queue(c, chosen, asked.within, limit=PAGE, after=after)


def _explain(found: QueuePage, visitor: Visitor) -> Sequence[QueueRow]:
    return [
        QueueRow(
            queued=one,
            explanation=explain(build_situation(one.facts, _gather_evidence(one))),
            may_decide=one.facts.state in {State.UNKNOWN, State.BLOCKED}
            and visitor.roles.get(one.workspace_id, Role.VIEWER) >= DECIDE,
        )
        for one in found.deliveries
    ]


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
        standing=one.standing,
    )


ROUTES = (Route("/queue", show_queue),)
