"""A request on its way to becoming a post: what is known of it once replay, accounts and clock have been asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pipeline.context import Context
from pipeline.domain.delivery import State
from pipeline.domain.post import PostStatus
from pipeline.domain.schedule import IMMEDIATE, is_immediate, next_at, slot_end
from pipeline.stages import media_checks as links
from pipeline.stages import post_rules as rules
from pipeline.stages.post_request import Accepted, PostRequest, Warned
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.database import new_id
from pipeline.store.posts.posts import NewDelivery, NewPost


@dataclass(kw_only=True, slots=True)
class Draught:
    """A request on its way through the rules."""

    caller: Caller
    request: PostRequest
    accounts: Sequence[AccountRow]
    due_at: datetime
    immediate: bool
    token: str | None
    checks: Mapping[int, Check]


def token_of(context: Context, caller: Caller, request: PostRequest) -> str | None:
    """What a repeat is recognised by, among the keys that see the same posts: no other learns that an id is taken."""
    if request.external_id is not None:
        return f"bound:{caller.realm}:{request.external_id}" if caller.realm else f"id:{request.external_id}"
    return (
        f"body:{caller.realm}{request.body_sha256.hex()}" if context.settings.ingest.dedupe_window else None
    )


def drawn(
    context: Context,
    caller: Caller,
    request: PostRequest,
    *,
    token: str | None,
    accounts: Sequence[AccountRow],
    now: datetime,
) -> Draught:
    """Clock, then sections against accounts: the order of the contract. Raises Refusal."""
    due_at = rules.due_at_of(request.scheduled_at, now)
    rules.refuse_expired(request.expires_at, now)
    rules.refuse_mixed(context, request, accounts)
    return Draught(
        caller=caller,
        request=request,
        accounts=accounts,
        due_at=due_at,
        immediate=is_immediate(request.scheduled_at, now),
        token=token,
        checks={},
    )


def new_post(context: Context, draught: Draught) -> NewPost:
    """The rows to be: scheduled when every check is decided good, else accepted."""
    r = draught.request
    state = State.SCHEDULED if links.all_good(draught.checks) else State.ACCEPTED
    return NewPost(
        id=new_id(),
        workspace_id=draught.caller.workspace_id,
        key_id=draught.caller.key_id,
        caption=r.caption,
        media=r.media,
        music_url=r.music_url,
        tiktok=r.tiktok,
        pinterest=r.pinterest,
        due_at=draught.due_at,
        expires_at=r.expires_at,
        on_late=r.on_late,
        external_id=r.external_id,
        replay_token=draught.token,
        body_sha256=r.body_sha256,
        checks=links.pins_of(draught.checks),
        deliveries=[
            NewDelivery(
                id=new_id(),
                account_id=a.id,
                platform=a.platform,
                state=state,
                next_at=next_at(draught.due_at, context.adapters[a.platform].capabilities.prepare_lead),
            )
            for a in draught.accounts
        ],
    )


def taken(draught: Draught, post: NewPost, warnings: Sequence[Warned]) -> Accepted:
    """The answer to a post that was stored."""
    status = PostStatus.PENDING if draught.immediate else PostStatus.SCHEDULED
    return Accepted(id=post.id, status=status, scheduled_at=post.due_at, warnings=warnings)


def repeated(post: UUID, *, due_at: datetime, created_at: datetime) -> Accepted:
    """The answer to a repeat: the one the original post got."""
    status = PostStatus.PENDING if due_at - created_at <= IMMEDIATE else PostStatus.SCHEDULED
    return Accepted(id=post, scheduled_at=due_at, duplicate=True, status=status)


def ring(context: Context, draughts: Iterable[Draught]) -> None:
    """After the commit, once for all of them. A ring that fails costs a second: the sweep rings again."""
    now, slots = False, set()
    for draught in draughts:
        leads = [context.adapters[a.platform].capabilities.prepare_lead for a in draught.accounts]
        first = next_at(draught.due_at, max(leads))
        if draught.immediate:
            now = True
        elif first <= datetime.now(first.tzinfo) + timedelta(seconds=context.settings.delay.horizon):
            slots.add(slot_end(first, timedelta(seconds=context.settings.delay.slot)))
    if now:
        context.dispatcher.now()
    if slots:
        context.dispatcher.slots(sorted(slots))
