"""Replay and discard dead letters: the selected ones, or all of a cause; counted first, then some at a time.

Each letter is a transaction of its own. The page goes on by itself until all are done; closed before that, it leaves
the others as they are, and the same request does only those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.actions import dead_letters
from pipeline.actions.dead_letters import DeadLetterCount, DeadLetterResult
from pipeline.context import Context
from pipeline.dashboard.actions import ACTIONS, Action
from pipeline.dashboard.ledger import act
from pipeline.dashboard.page import page
from pipeline.dashboard.queue_filter import (
    Asked,
    InvalidFilter,
    get_within,
    read_filter,
    read_query,
    resolve_filter,
)
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.actor import Actor
from pipeline.domain.delivery import Reason
from pipeline.store.deliveries.dead_letters import DeadLetterFilter, Position, Scope, list_dead_letters

PATH = "/dashboard/letters"
CHUNK = 50
"""Letters that one request deals with."""
SELECTS = frozenset({"workspace", "account", "platform", "state", "error_class", "code"})
"""Conditions that select dead letters."""
IMPLIED = {"discarded": "no", "reason": Reason.PERSON_NEEDED.value}
"""Conditions that each of them meets."""
ROLE = ACTIONS["replay"].role


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What is asked for. ``letters``: the selected ones, None: all of the filter."""

    action: Action
    asked: Asked
    scope: Scope
    letters: Sequence[UUID] | None
    why: str
    actor: Actor
    after: Position | None = None
    """Where the request before ended."""
    totals: Counter[str] = field(default_factory=Counter)
    """How many were done and skipped so far."""


@page(ROLE)
async def ask(request: Request, visitor: Visitor) -> Response:
    """Count the letters that the address selects, and ask for a confirmation."""
    action = _find_action(request.query_params.get("action", ""))
    return await confirm(
        request, visitor, read_order(action, read_filter(request.query_params, visitor), visitor, None, "")
    )


@page(ROLE)
async def deal(request: Request, visitor: Visitor) -> Response:
    """Replay or discard the next letters of a form."""
    order = _read_form(request.state.form, visitor)
    if order.action.name == "discard" and not order.why:
        raise HTTPException(400, "Give the reason why they are given up.")
    result, rest = await act(request, _deal, order)
    return render(request, visitor, "letters.html", order=order, result=result, rest=rest, counted=None)


async def confirm(request: Request, visitor: Visitor, order: Order) -> Response:
    """Ask for a confirmation of what was selected."""
    counted = None if order.letters is not None else await act(request, _count, order)
    return render(request, visitor, "letters.html", order=order, result=None, rest=order, counted=counted)


def read_order(
    action: Action, asked: Asked, visitor: Visitor, letters: Sequence[UUID] | None, why: str
) -> Order:
    """Return what is asked for. Raises HTTPException 400 with a sentence."""
    if asked.problems:
        raise HTTPException(400, " ".join(asked.problems.values()))
    others = {name for name, text in asked.given.items() if IMPLIED.get(name) != text} - SELECTS
    if letters is None and others:
        raise HTTPException(
            400,
            f"All dead letters of a cause are selected by {', '.join(sorted(SELECTS))}, not by "
            f"{', '.join(sorted(others))}: select them one by one, or change the filter.",
        )
    workspace = asked.chosen.workspace
    if workspace is not None:
        visitor.require(workspace, action.role)
    return Order(
        action=action,
        asked=asked,
        scope=Scope(workspace=workspace, within=get_within(visitor, action.role)),
        letters=letters,
        why=why,
        actor=visitor.actor,
    )


def _find_action(name: str) -> Action:
    action = ACTIONS.get(name)
    if action is None or action.verb is not None:
        raise HTTPException(400, f"{name[:50]!r} is nothing that is done to dead letters.")
    return action


def _read_form(form: FormData, visitor: Visitor) -> Order:
    def get(name: str) -> str:
        return str(form.get(name, ""))

    try:
        asked = read_filter(read_query(get("filter").removeprefix("?")), visitor)
        letters = [UUID(str(text)) for text in form.getlist("delivery")] if get("scope") != "all" else None
        died, _, last = get("after").partition(" ")
        after = (datetime.fromisoformat(died), UUID(last)) if last else None
        totals = Counter({name: int(get(name) or 0) for name in ("done", "skipped")})
    except ValueError:
        raise HTTPException(400, "The form cannot be read: begin again.") from None
    order = read_order(_find_action(get("action")), asked, visitor, letters, get("why_discard").strip()[:500])
    return replace(order, after=after, totals=totals)


def _count(context: Context, order: Order) -> DeadLetterCount:
    count = dead_letters.count_replayable if order.action.name == "replay" else dead_letters.count_discardable
    with context.database.begin() as c:
        chosen = _build_filter(c, order)
    return count(context, chosen)


def _deal(context: Context, order: Order) -> tuple[DeadLetterResult, Order | None]:
    """Return what became of the next letters, and the order for those after them, None at the end."""
    now, rest = _take(context, order)
    if order.action.name == "replay":
        result = dead_letters.replay(context, order.scope, now, actor=order.actor)
    else:
        result = dead_letters.discard(context, order.scope, now, why=order.why, actor=order.actor)
    order.totals["done"] += len(result.done)
    order.totals["skipped"] += len(result.skipped)
    return result, rest


def _take(context: Context, order: Order) -> tuple[Sequence[UUID], Order | None]:
    """Return the next letters, and the order without them."""
    if order.letters is not None:
        later = order.letters[CHUNK:]
        return order.letters[:CHUNK], replace(order, letters=later) if later else None
    with context.database.begin() as c:
        found = list_dead_letters(c, _build_filter(c, order), limit=CHUNK, after=order.after)
    ids = [one.id for one in found]
    if len(found) < CHUNK:
        return ids, None
    return ids, replace(order, after=(found[-1].died_at, found[-1].id))


def _build_filter(c: Connection, order: Order) -> DeadLetterFilter:
    try:
        chosen = resolve_filter(c, order.asked)
    except InvalidFilter as problem:
        raise HTTPException(400, str(problem)) from None
    return DeadLetterFilter(
        scope=order.scope,
        state=chosen.state,
        platform=chosen.platform,
        account=chosen.account,
        error_class=chosen.error_class,
        code=chosen.code,
    )


ROUTES = (Route("/letters", ask), Route("/letters", deal, methods=["POST"]))
