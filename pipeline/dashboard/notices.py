"""The page of notices: where people hear of what needs one, for a client or for all; add an address, try it, delete it.

An address is sealed, and only its beginning is shown again.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.dashboard.ledger import act, read
from pipeline.dashboard.page import InvalidField, page, parse_id, read_place
from pipeline.dashboard.render import render_form
from pipeline.dashboard.visitor import Visitor
from pipeline.dashboard.webhooks import name_problem
from pipeline.domain.account import Role
from pipeline.domain.attention import Kind
from pipeline.domain.audit import Actor
from pipeline.domain.notice import KINDS, Form
from pipeline.domain.webhook import MAX_URL
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.webhooks.events import StoredEvent, list_events
from pipeline.store.webhooks.notices import list_targets
from pipeline.store.webhooks.webhooks import Webhook
from pipeline.webhooks import notices

PATH = "/dashboard/settings/notices"
FORMS = tuple(form for form in Form if form is not Form.EVENT)
Targets = list[tuple[Webhook, StoredEvent | None]]


@page("/settings/notices", Role.ADMIN)
async def show_notices(request: Request, visitor: Visitor) -> Response:
    """List the addresses of the clients that the visitor administers; for admins of all, also those for all."""
    return await _render(request, visitor)


@page("/settings/notices", Role.ADMIN, "POST")
async def add(request: Request, visitor: Visitor) -> Response:
    """Add an address."""
    form = request.state.form
    try:
        await act(request, _add, visitor.actor, read_place(visitor, form), form)
    except (InvalidField, Refusal) as error:
        return await _render(request, visitor, name_problem(error, "address"))
    return RedirectResponse(PATH, 303)


@page("/settings/notices/test", Role.ADMIN, "POST")
async def test(request: Request, visitor: Visitor) -> Response:
    """Send a test to an address; one that was off is on again."""
    await act(request, notices.test, visitor.actor, await _find(request, visitor))
    return RedirectResponse(PATH, 303)


@page("/settings/notices/delete", Role.ADMIN, "POST")
async def delete(request: Request, visitor: Visitor) -> Response:
    """Delete an address."""
    await act(request, notices.remove, visitor.actor, await _find(request, visitor))
    return RedirectResponse(PATH, 303)


async def _render(request: Request, visitor: Visitor, problem: Sequence[str] = ()) -> Response:
    found = await read(request, _read, visitor)
    is_sending = any(last and last.next_at and not last.tries and not one.paused_at for one, last in found)
    own = {"targets": found, "is_sending": is_sending, "path": PATH, "longest": MAX_URL}
    own |= {"kinds": Kind, "usual": KINDS}
    return render_form(request, "notices.html", problem, **own)


def _read(c: Connection, visitor: Visitor) -> Targets:
    """Return the targets that the visitor administers, each with what was sent there last."""
    found = [one for one in list_targets(c) if visitor.manages_all or one.scope in visitor.managed]
    return [(one, next(iter(list_events(c, one.id, limit=1)), None)) for one in found]


async def _find(request: Request, visitor: Visitor) -> UUID:
    """Return the target of the form. Raises HTTPException 404 for one that the visitor does not see."""
    wanted = parse_id(request.state.form.get("target"), "target")
    if wanted is None or wanted not in [one.id for one, _ in await read(request, _read, visitor)]:
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
