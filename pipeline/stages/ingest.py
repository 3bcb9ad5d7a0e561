"""Taking a post: every rule that needs accounts, clock or media, then one commit. It *is* the request.

Leaves deliveries scheduled when every check is decided good, else accepted. A crash before the commit leaves nothing;
one between commit and answer is healed by the client's repeat, which finds the post by its token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pipeline.core import Core
from pipeline.domain.delivery import State
from pipeline.domain.post import PostStatus
from pipeline.domain.schedule import IMMEDIATE, is_immediate, next_at, slot_end
from pipeline.failpoint import failpoint
from pipeline.stages import links, rules
from pipeline.stages.fitting import Content
from pipeline.stages.request import Accepted, PostRequest, Refusal, Warned
from pipeline.stages.warnings import warnings_for
from pipeline.store import posts as store
from pipeline.store.accounts import AccountRow
from pipeline.store.checks import Check
from pipeline.store.database import new_id
from pipeline.store.keys import Caller
from pipeline.store.reading import database_now


@dataclass(kw_only=True, slots=True)
class _Draught:
    """A request on its way through the rules."""

    caller: Caller
    request: PostRequest
    accounts: Sequence[AccountRow]
    due_at: datetime
    immediate: bool
    token: str | None
    checks: Mapping[int, Check]


def accept(core: Core, caller: Caller, request: PostRequest) -> Accepted:
    """Stores the post, or finds the one an equal request made. Raises Refusal (nothing stored) and Unreachable."""
    with core.database.begin() as c:
        draught = _draught(core, c, caller, request)
        if isinstance(draught, Accepted):
            return draught
    _fit(core, draught, draught.checks)
    if links.undecided(draught.checks):
        draught.checks = links.wait_for(core, draught.checks)
        links.refuse_unreachable(draught.checks)
        _fit(core, draught, draught.checks)
    accepted = _store(core, draught)
    failpoint("ingest.committed")
    _ring(core, draught)
    return accepted


def _draught(core: Core, c: Connection, caller: Caller, request: PostRequest) -> _Draught | Accepted:
    """Replay, then accounts, then clock and music: the order of the contract; opens the checks that are needed."""
    now = database_now(c)
    token = _token(core, request)
    if found := _replay(core, c, caller, request, token):
        return found
    accounts = rules.accounts_of(c, caller, request.account_ids)
    due_at = rules.due_at_of(request.scheduled_at, now)
    rules.refuse_expired(request.expires_at, now)
    rules.refuse_mixed(core, content_of(request), accounts)
    draught = _Draught(
        caller=caller, request=request, accounts=accounts, due_at=due_at,
        immediate=is_immediate(request.scheduled_at, now), token=token, checks={},
    )  # fmt: skip
    _fit(core, draught, {})  # whatever is wrong whatever the media are, before anybody fetches them
    wanted = links.links_of(request.media, rules.music_link_of(core, request.music_url))
    draught.checks = links.open_checks(core, c, caller.workspace_id, wanted)
    return draught


def replay_of(core: Core, c: Connection, caller: Caller, request: PostRequest) -> Accepted | None:
    """The post an equal request made before. Raises Refusal when its external_id was used for another body."""
    return _replay(core, c, caller, request, _token(core, request))


def _token(core: Core, request: PostRequest) -> str | None:
    if request.external_id is not None:
        return f"id:{request.external_id}"
    return f"body:{request.body_sha256.hex()}" if core.settings.ingest.dedupe_window else None


def _replay(
    core: Core, c: Connection, caller: Caller, request: PostRequest, token: str | None
) -> Accepted | None:
    """A repeat gets the original post, whatever has passed since; the same id with another body is refused."""
    if token is None:
        return None
    window = timedelta(seconds=core.settings.ingest.dedupe_window)
    found = store.find_replay(c, caller.workspace_id, token, request.body_sha256, window)
    if found is None:
        return None
    if not found.same_body:
        raise Refusal(
            409, "create_failed",
            f"external_id {request.external_id!r} was used for a post with another body ({found.post_id}).",
        )  # fmt: skip
    immediate = found.due_at - found.created_at <= IMMEDIATE
    return Accepted(
        id=found.post_id, scheduled_at=found.due_at, duplicate=True,
        status=PostStatus.PENDING if immediate else PostStatus.SCHEDULED,
    )  # fmt: skip


def _fit(core: Core, draught: _Draught, checks: Mapping[int, Check]) -> None:
    rules.refuse_misfits(core, content_of(draught.request), draught.accounts, checks)


def _store(core: Core, draught: _Draught) -> Accepted:
    """The one commit. The checks still open are locked in URL order: no verdict lands between reading and storing."""
    with core.database.begin() as c:
        draught.checks = links.locked(c, draught.caller.workspace_id, draught.checks)
        links.refuse_unreachable(draught.checks)
        _fit(core, draught, draught.checks)
        state = State.SCHEDULED if links.all_good(draught.checks) else State.ACCEPTED
        post = _new_post(core, draught, state)
        if not store.take_token(c, post, timedelta(seconds=core.settings.ingest.dedupe_window)):
            winner = _replay(core, c, draught.caller, draught.request, draught.token)
            if winner is None:
                raise Refusal(500, "create_failed", "An equal request was being stored. Repeat it.")
            return winner
        store.insert_posts(c, [post])
        warnings = warnings_for(
            core, c, content_of(draught.request), draught.accounts, post.due_at, draught.checks
        )
    status = PostStatus.PENDING if draught.immediate else PostStatus.SCHEDULED
    return Accepted(id=post.id, status=status, scheduled_at=post.due_at, warnings=warnings)


def _new_post(core: Core, draught: _Draught, state: State) -> store.NewPost:
    r = draught.request
    return store.NewPost(
        id=new_id(), workspace_id=draught.caller.workspace_id, key_id=draught.caller.key_id, caption=r.caption,
        media=r.media, music_url=r.music_url, tiktok=r.tiktok, pinterest=r.pinterest, due_at=draught.due_at,
        expires_at=r.expires_at, on_late=r.on_late, external_id=r.external_id, replay_token=draught.token,
        body_sha256=r.body_sha256, checks=links.pins_of(draught.checks),
        deliveries=[
            store.NewDelivery(
                id=new_id(), account_id=a.id, platform=a.platform, state=state,
                next_at=next_at(draught.due_at, core.adapters[a.platform].capabilities.prepare_lead),
            )
            for a in draught.accounts
        ],
    )  # fmt: skip


def _ring(core: Core, draught: _Draught) -> None:
    """After the commit. A ring that fails costs a second: the sweep rings again."""
    leads = [core.adapters[a.platform].capabilities.prepare_lead for a in draught.accounts]
    first = next_at(draught.due_at, max(leads))
    soon = datetime.now(first.tzinfo) + timedelta(seconds=core.settings.delay.horizon)
    if draught.immediate:
        core.doorbell.now()
    elif first <= soon:
        core.doorbell.slots([slot_end(first, timedelta(seconds=core.settings.delay.slot))])


def content_of(r: PostRequest) -> Content:
    """What the request says, without its accounts."""
    return Content(
        caption=r.caption, media=r.media, music_url=r.music_url, tiktok=r.tiktok, pinterest=r.pinterest
    )


__all__ = ["Accepted", "PostRequest", "Refusal", "Warned", "accept"]
