"""The page of a visitor's second factor: turn it on with an app, get new recovery codes, turn it off."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from uuid import UUID

import segno
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions import second_factor as actions
from pipeline.dashboard.ledger import act, get_state
from pipeline.dashboard.page import SECOND_FACTOR as PATH
from pipeline.dashboard.page import page, require_found
from pipeline.dashboard.render import render_form
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.runtime.context import Context
from pipeline.store.auth.second_factors import SecondFactor, find_factor


@page("/settings/second-factor", Role.VIEWER, needs_factor=False)
async def show_factor(request: Request, visitor: Visitor) -> Response:
    """Show whether there is one, or what the app needs to turn it on."""
    return await _render(request, visitor)


@page("/settings/second-factor/code.svg", Role.VIEWER, needs_factor=False)
async def send_code(request: Request, visitor: Visitor) -> Response:
    """Send the QR code of a factor that is being turned on."""
    _, secret = await act(request, _find, visitor.user_id)
    address, picture = actions.build_uri(require_found(secret), visitor.login), BytesIO()
    segno.make_qr(address).save(picture, kind="svg", scale=4, light="#fff")
    return Response(picture.getvalue(), media_type="image/svg+xml")


@page("/settings/second-factor", Role.VIEWER, "POST", needs_factor=False)
async def begin(request: Request, visitor: Visitor) -> Response:
    """Make the secret that the app needs."""
    await act(request, actions.begin, visitor.user_id)
    return RedirectResponse(PATH, 303)


@page("/settings/second-factor/confirm", Role.VIEWER, "POST", needs_factor=False)
async def confirm(request: Request, visitor: Visitor) -> Response:
    """Turn it on by a code of the app, or renew the recovery codes, and show these once."""
    try:
        codes = await act(
            request, actions.confirm, visitor.actor, visitor.user_id, visitor.id, _read_code(request)
        )
    except actions.WrongCode as error:
        return await _render(request, visitor, ("code", str(error)))
    return await _render(request, visitor, codes=codes)


@page("/settings/second-factor/drop", Role.VIEWER, "POST", needs_factor=False)
async def drop(request: Request, visitor: Visitor) -> Response:
    """Turn it off by a code."""
    try:
        await act(request, actions.drop, visitor.actor, visitor.user_id, _read_code(request))
    except actions.WrongCode as error:
        return await _render(request, visitor, ("code", str(error)))
    return RedirectResponse(PATH, 303)


async def _render(
    request: Request, visitor: Visitor, problem: Sequence[str] = (), codes: Sequence[str] = ()
) -> Response:
    factor, secret = await act(request, _find, visitor.user_id)
    is_demanded = get_state(request).context.settings.dashboard.second_factor == "demanded"
    own = {"factor": factor, "secret": secret, "is_demanded": is_demanded, "codes": codes, "path": PATH}
    return render_form(request, "second_factor.html", problem, **own)


def _find(context: Context, user: UUID) -> tuple[SecondFactor | None, str | None]:
    with context.database.begin() as c:
        return find_factor(c, user), actions.read_secret(c, context.vault, user)


def _read_code(request: Request) -> str:
    return str(request.state.form.get("code", ""))[:40]
