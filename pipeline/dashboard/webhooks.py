"""The pages of webhooks: where a client's events go, each with its tries; made with a secret that is shown once.

They do what the API does, by the same functions, for admins of the client.
Also the targets of notices. An address is sealed, and only its beginning is shown again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.dashboard.ledger import act, act_for, read
from pipeline.dashboard.page import InvalidField, page, parse_id, read_client, read_place
from pipeline.dashboard.render import render_form
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.attention import Kind
from pipeline.domain.audit import Actor
from pipeline.domain.notice import KINDS, Form
from pipeline.domain.webhook import CHOICES, MAX_DESCRIPTION, MAX_URL, EventState
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.auth.keys import Caller
from pipeline.store.webhooks import webhooks as store
from pipeline.store.webhooks.events import Replay, StoredEvent, list_events
from pipeline.store.webhooks.notices import list_targets
from pipeline.store.webhooks.webhooks import Webhook
from pipeline.webhooks import notices, webhooks

PATH = "/dashboard/settings/webhooks"
SHOWN = 50
"""Events on a page."""
SPANS = ("1", "7", "30")
"""Days of which all failed events are sent again."""
OWN = {"choices": CHOICES, "longest": (MAX_URL, MAX_DESCRIPTION), "path": PATH}


@page("/settings/webhooks", Role.ADMIN)
async def show_webhooks(request: Request, visitor: Visitor) -> Response:
    """List the webhooks of the clients that the visitor administers."""
    return await _render(request, visitor)


@page("/settings/webhooks", Role.ADMIN, "POST")
async def create(request: Request, visitor: Visitor) -> Response:
    """Create a webhook and show its secret, once."""
    form = request.state.form
    try:
        workspace, fields = read_client(visitor, form), _read_fields(form)
        made, secret = await act_for(request, workspace, partial(webhooks.create, **fields))
    except (InvalidField, Refusal) as error:
        return await _render(request, visitor, name_problem(error, "workspace"))
    return await _render_one(request, made, secret)


@page("/settings/webhooks/{webhook_id}", Role.ADMIN)
async def show_webhook(request: Request, visitor: Visitor) -> Response:
    """Show a webhook, its events and their tries."""
    return await _render_one(request, await _find(request, visitor))


@page("/settings/webhooks/{webhook_id}/{verb}", Role.ADMIN, "POST")
async def change(request: Request, visitor: Visitor) -> Response:
    """Do to a webhook what a verb of `VERBS` says."""
    verb, found = request.path_params["verb"], await _find(request, visitor)
    if verb not in VERBS:
        raise HTTPException(404)
    try:
        done = await act_for(request, found.workspace_id, VERBS[verb], found.id, request.state.form)
    except (InvalidField, Refusal) as error:
        return await _render_one(request, found, problem=name_problem(error, "url"))
    if verb == "rotate":
        return await _render_one(request, *done)
    return RedirectResponse(PATH if verb == "delete" else f"{PATH}/{found.id}", 303)


def name_problem(error: InvalidField | Refusal, other: str) -> Sequence[str]:
    """Return the field and the sentence of what is wrong; *other*: the field of what names none."""
    if isinstance(error, InvalidField):
        return error.args
    field, sentence = other, error.message
    for issue in error.issues[:1]:
        field, sentence = issue["path"], f"{issue['message']}."
    return field, sentence[:1].upper() + sentence[1:]


async def _render(request: Request, visitor: Visitor, problem: Sequence[str] = ()) -> Response:
    found = await read(request, store.list_webhooks_of, visitor.managed)
    found.sort(key=lambda one: visitor.names[one.workspace_id].casefold())
    return render_form(request, "webhooks.html", problem, webhooks=found, **OWN)


async def _render_one(
    request: Request, found: Webhook, secret: str = "", problem: Sequence[str] = ()
) -> Response:
    events = await read(request, partial(list_events, limit=SHOWN), found.id)
    is_sending = not found.paused_at and any(one.next_at and not one.tries for one in events)
    own = {"webhook": found, "secret": secret, "events": events, "is_sending": is_sending}
    kept = {} if problem else {"given": FormData()}
    return render_form(request, "webhook.html", problem, **own, **OWN, **kept)


async def _find(request: Request, visitor: Visitor) -> Webhook:
    """Return the webhook of the address. Raises HTTPException 400 or 404."""
    identity = parse_id(request.path_params["webhook_id"], "webhook_id")
    found = await read(request, store.list_webhooks_of, visitor.managed, identity)
    if not found:
        raise HTTPException(404)
    return found[0]


def _read_fields(form: FormData) -> dict[str, Any]:
    """Return what a webhook is made of. Raises InvalidField."""
    url, description = (str(form.get(name, "")).strip() for name in ("url", "description"))
    for name, text, most in (("url", url, MAX_URL), ("description", description, MAX_DESCRIPTION)):
        if len(text) > most:
            raise InvalidField(name, f"It has {len(text)} characters; {most} is the most.")
    types = [one.value for one in CHOICES if one.value in form.getlist("event")]
    return {"url": url, "description": description or None, "types": types or None}


def _replay(context: Context, caller: Caller, identity: UUID, form: FormData) -> int:
    """Send one event again, or those that failed in a span. Raises InvalidField."""
    event, days = parse_id(form.get("event"), "event"), str(form.get("days", ""))
    if event is not None:
        return webhooks.replay_all(context, caller, identity, Replay(ids=[event]))
    if days not in SPANS:
        raise InvalidField("days", "Choose from when on.")
    since = datetime.now(UTC) - timedelta(days=int(days))
    return webhooks.replay_all(context, caller, identity, Replay(since=since, state=EventState.FAILED))


VERBS: Mapping[str, Callable[[Context, Caller, UUID, FormData], Any]] = {
    "save": lambda context, caller, one, form: webhooks.change(
        context, caller, one, paused=None, **_read_fields(form)
    ),
    "off": lambda context, caller, one, _: webhooks.change(context, caller, one, paused=True),
    "on": lambda context, caller, one, _: webhooks.change(context, caller, one, paused=False),
    "rotate": lambda context, caller, one, _: webhooks.rotate(context, caller, one),
    "test": lambda context, caller, one, _: webhooks.test(context, caller, one, None),
    "replay": _replay,
    "delete": lambda context, caller, one, _: webhooks.delete(context, caller, one),
}


# --- notices ---------------------------------------------------------------------------------------------------------


NOTICES = "/dashboard/settings/notices"
FORMS = tuple(form for form in Form if form is not Form.EVENT)
Targets = list[tuple[Webhook, StoredEvent | None]]


@page("/settings/notices", Role.ADMIN)
async def show_notices(request: Request, visitor: Visitor) -> Response:
    """List the addresses of the clients that the visitor administers; for admins of all, also those for all."""
    return await _render_notices(request, visitor)


@page("/settings/notices", Role.ADMIN, "POST")
async def add_notice(request: Request, visitor: Visitor) -> Response:
    """Add an address."""
    form = request.state.form
    try:
        await act(request, _add, visitor.actor, read_place(visitor, form), form)
    except (InvalidField, Refusal) as error:
        return await _render_notices(request, visitor, name_problem(error, "address"))
    return RedirectResponse(NOTICES, 303)


@page("/settings/notices/test", Role.ADMIN, "POST")
async def test_notice(request: Request, visitor: Visitor) -> Response:
    """Send a test to an address; one that was off is on again."""
    await act(request, notices.test, visitor.actor, await _find_target(request, visitor))
    return RedirectResponse(NOTICES, 303)


@page("/settings/notices/delete", Role.ADMIN, "POST")
async def delete_notice(request: Request, visitor: Visitor) -> Response:
    """Delete an address."""
    await act(request, notices.remove, visitor.actor, await _find_target(request, visitor))
    return RedirectResponse(NOTICES, 303)


async def _render_notices(request: Request, visitor: Visitor, problem: Sequence[str] = ()) -> Response:
    found = await read(request, _read_targets, visitor)
    is_sending = any(last and last.next_at and not last.tries and not one.paused_at for one, last in found)
    own = {"targets": found, "is_sending": is_sending, "path": NOTICES, "longest": MAX_URL}
    own |= {"kinds": Kind, "usual": KINDS}
    return render_form(request, "notices.html", problem, **own)


def _read_targets(c: Connection, visitor: Visitor) -> Targets:
    """Return the targets that the visitor administers, each with what was sent there last."""
    found = [one for one in list_targets(c) if visitor.manages_all or one.scope in visitor.managed]
    return [(one, next(iter(list_events(c, one.id, limit=1)), None)) for one in found]


async def _find_target(request: Request, visitor: Visitor) -> UUID:
    """Return the target of the form. Raises HTTPException 404 for one that the visitor does not see."""
    wanted = parse_id(request.state.form.get("target"), "target")
    if wanted is None or wanted not in [one.id for one, _ in await read(request, _read_targets, visitor)]:
        raise HTTPException(404)
    return wanted


def _add(context: Context, actor: Actor, workspace: UUID | None, form: FormData) -> None:
    if form.get("form") not in FORMS:
        raise InvalidField("form", "Choose where it is sent.")
    address = str(form.get("address", "")).strip()
    if not 1 <= len(address) <= MAX_URL:
        raise InvalidField("address", f"Give an address of 1 to {MAX_URL} characters.")
    kinds = [one for one in Kind if one in form.getlist("kind")]
    notices.add(context, actor, workspace, Form(str(form["form"])), address, kinds or KINDS)
