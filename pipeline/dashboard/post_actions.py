"""Users' actions on a post on its page and in the calendar, each by the function that API and command line use.

After a form the page is shown again with the result or the refusal. The calendar's script sends
``Accept: application/json`` and gets the same as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from pipeline.actions import cancel_delete_retry
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change, EditResult
from pipeline.actions.resolve import CannotResolve
from pipeline.actions.steer_step import run_at_once
from pipeline.actions.steering import Steering
from pipeline.api.http.auth import require_plan
from pipeline.dashboard.actions import ACTIONS, BY_VERB
from pipeline.dashboard.decide import DECISIONS
from pipeline.dashboard.ledger import act
from pipeline.dashboard.page import page
from pipeline.dashboard.post import find_post, render_post
from pipeline.dashboard.steer import MAX_WHY
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.audit import Actor
from pipeline.domain.steering import Arguments, Verb
from pipeline.imports.local_time import AmbiguousTime, InvalidCell, read_time
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.auth.keys import Caller, read_caller
from pipeline.store.deliveries.selection import ListFilter, find_delivery

RESCHEDULE = ACTIONS["reschedule"].role


@page(RESCHEDULE)
async def reschedule(request: Request, visitor: Visitor) -> Response:
    """Give a post another time, if it is still the version that the visitor saw."""
    workspace, post = await find_post(request, visitor)
    visitor.require(workspace, RESCHEDULE)
    wants_json = "application/json" in request.headers.get("accept", "")
    try:
        form = request.state.form
        due_at = _read_time(form)
        version = request.headers.get("if-match") or str(form.get("version", ""))
        if not version:
            raise Refusal(400, "validation_failed", "If-Match: say which version of the post you saw.")
        edited = await act(request, _reschedule, visitor.actor, workspace, post, due_at, version)
    except Refusal as refusal:
        if wants_json:
            body = {"code": refusal.code, "message": refusal.message}
            return JSONResponse(body, refusal.status)
        cause = refusal.__cause__
        return await render_post(
            request,
            visitor,
            workspace,
            post,
            status=refusal.status,
            refused=refusal.message,
            ambiguous=cause if isinstance(cause, AmbiguousTime) else None,
        )
    if wants_json:
        return JSONResponse({"version": f'"{edited.version}"'})
    return _show_again(post, "reschedule")


@page(RESCHEDULE)
async def change_delivery(request: Request, visitor: Visitor) -> Response:
    """Run the action of a delivery's button."""
    workspace, post = await find_post(request, visitor)
    button = BY_VERB.get(request.path_params["verb"])
    if button is None:
        raise HTTPException(404)
    visitor.require(workspace, button.role)
    try:
        form = request.state.form
        if button.confirm and form.get("confirm") != "yes":
            raise Refusal(400, "validation_failed", f"Agree first: {button.confirm}")
        await act(
            request,
            _change,
            visitor.actor,
            workspace,
            post,
            request.path_params["delivery_id"],
            button.verb,
            form,
        )
    except Refusal as refusal:
        return await render_post(
            request, visitor, workspace, post, status=refusal.status, refused=refusal.message
        )
    except CannotResolve as refusal:
        return await render_post(request, visitor, workspace, post, status=409, refused=str(refusal))
    return _show_again(post, button.verb)


def _show_again(post: UUID, verb: str) -> Response:
    return RedirectResponse(f"/dashboard/posts/{post}?did={verb}", 303)


# --- reschedule ------------------------------------------------------------------------------------------------------


def _read_time(form: FormData) -> datetime:
    """Return the time of a form: an instant, or a wall time of a zone. Raises Refusal 400."""
    cells = {name: str(form.get(name, "")) for name in ("scheduled_at", "local_time", "time_zone")}
    if cells["scheduled_at"]:
        cells = {"scheduled_at": cells["scheduled_at"]}
    try:
        instant = datetime.fromisoformat(read_time(cells, None) or "")
        if instant.tzinfo is None:
            raise ValueError("no offset")
    except InvalidCell as error:
        raise Refusal(400, "validation_failed", f"New time: {error}") from error
    except ValueError:
        message = "New time: give a date and a time, such as 2026-12-01 09:00, and a time zone."
        raise Refusal(400, "validation_failed", message) from None
    return instant


