"""Pages of steering jobs: count and start them from the queue, list them, and show one with its receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import ImmutableMultiDict, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.actions.dead_letters import DeadLetterCount, count_letters
from pipeline.actions.steering import Counted, Steering, steer, stop
from pipeline.api.http.auth import require_plan
from pipeline.dashboard.actions import ACTIONS, Action
from pipeline.dashboard.ledger import act, read
from pipeline.dashboard.page import page
from pipeline.dashboard.queue import PATH as QUEUE_PATH
from pipeline.dashboard.queue import (
    Asked,
    InvalidFilter,
    parse_time,
    read_filter,
    read_query,
    resolve_filter,
)
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import SAFE_METHODS, Forbidden, Visitor
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.domain.steering import OF_DEAD_LETTERS, PUBLISHES, WORKING, Arguments, Verb
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.auth.keys import Caller, read_caller
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.steering.jobs import SteeringJob, dump_filter, list_jobs
from pipeline.store.steering.receipts import Receipt, count_by_workspace, list_receipts

PATH = "/dashboard/jobs"
SHOWN = 50
OUTCOMES = ("done", "skipped")


@page(Role.VIEWER)
async def show_jobs(request: Request, visitor: Visitor) -> Response:
    """List the newest jobs, or the ones that the address names."""
    named = request.query_params.getlist("id")
    ids = [_parse_id(text) for text in named[:SHOWN]] if named else None
    found = await read(request, _list, visitor.workspaces(Role.VIEWER), ids)
    return render(
        request,
        visitor,
        "jobs.html",
        jobs=found,
        labels=ACTIONS,
        is_working=any(job.state in WORKING for job in found),
        here=str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
    )


@page(Role.VIEWER)
async def show_job(request: Request, visitor: Visitor) -> Response:
    """Show one job: what it does, how much is done, and what became of each delivery."""
    identity = _parse_id(request.path_params["job_id"])
    after, outcome = request.query_params.get("after"), request.query_params.get("outcome") or None
    if outcome not in (None, *OUTCOMES):
        raise HTTPException(400, "The outcome is done or skipped.")
    within = visitor.workspaces(Role.VIEWER)
    found = await read(request, _read, within, identity, outcome, _parse_id(after) if after else None)
    if found is None:
        raise HTTPException(404)
    job, receipts = found
    return render(
        request,
        visitor,
        "job.html",
        job=job,
        label=ACTIONS[job.verb].label,
        chosen=dump_filter(job.filter),
        arguments=job.arguments.to_dict(),
        receipts=receipts[:SHOWN],
        following=receipts[SHOWN - 1].delivery_id if len(receipts) > SHOWN else None,
        outcome=outcome,
        is_working=job.state in WORKING,
        may_stop=job.state in WORKING and visitor.roles[job.workspace_id] >= ACTIONS[job.verb].role,
        here=str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
        path_of_page=f"{PATH}/{job.id}",
    )


@page(Role.AUTHOR)
async def stop_job(request: Request, visitor: Visitor) -> Response:
    """Stop a job, and show it."""
    identity = _parse_id(request.path_params["job_id"])
    found = await read(request, _list, visitor.workspaces(Role.VIEWER), [identity])
    if not found:
        raise HTTPException(404)
    visitor.require(found[0].workspace_id, ACTIONS[found[0].verb].role)
    await act(request, _stop, visitor.actor, found[0])
    return RedirectResponse(f"{PATH}/{identity}", 303)


def _stop(context: Context, actor: Actor, job: SteeringJob) -> None:
    with context.database.begin() as c:
        caller = read_caller(c, job.workspace_id, None)
    if caller is None:
        raise HTTPException(404)
    stop(context, replace(caller, actor=actor), job.id)


def _list(c: Connection, within: Sequence[UUID], ids: Sequence[UUID] | None) -> Sequence[SteeringJob]:
    return list_jobs(c, within, ids=ids, limit=SHOWN)


def _read(
    c: Connection, within: Sequence[UUID], identity: UUID, outcome: str | None, after: UUID | None
) -> tuple[SteeringJob, Sequence[Receipt]] | None:
    found = list_jobs(c, within, ids=[identity], limit=1)
    if not found:
        return None
    return found[0], list_receipts(c, identity, outcome=outcome, after=after, limit=SHOWN + 1)


def _parse_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise HTTPException(404) from None


MOST = SHOWN
"""Workspaces in which one confirmation starts a job: the ones with the most of the selection."""
LONGEST = timedelta(days=366)
MAX_WHY = 500
SPREAD = "spread"
"""The button that reschedules over a window; the other one shifts."""
NOTHING_SELECTED = "Select at least one delivery, or all that match the filter."
Form = ImmutableMultiDict[str, UploadFile | str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """The request of a form. ``repeated``: its fields, for the form that confirms it."""

    action: Action
    asked: Asked
    deliveries: tuple[UUID, ...] | None
    """None: all that match the filter."""
    arguments: Arguments
    spaces: Sequence[UUID]
    """The workspaces where the visitor may do it."""
    repeated: Sequence[tuple[str, str]]
    actor: Actor


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The selection of an order."""

    counted: Mapping[UUID, Counted]
    """By workspace, with the token that confirms it."""
    others: int
    """Further workspaces with some of the selection."""
    dead_letters: DeadLetterCount | None
    """For the verbs of dead letters: their number by cause, and how many will be skipped, by reason."""

    @property
    def total(self) -> int:
        """How many deliveries it acts on, as far as is known now."""
        if self.dead_letters is not None:
            return self.dead_letters.letters
        return sum(one.count.deliveries for one in self.counted.values())


