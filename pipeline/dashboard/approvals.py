"""The page of a link, on which clients approve posts or send them back without a login; and how posts are answered for.

The link's page shows its posts and reveals nothing else; reading it changes nothing, as programs that preview links do.
Its token is in its address, so it is never logged and its page sends no referrer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions import approve as actions
from pipeline.dashboard.ledger import act, get_state, read
from pipeline.dashboard.media import send_thumbnail
from pipeline.dashboard.page import open_page, read_form
from pipeline.dashboard.preview import Preview, preview_post, serve_from
from pipeline.dashboard.render import render
from pipeline.runtime.context import Context
from pipeline.stages.mandate import CODE as MANDATE
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_rules import build_refusal
from pipeline.store.files.files import Content
from pipeline.store.files.thumbnails import PATH as THUMBNAILS
from pipeline.store.files.thumbnails import find_thumbnail_of_posts
from pipeline.store.posts.approvals import Approval, ApprovalLink, find_link, read_approvals
from pipeline.store.posts.views import PostView, read_posts

SEPARATOR = "."
"""Between the id of a post and the hash that was shown of it, in a field of a form."""
SEND_BACK, APPROVE = "send_back", "approve"
SAID: Mapping[str, str] = {
    actions.CHANGED: "It was changed since you saw it, or its files are being checked: read it again.",
    MANDATE: "You wrote it or changed it last: another user approves it.",
}
"""Code of a refusal -> its sentence on the pages."""
GONE = "There is no such link, or its time is over: ask for a new one."
_LINK_HEADERS = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
Seen = Mapping[UUID, str]
"""Post -> the hash that was shown of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovablePost:
    """A post with its approval, None if it needs none, and how its accounts show it."""

    view: PostView
    approval: Approval | None
    previews: Sequence[Preview]
    is_answered: bool = False
    """The link that shows it has answered for it."""

    @property
    def is_open(self) -> bool:
        """Return True if an answer to it is taken now."""
        found = self.approval
        return not (found is None or found.is_approved or found.is_checking or self.is_answered)


def read_approvable(
    c: Connection, context: Context, workspace: UUID, posts: Sequence[UUID], base: str = THUMBNAILS
) -> list[ApprovablePost]:
    """Return these posts of a workspace, in the order given, without those that are gone.

    *base*: where their thumbnails are served.
    """
    known = read_approvals(c, posts)
    views = {view.id: view for view in read_posts(c, workspace, posts)}
    return [
        ApprovablePost(
            view=views[one],
            approval=known.get(one),
            previews=[serve_from(base, preview) for preview in preview_post(c, context, views[one])],
        )
        for one in posts
        if one in views
    ]


def read_seen(form: FormData) -> Seen:
    """Return the posts that a form answers for, with the hash that was shown of each. Raises HTTPException 404."""
    pairs = [str(text).partition(SEPARATOR)[::2] for text in form.getlist("post")]
    try:
        return {UUID(post): shown for post, shown in pairs}
    except ValueError:
        raise HTTPException(404) from None


def read_why(form: FormData) -> str | None:
    """Return what has to be changed; None for an approval. Raises Refusal 400."""
    if form.get("verb") != SEND_BACK:
        return None
    why = str(form.get("why", "")).strip()
    if not 1 <= len(why) <= 500:  # noqa: PLR2004  as of the API
        raise build_refusal("why", "Say what has to be changed, in 1 to 500 characters.")
    return why


def answer_each(answer: Callable[[UUID, str], object], seen: Seen) -> dict[UUID, str]:
    """Answer for posts one by one; return why some were refused, by post."""
    refused = {}
    for post, shown in seen.items():
        try:
            answer(post, shown)
        except Refusal as refusal:
            refused[post] = SAID.get(refusal.code, refusal.message)
    return refused


# --- without a login -------------------------------------------------------------------------------------------------


@open_page("/approve/{token}")
async def show_link(request: Request) -> Response:
    """Show the posts of a link."""
    return await _render_link(request)


@open_page("/approve/{token}/thumbnails/{name}")
async def show_link_thumbnail(request: Request) -> Response:
    """Send a thumbnail of a medium of one of the link's posts."""
    return await send_thumbnail(request, _find_thumbnail, None)


def _find_thumbnail(c: Connection, request: Request) -> Content | None:
    link = find_link(c, request.path_params["token"])
    return None if link is None else find_thumbnail_of_posts(c, request.path_params["name"], link.posts)


@open_page("/approve/{token}", "POST")
async def answer_link(request: Request) -> Response:
    """Answer for some posts of a link, once for each."""
    form, token = await read_form(request), request.path_params["token"]
    link, seen = await read(request, find_link, token), read_seen(form)
    if link is None or not seen.keys() <= set(link.posts):
        raise HTTPException(404, GONE)
    try:
        give = partial(actions.answer_by_link, get_state(request).context, token, why=read_why(form))
        refused = await act(request, lambda _: answer_each(give, seen))
    except Refusal as refusal:
        return await _render_link(request, {UUID(int=0): refusal.message}, refusal.status)
    if refused:
        return await _render_link(request, refused, 409)
    return RedirectResponse(actions.LINK_PATH.format(token=token), 303, _LINK_HEADERS)


async def _render_link(
    request: Request, refused: Mapping[UUID, str] | None = None, status: int = 200
) -> Response:
    found = await read(request, _read_link, get_state(request).context, request.path_params["token"])
    if found is None:
        raise HTTPException(404, GONE)
    link, posts = found
    shown = {"link": link, "posts": posts, "refused": refused or {}}
    response = render(request, "approve.html", status, **shown)
    response.headers.update(_LINK_HEADERS)
    return response


def _read_link(
    c: Connection, context: Context, token: str
) -> tuple[ApprovalLink, list[ApprovablePost]] | None:
    """Return a link and its posts, first those that wait for its answer; None: it does not work."""
    link = find_link(c, token)
    if link is None:
        return None
    base = f"{actions.LINK_PATH.format(token=token)}/thumbnails/"
    found = [
        replace(one, is_answered=one.view.id in link.answered)
        for one in read_approvable(c, context, link.workspace_id, link.posts, base)
    ]
    return link, sorted(found, key=lambda one: (not one.is_open, one.view.scheduled_at))
