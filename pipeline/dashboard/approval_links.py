"""Links for clients, as visitors make them of selected posts and take them back."""

from __future__ import annotations

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions import approve as actions
from pipeline.dashboard.approval_queue import ANSWER, read_asked, render_queue
from pipeline.dashboard.approvals import SAID, read_seen
from pipeline.dashboard.ledger import act_for, get_state, read
from pipeline.dashboard.page import find_client, page, parse_id, require_found
from pipeline.dashboard.post import find_place
from pipeline.dashboard.visitor import Visitor
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_rules import build_refusal
from pipeline.store.posts.approvals import list_waiting


@page("/approval/links", ANSWER, "POST")
async def make(request: Request, visitor: Visitor) -> Response:
    """Make a link to the selected posts, or to all of a client that wait, and show it this once."""
    form = request.state.form
    client, posts = find_client(visitor, form.get("client"), "client", ANSWER), [*read_seen(form)]
    if client is not None:
        most = actions.MOST_POSTS
        waiting = await read(request, lambda c: list_waiting(c, [client], sent_back=False, limit=most))
        posts = [post for _, post in waiting]
    places = {await find_place(request, visitor, post, ANSWER) for post in posts}
    try:
        if len(places) != 1:
            message = (
                "A link is for one client: select posts of one." if places else "Select at least one post."
            )
            raise build_refusal("post", message)
        lasts = timedelta(days=int(form["days"]) if form.get("days") in {"3", "7", "30"} else 3)
        token, link = await act_for(request, places.pop(), actions.make_link, posts, lasts)
    except Refusal as refusal:
        said = SAID.get(refusal.code, refusal.message)
        return await render_queue(request, visitor, problem=said, status=refusal.status)
    url = get_state(request).context.settings.own_url + actions.LINK_PATH.format(token=token)
    return await render_queue(request, visitor, link=(url, link))


@page("/approval/links/end", ANSWER, "POST")
async def take_back(request: Request, visitor: Visitor) -> Response:
    """End a link. One that has ended already is no error."""
    form = request.state.form
    link = require_found(parse_id(form.get("link"), "link"))
    workspace = require_found(find_client(visitor, form.get("workspace"), "workspace", ANSWER))
    try:
        await act_for(request, workspace, actions.take_back_link, link)
    except Refusal as refusal:
        if refusal.status != 404:  # noqa: PLR2004  an HTTP status
            raise
    return RedirectResponse(read_asked(request.query_params, visitor).build_address(), 303)