@page(Role.AUTHOR)
async def count(request: Request, visitor: Visitor) -> Response:
    """Count what the form or the address asks for, by workspace, and ask for a confirmation. Changes nothing."""
    order = read_order(
        request.query_params if request.method in SAFE_METHODS else request.state.form, visitor
    )
    found = await act(request, _count, order)
    back = order.asked.build_address(QUEUE_PATH)
    return render(request, visitor, "steer.html", order=order, found=found, back=back)


@page(Role.AUTHOR)
async def start(request: Request, visitor: Visitor) -> Response:
    """Start the jobs whose counts were confirmed, and show them. Confirmed again, they are only shown."""
    form = request.state.form
    order = read_order(form, visitor)
    started = await act(request, _start, order, _read_tokens(form))
    if len(started) == 1:
        return RedirectResponse(f"{PATH}/{started[0]}", 303)
    return RedirectResponse(f"{PATH}?{urlencode([('id', str(one)) for one in started])}", 303)


def read_order(form: Form, visitor: Visitor) -> Order:
    """Return the order of a form. Raises HTTPException 400 with a sentence."""
    name = _get(form, "action")
    action = ACTIONS.get(Verb.RESCHEDULE if name == SPREAD else name)
    if action is None:
        raise HTTPException(400, f"There is no action {name[:50]!r}.")
    if not visitor.has(action.role):
        raise Forbidden(f"To {action.label.lower()} needs the role {action.role.value}.")
    try:
        asked = read_filter(read_query(_get(form, "filter").removeprefix("?")), visitor)
        arguments = _read_arguments(form, name)
        deliveries = _read_deliveries(form) if _get(form, "scope") != "all" else None
    except InvalidFilter as problem:
        raise HTTPException(400, str(problem)) from None
    if asked.problems:
        raise HTTPException(400, " ".join(asked.problems.values()))
    spaces = visitor.workspaces(action.role)
    if asked.chosen.workspace is not None:
        visitor.require(asked.chosen.workspace, action.role)
        spaces = (asked.chosen.workspace,)
    return Order(
        action=action,
        asked=asked,
        deliveries=deliveries,
        arguments=arguments,
        spaces=spaces,
        repeated=[
            (key, value) for key, value in form.multi_items() if isinstance(value, str) and key in REPEATED
        ],
        actor=visitor.actor,
    )


REPEATED = frozenset(
    {"action", "filter", "scope", "delivery", "shift", "start", "end", "why_pause", "why_discard"}
)


