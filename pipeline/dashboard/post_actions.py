"""Users' actions on a post on its page and in the calendar, each by the function that API and command line use.

After a form the page is shown again with the result or the refusal. The calendar's script sends
``Accept: application/json`` and gets the same as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from pipeline.actions import cancel_delete_retry
from pipeline.actions.edit import check_edit, edit
from pipeline.actions.post_changes import Change, EditResult
from pipeline.actions.resolve import CannotResolve
from pipeline.actions.steer_step import run_at_once
from pipeline.actions.steering import Steering
from pipeline.actions.undo import undo_change
from pipeline.api.http.auth import require_plan
from pipeline.dashboard.actions import ACTIONS, BY_VERB
from pipeline.dashboard.decide import DECISIONS
from pipeline.dashboard.filter import parse_id_or_none
from pipeline.dashboard.ledger import act, act_for, find_caller, get_state
from pipeline.dashboard.page import page, require_found
from pipeline.dashboard.pauses import parse_changes
from pipeline.dashboard.post import find_post, render_post
from pipeline.dashboard.steer import MAX_WHY
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.post import PostStatus
from pipeline.domain.steering import Arguments, Verb
from pipeline.imports.local_time import InvalidCell, read_time
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_state import derive_status
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.selection import ListFilter, find_delivery
from pipeline.store.posts.views import read_post

RESCHEDULE = ACTIONS["reschedule"].role


@page("/posts/{post_id}/reschedule", RESCHEDULE, "POST")
async def reschedule(request: Request, visitor: Visitor) -> Response:
    """Give a post another time, if it is still the version that the visitor saw."""
    workspace, post = await find_post(request, visitor, RESCHEDULE)
    wants_json = "application/json" in request.headers.get("accept", "")
    try:
        form = request.state.form
        due_at = read_form_time(form)
        version = request.headers.get("if-match") or str(form.get("version", ""))
        if not version:
            raise Refusal(400, "validation_failed", "If-Match: say which version of the post you saw.")
        edited = await act_for(request, workspace, move_post, post, due_at, version)
    except Refusal as refusal:
        if wants_json:
            body = {"code": refusal.code, "message": refusal.message}
            return JSONResponse(body, refusal.status)
        return await render_post(request, visitor, workspace, post, refusal=refusal)
    if wants_json:
        return JSONResponse({"version": f'"{edited.version}"'})
    return _show_again(post, "reschedule")


@page("/posts/{post_id}/deliveries/{delivery_id}/{verb}", RESCHEDULE, "POST")
async def change_delivery(request: Request, visitor: Visitor) -> Response:
    """Run the action of a delivery's button."""
    workspace, post = await find_post(request, visitor)
    button = require_found(BY_VERB.get(request.path_params["verb"]))
    visitor.require(workspace, button.role)
    try:
        form, name = request.state.form, request.path_params["delivery_id"]
        if button.confirm and form.get("confirm") != "yes":
            raise Refusal(400, "validation_failed", f"Agree first: {button.confirm}")
        await act_for(request, workspace, _change, post, name, button.verb, form)
    except (Refusal, CannotResolve) as refusal:
        return await render_post(request, visitor, workspace, post, refusal=refusal)
    return _show_again(post, button.verb)


@page("/posts/{post_id}/deliveries/{delivery_id}/file", ACTIONS["retry"].role, "POST", reads_form=False)
async def replace_file(request: Request, visitor: Visitor) -> Response:
    """Store the body as a file, put it in the place of one of the post's, and try again at the account."""
    workspace, post = await find_post(request, visitor, ACTIONS["retry"].role)
    query = request.query_params
    caller = await act(request, find_caller, visitor.actor, workspace)
    require_plan(caller)
    _, account = await act(request, _find_target, post, request.path_params["delivery_id"])
    change = await act(request, _plan_replacement, caller, post, query.get("place", "0"))
    file = await get_state(request).receivers.media(request, caller)
    await act(request, _replace, caller, post, account, change(file.url), query.get("version", ""))
    return Response(status_code=204, headers={"HX-Redirect": f"/dashboard/posts/{post}?did=file"})


