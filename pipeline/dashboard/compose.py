"""The page on which a post is written: checked while it is typed, kept until it is sent, and sent as the API sends it.

What is typed is an unsent form (``store/unsent_forms.py``) of its author, saved with each check; it becomes a post, or
a draft, only when its author says so. Sent twice, it is one post: its ``external_id`` names the form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions.account_groups import InvalidGroup, change_groups
from pipeline.actions.edit import edit
from pipeline.api.http.auth import require_plan
from pipeline.dashboard.compose_check import check_form, find_files, list_problems, name_types
from pipeline.dashboard.compose_form import (
    GROUP_NAME,
    FormProblem,
    PostForm,
    StoredVersion,
    build_body,
    build_change,
    build_fields,
    find_changed,
    find_stored,
    read_fields,
    say_choice,
)
from pipeline.dashboard.ledger import act, find_caller, get_state, read, write
from pipeline.dashboard.page import find_client, page, parse_id, require_found
from pipeline.dashboard.post import find_place, find_post
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.imports.validate import PostFormat
from pipeline.runtime.context import Context
from pipeline.stages.ingest import accept
from pipeline.stages.post_request import PostRequest, Refusal
from pipeline.stages.post_state import compute_version
from pipeline.store import unsent_forms as store
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import Caller
from pipeline.store.database import new_id
from pipeline.store.posts.views import read_post
from pipeline.store.unsent_forms import UnsentForm

PATH = "/dashboard/new"
AUTHOR = Role.AUTHOR
CONFLICT = 409
GROUP_VERBS = ("save", "rename", "remove")


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenForm:
    """A form as a page shows it. ``version`` 0: nothing of it is saved."""

    form: PostForm
    id: UUID = field(default_factory=new_id)
    version: int = 0
    tab: UUID = field(default_factory=new_id)
    saved: UnsentForm | None = None
    """As it was saved last, by whichever tab."""

    @property
    def is_stale(self) -> bool:
        """Return True if another tab has saved it since."""
        return self.saved is not None and self.saved.version != self.version


@page("/new", AUTHOR)
async def show_form(request: Request, visitor: Visitor) -> Response:
    """Show the form that was changed last and not sent, the one that the address names, or an empty one."""
    clients = visitor.workspaces(AUTHOR)
    query = request.query_params
    if source := parse_id(query.get("from"), "from"):
        return await _show_stored(request, visitor, source, is_copy=True)
    identity = parse_id(query.get("form"), "form")
    workspace = find_client(visitor, query.get("workspace"), "workspace", AUTHOR)
    saved = await read(request, _find_saved, visitor.user_id, clients, identity)
    if identity is not None and saved is None:
        raise HTTPException(404)
    if saved is None or (workspace is not None and saved.workspace_id != workspace) or "empty" in query:
        chosen = workspace or visitor.list_clients(AUTHOR)[0]
        form = PostForm(workspace=chosen, fields={"when": ["next"]})
        return await _render(request, visitor, OpenForm(form=form))
    form = PostForm(workspace=saved.workspace_id, fields=saved.fields)
    opened = OpenForm(id=saved.id, version=saved.version, form=form, saved=saved)
    return await _render(request, visitor, opened)


@page("/posts/{post_id}/edit", AUTHOR)
async def edit_form(request: Request, visitor: Visitor) -> Response:
    """Show the form of a stored post, to change it."""
    _, post = await find_post(request, visitor)
    return await _show_stored(request, visitor, post, is_copy=False)


async def _show_stored(request: Request, visitor: Visitor, post: UUID, *, is_copy: bool) -> Response:
    workspace = await find_place(request, visitor, post, AUTHOR)
    caller = await act(request, find_caller, visitor.actor, workspace)
    view = require_found(await read(request, read_post, workspace, post))
    state, zone = get_state(request), ZoneInfo(caller.time_zone)
    fields = build_fields(state.context, view, state.posts.columns, zone, is_copy=is_copy)
    if not is_copy:
        fields |= {"post": [str(post)], "etag": [f'"{compute_version(view)}"']}
    return await _render(request, visitor, OpenForm(form=PostForm(workspace=workspace, fields=fields)))


def _find_saved(
    c: Connection, user: UUID, clients: Sequence[UUID], identity: UUID | None
) -> UnsentForm | None:
    if identity is None:
        return next(iter(store.list_forms(c, user, clients)), None)
    found = store.find_form(c, user, identity)
    return found if found is not None and found.workspace_id in clients else None


@page("/new/check", AUTHOR, "POST")
async def check(request: Request, visitor: Visitor) -> Response:
    """Save the form, and show what it would do now."""
    opened = _read_form(request.state.form, visitor)
    opened = await act(request, _save, visitor.user_id, opened)
    if opened.saved is None:  # another tab has sent it, or thrown it away: what is typed here is another form
        again = replace(opened, id=new_id(), version=0)
        opened = await act(request, _save, visitor.user_id, again)
    return await _render(request, visitor, opened)


@page("/new", AUTHOR, "POST")
async def send(request: Request, visitor: Visitor) -> Response:
    """Make a post or a draft of the form, or throw it away; one that is refused is shown again with its problems."""
    typed = request.state.form
    opened, verb = _read_form(typed, visitor), str(typed.get("do", ""))
    if verb == "discard":
        await write(request, store.delete_form, visitor.user_id, opened.id)
        return RedirectResponse(f"{PATH}?empty=1&workspace={opened.form.workspace}", 303)
    opened = await act(request, _save, visitor.user_id, opened)
    if opened.is_stale:
        return await _render(request, visitor, opened, status=CONFLICT)
    try:
        post = await act(request, _send, get_state(request).posts, visitor, opened, verb == "draft")
    except Refusal as refusal:
        problems = list_problems(opened.form, refusal)
        return await _render(request, visitor, opened, problems, status=refusal.status)
    did = "draft" if verb == "draft" else "edit" if opened.form.get("post") else "new"
    return RedirectResponse(f"/dashboard/posts/{post}?did={did}", 303)


@page("/new/groups", AUTHOR, "POST")
async def change_group(request: Request, visitor: Visitor) -> Response:
    """Save the chosen accounts as a group, rename one or remove one, and show the form as it is typed."""
    typed = request.state.form
    opened = _read_form(typed, visitor)
    verb, _, group = str(typed.get("do", "")).partition(":")
    if verb not in GROUP_VERBS:
        raise HTTPException(404)
    form, name = opened.form, str(typed.get(f"{GROUP_NAME}{group}", "")).strip()
    change = partial(change_groups, group=parse_id(group, "group"), name=name, ids=form.accounts)
    try:
        await act(request, change, visitor.actor, form.workspace, verb)
    except InvalidGroup as refusal:
        place = GROUP_NAME if verb == "save" else "groups"
        return await _render(request, visitor, opened, [FormProblem(place=place, message=str(refusal))])
    return await _render(request, visitor, opened)


def _read_form(typed: FormData, visitor: Visitor) -> OpenForm:
    """Return the form that was typed. Raises HTTPException 400 and 404, and Forbidden."""
    workspace, identity = parse_id(typed.get("workspace"), "workspace"), parse_id(typed.get("form"), "form")
    version, tab = str(typed.get("version", "")), parse_id(typed.get("tab"), "tab")
    if workspace is None or identity is None or tab is None or not re.fullmatch(r"[0-9]{1,9}", version):
        raise HTTPException(400, "workspace, form, version and tab: open the page of the form again.")
    visitor.require(workspace, AUTHOR)
    fields = read_fields(typed.multi_items())
    if address := str(typed.get("address", "")).strip():
        fields.setdefault("url", []).append(address)
    fields.pop("workspace", None)
    form = PostForm(workspace=workspace, fields=fields)
    return OpenForm(id=identity, version=int(version), tab=tab, form=form)


def _save(context: Context, user: UUID, opened: OpenForm) -> OpenForm:
    """Save the form as its next version; return it with what is saved, which another tab may have changed."""
    form = opened.form
    mine = UnsentForm(
        id=opened.id,
        user_id=user,
        workspace_id=form.workspace,
        version=opened.version,
        tab=opened.tab,
        fields=form.fields,
    )
    with context.database.begin() as c:
        before = store.find_form(c, user, opened.id)
        if before is not None and (before.fields, before.workspace_id) == (form.fields, form.workspace):
            return replace(opened, version=before.version, saved=before)
        saved = store.save_form(c, mine)
    return replace(opened, version=saved.version if saved else opened.version, saved=saved or before)


def _send(context: Context, posts: PostFormat, visitor: Visitor, opened: OpenForm, is_draft: bool) -> UUID:
    """Store the post as POST /posts does, and forget the form. Raises Refusal."""
    form = opened.form
    caller = find_caller(context, visitor.actor, form.workspace)
    require_plan(caller)
    with context.database.begin() as c:
        kinds = name_types(find_files(c, context, form))
        stored = find_stored(c, context, form, posts.columns, caller.time_zone)
    body, problems = build_body(form, posts.columns, kinds, caller.time_zone, draft=is_draft)
    if problems:
        issues = [{"path": one.place, "message": one.message} for one in problems]
        raise Refusal(422, "invalid_payload", problems[0].message, issues)
    if stored is not None:
        return _edit(context, caller, visitor, opened, posts.read(body), stored)
    body["external_id"] = f"form-{opened.id}"
    accepted = accept(context, caller, posts.read(body, request_id=visitor.request_id))
    with context.database.begin() as c:  # if this is not reached, the form is there to be sent again
        if store.delete_form(c, visitor.user_id, opened.id):
            record_change(c, visitor.actor, "create", "post", accepted.id, form.workspace)
    return accepted.id


def _edit(
    context: Context,
    caller: Caller,
    visitor: Visitor,
    opened: OpenForm,
    request: PostRequest,
    stored: StoredVersion,
) -> UUID:
    """Change the stored post by what differs in its form, if it is still the version that was seen. Raises Refusal."""
    form, changed = opened.form, find_changed(stored.fields, opened.form.fields)
    if request.draft:
        changed.discard("scheduled_at")
    schedules = stored.is_draft and not request.draft
    given = changed | {"scheduled_at"} if schedules else changed
    post = UUID(form.get("post"))
    if given:
        edit(context, caller, post, build_change(request, given, schedules=schedules), form.get("etag"))
    with context.database.begin() as c:
        store.delete_form(c, visitor.user_id, opened.id)
    return post


async def _render(
    request: Request,
    visitor: Visitor,
    opened: OpenForm,
    refused: Sequence[FormProblem] = (),
    status: int = 200,
) -> Response:
    posts = get_state(request).posts
    found = await act(request, check_form, posts, visitor.actor, opened.form)
    problems = _show_problems(opened.form, found, refused)
    return render(
        request,
        "compose.html",
        status,
        opened=opened,
        form=opened.form,
        found=found,
        problems=problems,
        clients=visitor.list_clients(AUTHOR),
        say_choice=say_choice,
        say=partial(_list_at, problems),
    )


def _show_problems(
    form: PostForm, found: Mapping[str, Any], refused: Sequence[FormProblem]
) -> Sequence[FormProblem]:
    """Return the problems to show: what is not filled in yet is none, before it is sent."""
    blank = {"caption": not form.get("caption"), "accounts": not form.accounts}
    blank["when"] = form.when == "at" and not form.get("local_time")
    shown = [one for one in found["problems"] if not blank.get(one.place)]
    return list({(one.place, one.message): one for one in (*refused, *shown)}.values())


def _list_at(problems: Sequence[FormProblem], *places: str) -> list[FormProblem]:
    return [one for one in problems if one.place in places]