def _reschedule(
    context: Context, actor: Actor, workspace: UUID, post: UUID, due_at: datetime, version: str
) -> EditResult:
    caller = _find_caller(context, actor, workspace)
    require_plan(caller)
    change = Change(given=frozenset({"scheduled_at"}), scheduled_at=due_at)
    return edit(context, caller, post, change, version)


def _find_caller(context: Context, actor: Actor, workspace: UUID) -> Caller:
    """Return the caller as which a visitor acts for a workspace: by its plan, without a key. Raises 404."""
    with context.database.begin() as c:
        caller = read_caller(c, workspace, None)
    if caller is None:
        raise HTTPException(404)
    return replace(caller, actor=actor)


# --- the buttons of a delivery ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Target:
    """One delivery, the form of the button, and the caller for its workspace."""

    context: Context
    caller: Caller
    post: UUID
    delivery: UUID
    account: UUID
    verb: str
    form: FormData


def _change(
    context: Context,
    actor: Actor,
    workspace: UUID,
    post: UUID,
    name: str,
    verb: str,
    form: FormData,
) -> None:
    """Run a button's action on a delivery of the post. Raises HTTPException 404, Refusal and CannotResolve."""
    try:
        delivery = UUID(name)
    except ValueError:
        raise HTTPException(404) from None
    with context.database.begin() as c:
        found = find_delivery(c, delivery)
    if found is None or found.post_id != post:
        raise HTTPException(404)
    caller = _find_caller(context, actor, workspace)
    _VERBS[verb](
        _Target(
            context=context,
            caller=caller,
            post=post,
            delivery=delivery,
            account=found.account_id,
            verb=verb,
            form=form,
        )
    )


def _cancel(target: _Target) -> None:
    done = cancel_delete_retry.cancel(target.context, target.caller, [target.post], [target.account])
    _refuse_undone(done.errors, target.post)


def _retry(target: _Target) -> None:
    require_plan(target.caller)
    done = cancel_delete_retry.retry(target.context, target.caller, [target.post], [target.account])
    _refuse_undone(done.errors, target.post)


CHANGED = "post_in_flight: It changed in the meantime: look at it again."


def _refuse_undone(errors: Mapping[UUID, str | None], identity: UUID) -> None:
    if reason := errors.get(identity):
        code, _, message = reason.partition(": ")
        raise Refusal(409, code, message)


def _decide(target: _Target) -> None:
    url = str(target.form.get("url", "")).strip()
    DECISIONS[target.verb](target.context, target.caller.require_actor(), target.delivery, url)


def _pause(target: _Target) -> None:
    why = str(target.form.get("why", "")).strip()
    if len(why) > MAX_WHY:
        raise Refusal(400, "validation_failed", f"Why: it has more than {MAX_WHY} characters.")
    _steer(target, Verb.PAUSE, Arguments(why=why or None))


def _unpause(target: _Target) -> None:
    require_plan(target.caller)
    _steer(target, Verb.RESUME, Arguments())


def _steer(target: _Target, verb: Verb, arguments: Arguments) -> None:
    """Run a steering job of the one delivery."""
    chosen = ListFilter(deliveries=(target.delivery,))
    asked = Steering(verb=verb, filter=chosen, arguments=arguments)
    whys = run_at_once(target.context, target.caller, asked)
    _refuse_undone(whys or {target.delivery: CHANGED}, target.delivery)


_VERBS: Mapping[str, Callable[[_Target], None]] = {
    **dict.fromkeys(DECISIONS, _decide),
    "retry": _retry,
    "unpause": _unpause,
    "pause": _pause,
    "cancel": _cancel,
}
"""By the verb of a button."""

ROUTES = (
    Route("/posts/{post_id}/reschedule", reschedule, methods=["POST"]),
    Route("/posts/{post_id}/deliveries/{delivery_id}/{verb}", change_delivery, methods=["POST"]),
)