def _plan_replacement(
    context: Context, caller: Caller, post: UUID, place: str
) -> Callable[[str], Mapping[str, Any]]:
    """Return what makes the post's media with another URL in a place. Raises HTTPException 404 and Refusal."""
    with context.database.begin() as c:
        check_edit(context, c, caller, post, Change(given=frozenset()))  # before the file is sent
        view = read_post(c, caller.workspace_id, post)
    urls = [*view.media.get("urls", ("",))] if view else []
    if view is None or place not in map(str, range(len(urls))):
        raise HTTPException(404)
    n = int(place)
    if "urls" not in view.media:
        return lambda url: {**view.media, "url": url}
    return lambda url: {**view.media, "urls": [*urls[:n], url, *urls[n + 1 :]]}


def _replace(
    context: Context, caller: Caller, post: UUID, account: UUID, media: Mapping[str, Any], version: str
) -> None:
    """Edit the post, then retry it at the account: if this ends between, it has failed still, with the new file."""
    edit(context, caller, post, Change(given=frozenset({"media"}), media=media), version)
    done = cancel_delete_retry.retry(context, caller, [post], [account])
    _refuse_undone(done.errors, post)


@page("/posts/{post_id}/undo/{change}", RESCHEDULE, "POST")
async def undo(request: Request, visitor: Visitor) -> Response:
    """Undo the last change of a post; with the time that it gets instead, where its earlier one has passed."""
    workspace, post = await find_post(request, visitor, RESCHEDULE)
    form, [change] = request.state.form, parse_changes([request.path_params["change"]])
    try:
        due_at = read_form_time(form) if form.get("local_time") else None
        await act_for(request, workspace, undo_change, change, due_at)
    except Refusal as refusal:
        asks = f"/dashboard/posts/{post}/undo/{change}" if refusal.code == "validation_failed" else None
        return await render_post(request, visitor, workspace, post, refusal=refusal, asks_time=asks)
    return _show_again(post, "undo")


def _show_again(post: UUID, verb: str) -> Response:
    return RedirectResponse(f"/dashboard/posts/{post}?did={verb}", 303)


# --- reschedule ------------------------------------------------------------------------------------------------------


def read_form_time(form: FormData) -> datetime:
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


def move_post(
    context: Context, caller: Caller, post: UUID, due_at: datetime, version: str, *, only_free: bool = False
) -> EditResult:
    """Give a post another time, and a draft its first, if it is the version that the tag names. Raises Refusal.

    ``only_free``: only if no other post of its accounts has taken the time.
    """
    require_plan(caller)
    with context.database.begin() as c:
        view = read_post(c, caller.workspace_id, post)
    is_draft = view is not None and derive_status(view) is PostStatus.DRAFT
    change = Change(
        given=frozenset({"scheduled_at"}),
        scheduled_at=due_at,
        shifts=not is_draft,
        schedules=is_draft,
        only_free=only_free,
    )
    return edit(context, caller, post, change, version)


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


def _change(context: Context, caller: Caller, post: UUID, name: str, verb: str, form: FormData) -> None:
    """Run a button's action on a delivery of the post. Raises HTTPException 404, Refusal and CannotResolve."""
    delivery, account = _find_target(context, post, name)
    _VERBS[verb](
        _Target(
            context=context,
            caller=caller,
            post=post,
            delivery=delivery,
            account=account,
            verb=verb,
            form=form,
        )
    )


def _find_target(context: Context, post: UUID, name: str) -> tuple[UUID, UUID]:
    """Return a delivery of the post, and its account. Raises HTTPException 404."""
    delivery = require_found(parse_id_or_none(name))
    with context.database.begin() as c:
        found = find_delivery(c, delivery)
    if found is None or found.post_id != post:
        raise HTTPException(404)
    return delivery, found.account_id


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