def _read_deliveries(form: Form) -> tuple[UUID, ...]:
    try:
        found = tuple(UUID(str(text)) for text in form.getlist("delivery"))
    except ValueError:
        raise InvalidFilter("A selected delivery has no id.") from None
    if not found:
        raise InvalidFilter(NOTHING_SELECTED)
    return found


def _read_arguments(form: Form, name: str) -> Arguments:
    if name == Verb.RESCHEDULE:
        return Arguments(shift=_parse_shift(_get(form, "shift")))
    if name == SPREAD:
        start, end = (parse_time(_get(form, field)) for field in ("start", "end"))
        if start >= end:
            raise InvalidFilter("The window has to end later than it begins.")
        return Arguments(start=start, end=end)
    return Arguments(why=_read_why(form, name))


def _read_why(form: Form, name: str) -> str | None:
    why = _get(form, f"why_{name}").strip()
    if len(why) > MAX_WHY:
        raise InvalidFilter(f"The reason has more than {MAX_WHY} characters.")
    if name == Verb.DISCARD and not why:
        raise InvalidFilter("Give the reason why they are given up.")
    return why or None


def _parse_shift(hours: str) -> timedelta:
    try:
        shift = timedelta(seconds=round(float(hours) * 3600))
    except (ValueError, OverflowError):
        raise InvalidFilter(f"{hours[:50]!r} is no number of hours.") from None
    if not shift or abs(shift) > LONGEST:
        raise InvalidFilter("Posts are moved by at least a second, and by a year at most.")
    return shift


def _get(form: Form, name: str) -> str:
    return str(form.get(name, ""))


def _count(context: Context, order: Order) -> Found:
    verb, chosen = order.action.verb, _choose(context, order)
    with context.database.begin() as c:
        found = count_by_workspace(c, verb, chosen, order.spaces)
    most = [*found][:MOST]
    letters = replace(chosen, workspace=None, scope=Scope(within=most))
    return Found(
        counted={space: steer(context, *_ask(context, order, chosen, space)) for space in most},
        others=len(found) - len(most),
        dead_letters=count_letters(context, verb, letters) if verb in OF_DEAD_LETTERS else None,
    )


def _start(context: Context, order: Order, tokens: Mapping[UUID, str]) -> Sequence[UUID]:
    chosen = _choose(context, order)
    found = [
        steer(context, *_ask(context, order, chosen, space), token=token)
        for space, token in tokens.items()
        if space in order.spaces
    ]
    started = [one.job.id for one in found if one.job is not None]
    if not started:
        raise Refusal(400, "validation_failed", "Nothing was confirmed.")
    return started


def _ask(context: Context, order: Order, chosen: ListFilter, space: UUID) -> tuple[Caller, Steering]:
    """Return the caller and the request of a job in this workspace. Raises Refusal 404 and 402."""
    with context.database.begin() as c:
        caller = read_caller(c, space, None)
    if caller is None:
        raise Refusal(404, "not_found", "There is no such workspace.")
    if order.action.verb in PUBLISHES:
        require_plan(caller)
    asked = replace(chosen, workspace=None)
    return replace(caller, actor=order.actor), Steering(
        verb=order.action.verb, filter=asked, arguments=order.arguments
    )


def _choose(context: Context, order: Order) -> ListFilter:
    if order.deliveries is not None:
        return ListFilter(deliveries=order.deliveries)
    try:
        with context.database.begin() as c:
            return resolve_filter(c, order.asked)
    except InvalidFilter as problem:
        raise Refusal(400, "validation_failed", str(problem)) from None


def _read_tokens(form: Form) -> Mapping[UUID, str]:
    """Return the confirmed counts: fields ``token`` of ``workspace:token``."""
    try:
        pairs = [str(text).split(":", 1) for text in form.getlist("token")]
        return {UUID(space): token for space, token in pairs}
    except ValueError:
        raise HTTPException(400, "A token cannot be read: count again.") from None


ROUTES = (
    Route("/jobs", show_jobs),
    Route("/jobs/{job_id}", show_job),
    Route("/jobs/{job_id}/stop", stop_job, methods=["POST"]),
    Route("/queue/count", count, methods=["GET", "POST"]),
    Route("/queue/start", start, methods=["POST"]),
)
