"""Links for clients, as visitors make them of selected posts and take them back."""

from __future__ import annotations

from datetime import timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.actions import approve as actions
from pipeline.dashboard.approval_queue import ANSWER, PATH, find_place, read_asked, render_queue
from pipeline.dashboard.approvals import SAID, read_seen
from pipeline.dashboard.ledger import act, find_caller, get_state, read
from pipeline.dashboard.page import page, parse_id
from pipeline.dashboard.visitor import Visitor
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_rules import build_refusal
from pipeline.store.posts.approvals import list_waiting


@page(ANSWER)
async def make(request: Request, visitor: Visitor) -> Response:
    """Make a link to the selected posts, or to all of a client that wait, and show it this once."""
    form = request.state.form
    client, posts = parse_id(form.get("client"), "client"), [*read_seen(form)]
    if client is not None:
        visitor.require(client, ANSWER)
        most = actions.MOST_POSTS
        waiting = await read(request, lambda c: list_waiting(c, [client], sent_back=False, limit=most))
        posts = [post for _, post in waiting]
    places = {await find_place(request, visitor, post) for post in posts}
    for place in places:
        visitor.require(place, ANSWER)
    try:
        if len(places) != 1:
            message = (
                "A link is for one client: select posts of one." if places else "Select at least one post."
            )
            raise build_refusal("post", message)
        lasts = timedelta(days=int(form["days"]) if form.get("days") in {"3", "7", "30"} else 3)
        caller = await act(request, find_caller, visitor.actor, places.pop())
        token, link = await act(request, actions.make_link, caller, posts, lasts)
    except Refusal as refusal:
        said = SAID.get(refusal.code, refusal.message)
        return await render_queue(request, visitor, problem=said, status=refusal.status)
    url = get_state(request).context.settings.own_url + actions.LINK_PATH.format(token=token)
    return await render_queue(request, visitor, link=(url, link))


@page(ANSWER)
async def take_back(request: Request, visitor: Visitor) -> Response:
    """End a link. One that has ended already is no error."""
    form = request.state.form
    link, workspace = parse_id(form.get("link"), "link"), parse_id(form.get("workspace"), "workspace")
    if link is None or workspace is None:
        raise HTTPException(404)
    visitor.require(workspace, ANSWER)
    try:
        caller = await act(request, find_caller, visitor.actor, workspace)
        await act(request, actions.take_back_link, caller, link)
    except Refusal as refusal:
        if refusal.status != 404:  # noqa: PLR2004  an HTTP status
            raise
    return RedirectResponse(read_asked(request.query_params, visitor).build_address(), 303)


ROUTES = (
    Route(f"{PATH.removeprefix('/dashboard')}/links", make, methods=["POST"]),
    Route(f"{PATH.removeprefix('/dashboard')}/links/end", take_back, methods=["POST"]),
)
