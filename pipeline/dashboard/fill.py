"""Fill the week: a plan that puts drafts on the next times that their accounts have free, and what schedules it.

Also the free posting times of a client's accounts, as the calendar shows them.

A plan stores nothing. Each of its drafts is scheduled as its edit form does it, if it is still the version that the
plan was made of and its time is still free. Many are scheduled in steps, each a request that the page sends by itself.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pipeline.actions.edit import check_edit
from pipeline.actions.post_changes import Change
from pipeline.api.http.auth import require_plan
from pipeline.dashboard.clock import find_page_zone
from pipeline.dashboard.filter import MOST as MOST_LISTED
from pipeline.dashboard.filter import format_time
from pipeline.dashboard.ledger import READ_SECONDS, act, find_caller, read, read_own_caller
from pipeline.dashboard.page import find_client, page, require_found
from pipeline.dashboard.post_actions import move_post
from pipeline.dashboard.render import render
from pipeline.dashboard.steer import choose, read_selection
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import AccountStatus, Role
from pipeline.domain.audit import Actor
from pipeline.domain.post import PostStatus
from pipeline.domain.posting_times import PostingTimes
from pipeline.runtime.context import Context
from pipeline.stages.media_checks import refuse_unreachable
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_rules import refuse_problems
from pipeline.stages.post_state import compute_version
from pipeline.stages.posting_times import LOOK_BACK
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.accounts.posting_times import list_taken
from pipeline.store.auth.keys import Caller, read_caller
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.deliveries.queue import Within
from pipeline.store.deliveries.queue_posts import list_queued_posts
from pipeline.store.deliveries.selection import ListFilter, Order, list_posts
from pipeline.store.files.thumbnails import find_thumbnails
from pipeline.store.health import database_now
from pipeline.store.posts.calendar import Span
from pipeline.store.posts.views import PostView, read_posts_within

PATH = "/dashboard/fill"
AUTHOR = Role.AUTHOR
AHEAD = timedelta(weeks=4)
MOST, STEP = 100, 20
"""Drafts of one plan at most, and drafts that one request schedules at most, which takes about a second."""
Choice = tuple[UUID, str, datetime]
"""A draft that the visitor confirmed, its version in the plan, and its time."""
_CHOICE = re.compile(r"([0-9a-f-]{36})~([0-9a-f]{32})~(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A draft, None if it is gone, and its free time. ``why``: what keeps it from being scheduled; empty: nothing."""

    post: PostView | None
    at: datetime | None = None
    why: str = ""

    @property
    def choice(self) -> str:
        """Return the field that confirms it; empty if it cannot be."""
        if self.post is None or self.at is None:
            return ""
        return f"{self.post.id}~{_read_version(self.post)}~{format_time(self.at)}"


def _read_version(post: PostView) -> str:
    return compute_version(post).partition("-")[0]


@page("/fill", AUTHOR)
async def show_plan(request: Request, visitor: Visitor) -> Response:
    """Show the drafts of one client on its free times."""
    clients = visitor.list_clients(AUTHOR)
    named = find_client(visitor, request.query_params.get("workspace"), "workspace", AUTHOR)
    client = require_found(named or next(iter(clients), None))
    return await _render_plan(request, visitor, ListFilter(workspace=client), (client,), clients)


@page("/fill/plan", AUTHOR, "POST")
async def plan_selected(request: Request, visitor: Visitor) -> Response:
    """Show the drafts that were selected in the queue on their free times."""
    asked, posts = read_selection(request.state.form, visitor, find_page_zone(request))
    return await _render_plan(request, visitor, await act(request, choose, asked, posts), asked.within)


async def _render_plan(
    request: Request,
    visitor: Visitor,
    chosen: ListFilter,
    within: Within,
    clients: Sequence[UUID] = (),
) -> Response:
    placed = await act(request, _plan, visitor.actor, chosen, within, visitor.workspaces(AUTHOR))
    thumbnails = await read(request, find_thumbnails, [one.post.id for one in placed if one.post])
    return render(
        request,
        "fill.html",
        placed=placed,
        thumbnails=thumbnails,
        client=chosen.workspace,
        clients=clients,
        most=MOST,
        path_of_page=PATH,
    )


@page("/fill", AUTHOR, "POST")
async def fill(request: Request, visitor: Visitor) -> Response:
    """Schedule the first of the drafts that were confirmed, and show what came of each; the page goes on by itself."""
    form = request.state.form
    texts = [str(text) for text in form.getlist("take")]
    if not 0 < len(texts) <= MOST:
        raise HTTPException(400, f"Tick from 1 to {MOST} drafts of the plan, not {len(texts)}.")
    choices = [_read_choice(text) for text in texts[:STEP]]
    filled = await act(request, _schedule_all, visitor.actor, visitor.workspaces(AUTHOR), choices)
    results = [*form.getlist("result"), *("left" if one.why else "done" for one in filled)]
    return render(request, "filled.html", filled=filled, rest=texts[STEP:], results=results)


def _read_choice(text: str) -> Choice:
    """Return a draft that was confirmed. Raises HTTPException 400."""
    try:
        if found := _CHOICE.fullmatch(text):
            return UUID(found[1]), found[2], datetime.fromisoformat(found[3])
    except ValueError:
        pass
    raise HTTPException(400, f"take: {text[:100]!r} is no draft of a plan. Make the plan again.")


# --- the plan --------------------------------------------------------------------------------------------------------


