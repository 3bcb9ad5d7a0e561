"""What the queue does to posts: count what is selected, ask where that cannot be undone, and start the jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from starlette.datastructures import ImmutableMultiDict, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions.dead_letters import DeadLetterCount, count_letters
from pipeline.actions.steering import Counted, Steering, steer
from pipeline.api.http.auth import require_plan
from pipeline.dashboard.actions import ACTIONS, AT_ONCE, Action
from pipeline.dashboard.clock import find_page_zone
from pipeline.dashboard.filter import (
    Asked,
    InvalidFilter,
    parse_time,
    read_filter,
    read_query,
    resolve_filter,
)
from pipeline.dashboard.jobs import PATH
from pipeline.dashboard.ledger import act, find_caller
from pipeline.dashboard.page import page
from pipeline.dashboard.queue import PATH as QUEUE_PATH
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import SAFE_METHODS, Forbidden, Visitor
from pipeline.dashboard.words import STATES
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.domain.steering import OF_DEAD_LETTERS, PUBLISHES, Arguments, Verb
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.steering.receipts import count_by_workspace

MOST = 50
"""Workspaces in which one confirmation starts a job: the ones with the most of the selection."""
LONGEST = timedelta(days=366)
MAX_WHY = 500
SPREAD, TOMORROW = "spread", "tomorrow"
"""The buttons that reschedule over a window, and by a day; the other one shifts."""
NOTHING_SELECTED = "Select at least one post, or all that match the filter."
Form = ImmutableMultiDict[str, UploadFile | str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """The request of a form. ``repeated``: its fields, for the form that confirms it."""

    action: Action
    asked: Asked
    posts: tuple[UUID, ...] | None
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
    def posts(self) -> int:
        """How many posts these deliveries are of."""
        return sum(one.count.posts for one in self.counted.values())

    @property
    def total(self) -> int:
        """How many deliveries it acts on, as far as is known now."""
        if self.dead_letters is not None:
            return self.dead_letters.letters
        return sum(one.count.deliveries for one in self.counted.values())


@page("/queue/count", Role.AUTHOR, "GET", "POST")
async def count(request: Request, visitor: Visitor) -> Response:
    """Count what the form or the address asks for, by workspace, and ask for a confirmation.

    What is done to selected posts and can be undone is done without one, as it is where the button said to how many.
    """
    is_shown = request.method in SAFE_METHODS
    form = request.query_params if is_shown else request.state.form
    order = read_order(form, visitor, find_page_zone(request))
    found = await act(request, _count, order)
    if not is_shown and _is_at_once(order, found, form):
        tokens = {space: one.token for space, one in found.counted.items()}
        return _show_started(order, await act(request, _start, order, tokens))
    back = order.asked.build_address(QUEUE_PATH)
    return render(request, "steer.html", order=order, found=found, back=back, states=STATES)


@page("/queue/start", Role.AUTHOR, "POST")
async def start(request: Request, visitor: Visitor) -> Response:
    """Start the jobs whose counts were confirmed, and show them. Confirmed again, they are only shown."""
    form = request.state.form
    order = read_order(form, visitor, find_page_zone(request))
    started = await act(request, _start, order, _read_tokens(form))
    if len(started) == 1:
        return RedirectResponse(f"{PATH}/{started[0]}", 303)
    return RedirectResponse(f"{PATH}?{urlencode([('id', str(one)) for one in started])}", 303)


def _show_started(order: Order, started: Sequence[UUID]) -> Response:
    """Lead back to the list, which says how far the jobs are."""
    fields = [*order.asked.given.items(), *(("job", str(one)) for one in started)]
    return RedirectResponse(f"{QUEUE_PATH}?{urlencode(fields)}", 303)


def _is_at_once(order: Order, found: Found, form: Form) -> bool:
    """Return True if no question is asked: for selected posts, or for at most as many as the button said."""
    said = _get(form, "number")
    is_known = order.posts is not None or (re.fullmatch("[0-9]{1,9}", said) and found.posts <= int(said))
    return bool(found.total and is_known and order.action.verb in AT_ONCE)


def read_order(form: Form, visitor: Visitor, zone: ZoneInfo) -> Order:
    """Return the order of a form. Raises HTTPException 400 with a sentence."""
    name = _get(form, "action")
    action = ACTIONS.get(Verb.RESCHEDULE if name in {SPREAD, TOMORROW} else name)
    if action is None:
        raise HTTPException(400, f"There is no action {name[:50]!r}.")
    if not visitor.has(action.role):
        raise Forbidden(f"To {action.label.lower()} needs the role {action.role.value}.")
    asked, posts = read_selection(form, visitor, zone)
    try:
        arguments = _read_arguments(form, name, zone)
    except InvalidFilter as problem:
        raise HTTPException(400, str(problem)) from None
    within = asked.within
    spaces = tuple(one for one in visitor.workspaces(action.role) if within is None or one in within)
    if asked.chosen.workspace is not None:
        visitor.require(asked.chosen.workspace, action.role)
        spaces = (asked.chosen.workspace,)
    return Order(
        action=action,
        asked=asked,
        posts=posts,
        arguments=arguments,
        spaces=spaces,
        repeated=[
            (key, value) for key, value in form.multi_items() if isinstance(value, str) and key in REPEATED
        ],
        actor=visitor.actor,
    )


REPEATED = frozenset(
    {"action", "filter", "scope", "post", "shift", "start", "end", "why_pause", "why_discard"}
)


def read_selection(form: Form, visitor: Visitor, zone: ZoneInfo) -> tuple[Asked, tuple[UUID, ...] | None]:
    """Return the filter of a form, and the posts that are ticked; None: all that match. Raises HTTPException 400."""
    try:
        asked = read_filter(read_query(_get(form, "filter").removeprefix("?")), visitor, zone)
        posts = _read_posts(form) if _get(form, "scope") != "all" else None
    except InvalidFilter as problem:
        raise HTTPException(400, str(problem)) from None
    if asked.problems:
        raise HTTPException(400, " ".join(asked.problems.values()))
    return asked, posts


def _read_posts(form: Form) -> tuple[UUID, ...]:
    try:
        found = tuple(UUID(str(text)) for text in form.getlist("post"))
    except ValueError:
        raise InvalidFilter("A selected post has no id.") from None
    if not found:
        raise InvalidFilter(NOTHING_SELECTED)
    return found


def _read_arguments(form: Form, name: str, zone: ZoneInfo) -> Arguments:
    if name == TOMORROW:
        return Arguments(shift=_measure_day(datetime.now(UTC), zone))
    if name == Verb.RESCHEDULE:
        return Arguments(shift=_parse_shift(_get(form, "shift")))
    if name == SPREAD:
        start, end = (parse_time(_get(form, field), zone) for field in ("start", "end"))
        if start >= end:
            raise InvalidFilter("The window has to end later than it begins.")
        return Arguments(start=start, end=end)
    return Arguments(why=_read_why(form, name))


def _measure_day(now: datetime, zone: ZoneInfo) -> timedelta:
    """Return how long it is to the same time of the next day, by the clocks of the zone."""
    local = now.astimezone(zone)
    next_day = (local.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)
    return timedelta(seconds=round((next_day.astimezone(UTC) - now).total_seconds()))


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
    verb, chosen = order.action.verb, choose(context, order.asked, order.posts)
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
    chosen = choose(context, order.asked, order.posts)
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
    """Return the caller and the request of a job in this workspace. Raises HTTPException 404, and Refusal 402."""
    caller = find_caller(context, order.actor, space)
    if order.action.verb in PUBLISHES:
        require_plan(caller)
    asked = replace(chosen, workspace=None)
    return caller, Steering(verb=order.action.verb, filter=asked, arguments=order.arguments)


def choose(context: Context, asked: Asked, posts: tuple[UUID, ...] | None) -> ListFilter:
    """Return the filter; of selected posts, their accounts that it names: what else it says has changed by now.

    Raises Refusal 400.
    """
    try:
        with context.database.begin() as c:
            found = resolve_filter(c, asked)
    except InvalidFilter as problem:
        raise Refusal(400, "validation_failed", str(problem)) from None
    if posts is None:
        return found
    return ListFilter(posts=posts, platform=found.platform, account=found.account)


def _read_tokens(form: Form) -> Mapping[UUID, str]:
    """Return the confirmed counts: fields ``token`` of ``workspace:token``."""
    try:
        pairs = [str(text).split(":", 1) for text in form.getlist("token")]
        return {UUID(space): token for space, token in pairs}
    except ValueError:
        raise HTTPException(400, "A token cannot be read: count again.") from None
