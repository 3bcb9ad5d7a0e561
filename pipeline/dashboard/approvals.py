"""The page on which a post is approved or sent back: of visitors, and of clients who have a link and no login.

The link's page shows its posts and reveals nothing else; reading it changes nothing, as programs that preview links do.
Its token is in its address, so it is never logged and its page sends no referrer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.actions import approve as actions
from pipeline.api.http.auth import require_plan
from pipeline.dashboard.ledger import act, find_caller, read
from pipeline.dashboard.page import answer_errors, page, read_form
from pipeline.dashboard.post import find_post
from pipeline.dashboard.post_actions import read_form_time
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_rules import build_refusal
from pipeline.store.health import database_now
from pipeline.store.posts.approvals import Approval, find_link, read_approvals
from pipeline.store.posts.views import PostView, read_posts

APPROVE = Role.AUTHOR
_LINK_HEADERS = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovablePost:
    """A post with its approval; None: it needs none."""

    view: PostView
    approval: Approval | None
    is_answered: bool = False
    """The link that shows it has answered for it."""


@page(Role.VIEWER)
async def show(request: Request, visitor: Visitor) -> Response:
    """Show what an approval of the post would send."""
    return await _render(request, visitor)


@page(APPROVE)
async def answer(request: Request, visitor: Visitor) -> Response:
    """Approve the post as it was shown, or send it back."""
    workspace, post = await find_post(request, visitor)
    visitor.require(workspace, APPROVE)
    form = request.state.form
    try:
        await act(request, _answer, visitor.actor, workspace, post, form)
    except Refusal as refusal:
        return await _render(request, visitor, refusal)
    return RedirectResponse(f"/dashboard/posts/{post}?did={_read_verb(form)}", 303)


async def _render(request: Request, visitor: Visitor, refusal: Refusal | None = None) -> Response:
    workspace, post = await find_post(request, visitor)
    found = await read(request, _read, workspace, [post])
    if not found:
        raise HTTPException(404)
    may = visitor.roles[workspace] >= APPROVE
    shown = {"posts": found, "may_answer": may, "is_link": False}
    return render(
        request, visitor, "approve.html", refusal.status if refusal else 200, **shown, **_say(refusal)
    )


def _say(refusal: Refusal | None) -> Mapping[str, str | None]:
    return {"refused": refusal.message if refusal else None}


def _read(c: Connection, workspace: UUID, posts: Sequence[UUID]) -> list[ApprovablePost]:
    known = read_approvals(c, posts)
    views = {view.id: view for view in read_posts(c, workspace, posts)}
    return [ApprovablePost(view=views[one], approval=known.get(one)) for one in posts if one in views]


def _answer(context: Context, actor: Actor, workspace: UUID, post: UUID, form: FormData) -> None:
    caller, shown = find_caller(context, actor, workspace), str(form.get("hash", ""))
    if _read_verb(form) == "send_back":
        actions.send_back(context, caller, post, shown, _read_why(form))
        return
    require_plan(caller)
    with context.database.begin() as c:
        now = database_now(c)
    actions.approve(context, caller, post, shown, _find_time(form, now))


def _read_verb(form: FormData) -> str:
    return "send_back" if form.get("verb") == "send_back" else "approve"


def _read_why(form: FormData) -> str:
    why = str(form.get("why", "")).strip()
    if not 1 <= len(why) <= 500:  # noqa: PLR2004  as of the API
        raise build_refusal("why", "Say what has to be changed, in 1 to 500 characters.")
    return why


def _find_time(form: FormData, now: datetime) -> datetime | None:
    """Return the new time of a form; None without one. Raises Refusal 400."""
    if form.get("now") == "yes":
        return now
    return read_form_time(form) if form.get("local_time") else None


# --- without a login -------------------------------------------------------------------------------------------------


async def show_link(request: Request) -> Response:
    """Show the posts of a link."""
    return await answer_errors(request, lambda: _render_link(request))


async def answer_link(request: Request) -> Response:
    """Answer for one post of a link, once."""
    return await answer_errors(request, lambda: _take_answer(request))


async def _take_answer(request: Request) -> Response:
    form, token = await read_form(request), request.path_params["token"]
    try:
        post = UUID(str(form.get("post", "")))
        why = _read_why(form) if _read_verb(form) == "send_back" else None
        await act(request, actions.answer_by_link, token, post, str(form.get("hash", "")), why)
    except ValueError:
        raise HTTPException(404) from None
    except Refusal as refusal:
        return await _render_link(request, refusal)
    return RedirectResponse(actions.LINK_PATH.format(token=token), 303, _LINK_HEADERS)


async def _render_link(request: Request, refusal: Refusal | None = None) -> Response:
    found = await read(request, _read_link, request.path_params["token"])
    if found is None:
        raise HTTPException(404, "There is no such link, or its time is over: ask for a new one.")
    shown = {"posts": found, "may_answer": True, "is_link": True}
    response = render(
        request, None, "approve.html", refusal.status if refusal else 200, **shown, **_say(refusal)
    )
    response.headers.update(_LINK_HEADERS)
    return response


def _read_link(c: Connection, token: str) -> list[ApprovablePost] | None:
    link = find_link(c, token)
    if link is None:
        return None
    found = _read(c, link.workspace_id, link.posts)
    return [
        ApprovablePost(view=one.view, approval=one.approval, is_answered=one.view.id in link.answered)
        for one in found
    ]


ROUTES = (
    Route("/posts/{post_id}/approve", show),
    Route("/posts/{post_id}/approve", answer, methods=["POST"]),
)
LINK_ROUTES = (
    Route("/approve/{token}", show_link),
    Route("/approve/{token}", answer_link, methods=["POST"]),
)
