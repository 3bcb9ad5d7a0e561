"""The page of approvals: posts that wait for one, each read in a pane, and approved or sent back, also many at once.

Also links for clients, as visitors make them of selected posts and take them back.

What is answered is what was shown: the field of a post has its hash, and one that changed since is refused in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions import approve as actions
from pipeline.api.http.auth import require_plan
from pipeline.dashboard.approvals import (
    APPROVE,
    SAID,
    SEND_BACK,
    ApprovablePost,
    Seen,
    answer_each,
    read_approvable,
    read_seen,
    read_why,
)
from pipeline.dashboard.filter import MOST, get_within, parse_id_or_none
from pipeline.dashboard.history import ChangesSince, HistoryEntry, find_changes, read_post_history
from pipeline.dashboard.ledger import act, act_for, find_caller, get_state, read, read_own_caller
from pipeline.dashboard.page import find_client, page, parse_id, parse_place, require_found, write_place
from pipeline.dashboard.post import find_place
from pipeline.dashboard.post_actions import read_form_time
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_rules import build_refusal
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.history import read_history
from pipeline.store.deliveries.queue import Within
from pipeline.store.deliveries.queue_posts import QueuedPost, read_queued_posts
from pipeline.store.files.thumbnails import Thumbnail, find_thumbnails
from pipeline.store.health import database_now
from pipeline.store.posts.approvals import (
    Approval,
    ApprovalLink,
    Place,
    count_waiting,
    list_links,
    list_waiting,
    read_approvals,
)
from pipeline.store.posts.history import read_names
from pipeline.store.posts.views import find_workspace_of_post

PATH = "/dashboard/approval"
ANSWER = Role.AUTHOR
PAGE, LINES = 50, 8
"""Posts of a page, and lines of the history in the pane."""
SOON = timedelta(days=1)
"""How long before its time a post says how much of it is left."""
WAITING, SENT_BACK = "waiting", "sent_back"


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingRow:
    """A post of the list. ``may``: the visitor may answer for it; ``left``: until its time, if that is soon."""

    post: QueuedPost
    thumbnail: Thumbnail | None
    approval: Approval
    may: bool
    left: timedelta | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pane:
    """The post that is read."""

    shown: ApprovablePost
    entries: Sequence[HistoryEntry]
    names: Mapping[str, str]
    changes: ChangesSince | None
    may: bool
    is_own: bool
    """The visitor wrote it or changed it last, and so does not approve it."""
    others: int
    """How many more posts of its client wait."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the address asks for. ``after``: where the page begins; ``kept``: the posts that a list shows already."""

    show: str
    client: UUID | None
    post: UUID | None
    after: Place | None
    kept: Sequence[UUID]
    within: Within

    def build_address(self, **changes: object) -> str:
        """Return the address of the list with these changes; None drops a field."""
        given = {"show": self.show if self.show == SENT_BACK else None, "client": self.client, **changes}
        query = urlencode({name: str(value) for name, value in given.items() if value})
        return f"{PATH}?{query}" if query else PATH


@page("/approval", Role.VIEWER)
async def show(request: Request, visitor: Visitor) -> Response:
    """Show the posts that wait, and one of them as it would be sent."""
    return await render_queue(request, visitor)


@page("/approval", ANSWER, "POST")
async def answer(request: Request, visitor: Visitor) -> Response:
    """Approve posts as they were shown, or send them back."""
    form = request.state.form
    seen, places = read_seen(form), {}
    if not seen:
        return await render_queue(request, visitor, problem="Select at least one post.", status=400)
    for post in seen:
        places[post] = await find_place(request, visitor, post, ANSWER)
    try:
        refused = await act(request, _answer, visitor.actor, places, seen, form)
    except Refusal as refusal:
        return await render_queue(request, visitor, problem=refusal.message, status=refusal.status)
    if refused:
        return await render_queue(
            request, visitor, refused=refused, answered=len(seen) - len(refused), status=409
        )
    asked = read_asked(request.query_params, visitor)
    return RedirectResponse(asked.build_address(did=form.get("verb"), number=len(seen)), 303)


def _answer(
    context: Context, actor: Actor, places: Mapping[UUID, UUID], seen: Seen, form: FormData
) -> dict[UUID, str]:
    callers = {space: find_caller(context, actor, space) for space in set(places.values())}
    why = read_why(form)
    if why is not None:
        return answer_each(
            lambda post, shown: actions.send_back(context, callers[places[post]], post, shown, why), seen
        )
    for caller in callers.values():
        require_plan(caller)
    with context.database.begin() as c:
        due_at = _find_time(form, database_now(c))
    return answer_each(
        lambda post, shown: actions.approve(context, callers[places[post]], post, shown, due_at), seen
    )


def _find_time(form: FormData, now: datetime) -> datetime | None:
    """Return the new time of a form; None without one. Raises Refusal 400."""
    if form.get("now") == "yes":
        return now
    return read_form_time(form) if form.get("local_time") else None


def read_asked(query: QueryParams, visitor: Visitor) -> Asked:
    """Return what an address asks for. Raises HTTPException 400, and 404 for a client that the visitor does not see."""
    client = find_client(visitor, query.get("client"), "client")
    kept = [parse_id_or_none(text) for text in query.getlist("shown")[: 2 * PAGE]]
    return Asked(
        show=SENT_BACK if query.get("show") == SENT_BACK else WAITING,
        client=client,
        post=parse_id(query.get("post"), "post"),
        after=parse_place(query.get("after", ""), UUID),
        kept=[one for one in kept if one is not None],
        within=get_within(visitor, Role.VIEWER) if client is None else [client],
    )