def _plan(
    context: Context, actor: Actor, chosen: ListFilter, within: Within, spaces: Collection[UUID]
) -> Sequence[Placed]:
    """Put drafts of these workspaces on free times, the oldest first. At each account they keep their order."""
    with context.database.begin_read(READ_SECONDS) as c:
        chosen = replace(chosen, status=PostStatus.DRAFT)
        posts = list_queued_posts(c, chosen, within, limit=MOST_LISTED).posts
        own = ListFilter(posts=tuple(posts), scope=Scope(within=list(spaces)))
        drafts = list_posts(c, own, limit=MOST, order=Order.DUE)
        callers = {space: read_own_caller(c, actor, space) for space in {one.workspace_id for one in drafts}}
        now, times = database_now(c), _read_times(c, drafts)
        latest: dict[UUID, datetime] = {}
        placed = []
        for draft in drafts:
            accounts = _list_accounts(draft, times)
            after = max((latest.get(one.account.id, now) for one in accounts), default=now)
            at = find_shared_time(accounts, after, now + AHEAD)
            why = _find_obstacle(context, c, callers[draft.workspace_id], draft.id, at)
            placed.append(Placed(post=draft, at=at, why=why))
            if at is not None and not why:
                for one in accounts:
                    one.taken.append(at)
                latest |= dict.fromkeys((one.account.id for one in accounts), at)
    return placed


def _read_times(c: Connection, posts: Collection[PostView]) -> Mapping[UUID, AccountTimes]:
    spaces, now = {one.workspace_id for one in posts}, database_now(c)
    return {i: one for space in spaces for i, one in read_times(c, space, now).items()}


def _list_accounts(post: PostView, times: Mapping[UUID, AccountTimes]) -> Sequence[AccountTimes]:
    return [times[one.account_id] for one in post.deliveries if not one.removed and one.account_id in times]


def _find_obstacle(context: Context, c: Connection, caller: Caller, draft: UUID, at: datetime | None) -> str:
    """Return why a draft cannot be scheduled; empty: it can."""
    try:
        require_plan(caller)
        change = Change(given=frozenset({"scheduled_at"}), scheduled_at=at, schedules=True)
        plan = check_edit(context, c, caller, draft, change)
        refuse_unreachable(plan.post.checks)
        refuse_problems(context, caller, plan.content, [*plan.accounts.values()], plan.post.checks)
    except Refusal as refusal:
        return refusal.message
    return "" if at else "None of the next four weeks' times is free for all of its accounts."


# --- what it schedules -----------------------------------------------------------------------------------------------


def _schedule_all(
    context: Context, actor: Actor, spaces: Sequence[UUID], choices: Sequence[Choice]
) -> Sequence[Placed]:
    """Schedule drafts of these workspaces, one by one; of each that is left, say why."""
    with context.database.begin_read(READ_SECONDS) as c:
        posts = {one.id: one for one in read_posts_within(c, spaces, [post for post, _, _ in choices])}
    return [_schedule(context, actor, posts.get(one[0]), one) for one in choices]


def _schedule(context: Context, actor: Actor, post: PostView | None, choice: Choice) -> Placed:
    _, version, at = choice
    if post is None:
        return Placed(post=None, why="It was deleted since.")
    if _read_version(post) != version:
        return Placed(post=post, why="It was changed since the plan was made.")
    try:
        caller = find_caller(context, actor, post.workspace_id)
        move_post(context, caller, post.id, at, f'"{version}"', only_free=True)
    except Refusal as refusal:
        return Placed(post=post, why=refusal.message)
    return Placed(post=post, at=at)


# --- free times -------------------------------------------------------------------------------------------------------


FreeTime = tuple[datetime, Sequence[AccountRow]]
"""A time, and the accounts of a client that have it free."""
_JUST_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountTimes:
    """The posting times of an account, and those of them and of others that its posts have taken."""

    account: AccountRow
    times: PostingTimes
    taken: list[datetime]

    def find_free(self, after: datetime) -> datetime | None:
        """Return the first free time later than *after*; None: no more."""
        return self.times.find_free(after, self.taken)


def read_times(c: Connection, workspace: UUID, since: datetime) -> Mapping[UUID, AccountTimes]:
    """Return the times of a client's accounts, by account; what is taken, from *since* on."""
    caller = read_caller(c, workspace, None)
    if caller is None:
        return {}
    accounts = find_accounts(c, workspace)
    taken = list_taken(c, [one.id for one in accounts], since - LOOK_BACK)
    return {
        one.id: AccountTimes(
            account=one,
            times=PostingTimes.from_dict(one.posting_times, caller.time_zone),
            taken=taken.get(one.id, []),
        )
        for one in accounts
    }


def list_free_times(c: Connection, workspace: UUID, platform: str | None, span: Span) -> list[FreeTime]:
    """Return the free times of a client's active accounts that are to come, in order; *platform* None: of all."""
    start, end = max(span[0], database_now(c)), span[1]
    if start >= end:
        return []
    found: dict[datetime, list[AccountRow]] = defaultdict(list)
    for one in read_times(c, workspace, start).values():
        if one.account.status == AccountStatus.ACTIVE and platform in (None, one.account.platform):
            for at in _walk(one, start, end):
                found[at].append(one.account)
    return sorted(found.items(), key=lambda one: one[0])


def _walk(times: AccountTimes, start: datetime, end: datetime) -> Iterator[datetime]:
    at = times.find_free(start)
    while at is not None and at < end:
        yield at
        at = times.find_free(at)


def find_shared_time(accounts: Collection[AccountTimes], after: datetime, end: datetime) -> datetime | None:
    """Return the first time between *after* and *end* that all of these accounts have free; None: there is none."""
    while after < end:
        found = [at for one in accounts if (at := one.find_free(after)) is not None]
        if len(found) < len(accounts) or not found or max(found) >= end:
            return None
        if min(found) == max(found):
            return found[0]
        after = max(found) - _JUST_BEFORE
    return None