async def render_queue(
    request: Request,
    visitor: Visitor,
    *,
    status: int = 200,
    refused: Mapping[UUID, str] | None = None,
    problem: str = "",
    answered: int = 0,
    link: tuple[str, ApprovalLink] | None = None,
) -> Response:
    """Render the page. *refused*: why posts were not answered for; *problem*: of a form; *link*: one made just now."""
    asked = read_asked(request.query_params, visitor)
    if asked.post is not None:
        await find_place(request, visitor, asked.post)
    found = await read(request, _read, get_state(request).context, asked, visitor)
    done, number = request.query_params.get("did", ""), request.query_params.get("number", "")
    refused = refused or {}
    words = await read(request, read_queued_posts, list(refused), None) if refused else []
    pane: Pane | None = found["pane"]
    return render(
        request,
        "approval.html",
        status,
        asked=asked,
        here=asked.build_address(post=asked.post, after=request.query_params.get("after")),
        found=found,
        pane=pane,
        post=pane.shown.view if pane else None,
        names=pane.names if pane else {},
        accounts=len(pane.shown.view.deliveries) if pane else 0,
        most=MOST,
        following=found["following"] and write_place(*found["following"]),
        clients={str(identity): name for identity, name in visitor.names.items()},
        answered=int(number) if number.isdecimal() and len(number) < 4 else answered,  # noqa: PLR2004
        did=done if done in {APPROVE, SEND_BACK} else "",
        refused=[(one.caption, refused[one.id]) for one in words],
        problem=problem,
        link=link,
        may_answer=visitor.has(ANSWER),
    )


def _read(c: Connection, context: Context, asked: Asked, visitor: Visitor) -> dict[str, Any]:
    """Return what the page shows. ``new``: the number of posts that its list does not show yet."""
    places = list_waiting(
        c, asked.within, sent_back=asked.show == SENT_BACK, limit=PAGE + 1, after=asked.after
    )
    fresh = [post for _, post in places[:PAGE]]
    shown = asked.kept or fresh
    find = cache(partial(read_own_caller, c, visitor.actor))
    rows = _build_rows(c, shown, visitor, find)
    pane = asked.post or next((one.post.id for one in rows if not one.approval.is_approved), None)
    return {
        "rows": rows,
        "number": count_waiting(c, asked.within, sent_back=asked.show == SENT_BACK, most=MOST),
        "new": len(set(fresh) - set(asked.kept)) if asked.kept and asked.after is None else 0,
        "following": places[PAGE - 1] if len(places) > PAGE else None,
        "pane": None if pane is None else _read_pane(c, context, pane, visitor, find),
        "links": list_links(c, asked.within if asked.client else visitor.workspaces(ANSWER)),
    }


def _build_rows(
    c: Connection, posts: Sequence[UUID], visitor: Visitor, find: Callable[[UUID], Caller]
) -> list[WaitingRow]:
    now, known, pictures = database_now(c), read_approvals(c, posts), find_thumbnails(c, posts)
    rows = []
    for post in read_queued_posts(c, posts, visitor.workspaces(Role.VIEWER)):
        approval = known.get(post.id)
        if approval is None:
            continue
        may = visitor.may_author(post.workspace_id) and not _is_own(find(post.workspace_id), approval)
        row = WaitingRow(
            post=post,
            thumbnail=pictures.get(post.id),
            approval=approval,
            may=may and not approval.is_approved and not approval.is_checking,
            left=post.due_at - now if post.due_at - now < SOON else None,
        )
        rows.append(row)
    return rows


def _is_own(caller: Caller, approval: Approval) -> bool:
    return caller.author in (approval.author, approval.editor) and not caller.self_approval


def _read_pane(
    c: Connection, context: Context, post: UUID, visitor: Visitor, find: Callable[[UUID], Caller]
) -> Pane | None:
    workspace = find_workspace_of_post(c, post)
    shown = read_approvable(c, context, workspace, [post]) if workspace else []
    if workspace is None or not shown:
        return None
    [one] = shown
    entries, names = read_post_history(c, one.view, read_history(c, post))
    lines = [line for line in entries if line.row is not None or line.kind == "origin"]
    is_own = one.approval is not None and _is_own(find(workspace), one.approval)
    return Pane(
        shown=one,
        entries=lines[:LINES][::-1],
        names={**names, **_name_people(c, one.approval)},
        changes=find_changes(lines, one.view.caption),
        may=one.is_open and visitor.may_author(workspace) and not is_own,
        is_own=is_own,
        others=max(0, count_waiting(c, [workspace], sent_back=False, most=actions.MOST_POSTS) - 1),
    )


def _name_people(c: Connection, approval: Approval | None) -> Mapping[str, str]:
    """Return the names of who wrote and who approved a post, by what an approval calls them."""
    called = {one for one in (approval.author, approval.approver) if one} if approval else set()
    ids = {text: found for text in called if (found := parse_id_or_none(text.partition(" ")[2]))}
    names = read_names(c, set(ids.values()), ())
    people = {text: names.get(str(one), "Somebody") for text, one in ids.items()}
    return {text: people.get(text) or _name_place(text) for text in called}


def _name_place(text: str) -> str:
    return "The client" if text.startswith("system approval link") else text.capitalize()


# --- links for clients -----------------------------------------------------------------------------------------------


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
