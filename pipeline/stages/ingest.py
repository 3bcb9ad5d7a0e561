"""Taking a post: every rule that needs accounts, clock or media, then one commit. It *is* the request.

Leaves deliveries scheduled when every check is decided good, else accepted. A crash before the commit leaves nothing;
one between commit and answer is healed by the client's repeat, which finds the post by its token.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import MediaFacts, Platform, ResolvesMusic, Track
from pipeline.core import Core
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import State
from pipeline.domain.post import PostStatus
from pipeline.domain.schedule import IMMEDIATE, is_immediate, next_at, slot_end
from pipeline.failpoint import failpoint
from pipeline.queues import REACHABILITY
from pipeline.stages.drafts import urls_of
from pipeline.stages.fitting import Content, misfits
from pipeline.stages.request import Accepted, PostRequest, Refusal, Warned
from pipeline.stages.warnings import warnings_for
from pipeline.store import checks as check_store
from pipeline.store import posts as store
from pipeline.store.accounts import AccountRow, find_accounts
from pipeline.store.checks import Check, Purpose, fingerprint
from pipeline.store.database import new_id
from pipeline.store.keys import Caller
from pipeline.store.reading import database_now

MUSIC = -1
"""The position of the music link among a post's checks."""
GLANCE = 0.05
"""Seconds between two glances at open checks while a request waits."""


@dataclass(kw_only=True, slots=True)
class _Draught:
    """A request on its way through the rules."""

    caller: Caller
    request: PostRequest
    accounts: Sequence[AccountRow]
    due_at: datetime
    immediate: bool
    token: str | None
    music_link: str | None
    checks: Mapping[int, Check]


def accept(core: Core, caller: Caller, request: PostRequest) -> Accepted:
    """Stores the post, or finds the one an equal request made. Raises Refusal (nothing stored) and Unreachable."""
    with core.database.begin() as c:
        draught = _draught(core, c, caller, request)
        if isinstance(draught, Accepted):
            return draught
    _fit(core, draught, draught.checks)
    undecided = [check.id for check in draught.checks.values() if check.verdict is None]
    if undecided:
        draught.checks = _wait(core, draught, undecided)
        _refuse_unreachable(draught)
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
    accounts = _accounts(c, caller, request)
    due_at = _due_at(request, now)
    if request.expires_at is not None and request.expires_at <= now:
        raise _invalid("expires_at", f"expires_at {request.expires_at.isoformat()} has passed (now {now.isoformat()}).")
    _refuse_mixed(core, request, accounts)
    draught = _Draught(
        caller=caller, request=request, accounts=accounts, due_at=due_at,
        immediate=is_immediate(request.scheduled_at, now), token=token, music_link=None, checks={},
    )  # fmt: skip
    _fit(core, draught, {})  # whatever is wrong whatever the media are, before anybody fetches them
    draught.music_link = _music_link(core, request)
    draught.checks = {
        position: _check(core, c, caller, purpose, url)
        # in URL order: two requests with the same new URLs in another order would wait for each other for ever
        for position, purpose, url in sorted(_links(draught), key=lambda x: (fingerprint(x[2]), x[1]))
    }
    return draught


def _check(core: Core, c: Connection, caller: Caller, purpose: Purpose, url: str) -> Check:
    fresh = timedelta(seconds=core.settings.reachability.fresh)
    found = check_store.fresh_good(c, caller.workspace_id, purpose, url, fresh)
    return found or check_store.open_check(c, caller.workspace_id, purpose, url)


def _links(draught: _Draught) -> list[tuple[int, Purpose, str]]:
    purpose: Purpose = "video" if draught.request.media["type"] == "video" else "image"
    links: list[tuple[int, Purpose, str]] = [
        (n, purpose, url) for n, url in enumerate(urls_of(draught.request.media))
    ]
    return links + ([(MUSIC, "music", draught.music_link)] if draught.music_link else [])


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


def _accounts(c: Connection, caller: Caller, request: PostRequest) -> Sequence[AccountRow]:
    found = {a.id: a for a in find_accounts(c, caller.workspace_id, request.account_ids)}
    bad = [i for i in request.account_ids if i not in found or found[i].status is AccountStatus.INACTIVE]
    if bad:
        names = ", ".join(map(str, bad))
        raise Refusal(400, "unknown_accounts", f"These accounts are not yours or not active: {names}.")
    if not request.account_ids:
        raise Refusal(400, "missing_accounts", "accounts is empty: name at least one account.")
    return [found[i] for i in request.account_ids]


def _due_at(request: PostRequest, now: datetime) -> datetime:
    if is_immediate(request.scheduled_at, now) or request.scheduled_at is None:
        return now
    if request.scheduled_at < now:
        raise Refusal(
            400, "validation_failed",
            f"scheduled_at {request.scheduled_at.isoformat()} is in the past (now {now.isoformat()}). "
            "Leave it out to publish at once.",
        )  # fmt: skip
    return request.scheduled_at


def _refuse_mixed(core: Core, request: PostRequest, accounts: Sequence[AccountRow]) -> None:
    """Rules between the request's sections and the platforms of its accounts."""
    others = [a for a in accounts if a.platform is not Platform.TIKTOK]
    for field, value in (("tiktok", request.tiktok), ("music_url", request.music_url)):
        if others and value is not None:
            name = _name(others[0])
            raise _invalid(field, f"{field} may only be sent when all accounts are TikTok; {name} is not.")
    if request.pinterest is not None and all(a.platform is not Platform.PINTEREST for a in accounts):
        raise _invalid(
            "pinterest", "pinterest may only be sent when at least one account is Pinterest; none is."
        )
    if missing := [a for a in accounts if a.platform not in core.adapters]:
        raise _invalid(
            "accounts", f"Publishing to {missing[0].platform} is not built yet ({_name(missing[0])})."
        )


def _music_link(core: Core, request: PostRequest) -> str | None:
    if request.music_url is None:
        return None
    adapter = core.adapter(Platform.TIKTOK, core.client())
    link = adapter.music_link(request.music_url) if isinstance(adapter, ResolvesMusic) else None
    if link is None:
        raise Refusal(
            400, "invalid_music_url",
            f"music_url {request.music_url!r} is not the link of a TikTok post "
            "(https://www.tiktok.com/@name/video/1234567890).",
        )  # fmt: skip
    return link


def _fit(core: Core, draught: _Draught, checks: Mapping[int, Check]) -> None:
    found = misfits(core, content_of(draught.request), draught.accounts, facts_of(checks), track_of(checks))
    refused = [m for m in found if m.problem.severity == "refuse"]
    if core.settings.ingest.music_required:
        refused += [m for m in found if m.problem.code.startswith("MUSIC_")]
    if refused:
        raise Refusal(400, "validation_failed", " ".join(m.sentence for m in refused))


def _wait(core: Core, draught: _Draught, undecided: list[UUID]) -> Mapping[int, Check]:
    """Rings for the open checks and waits a little, holding no connection; nobody to wait for, no waiting."""
    checks = draught.checks
    if not core.doorbell.checks(undecided) or not core.pulse.alive(REACHABILITY):
        return checks
    until = time.monotonic() + core.settings.reachability.wait
    while time.monotonic() < until and any(_open(check) for check in checks.values()):
        time.sleep(GLANCE)  # a glance, not a synchronisation: what decides is the committed verdict
        with core.database.begin() as c:
            now = check_store.read_checks(c, [check.id for check in checks.values()])
        checks = {position: now[check.id] for position, check in checks.items()}
    return checks


def _open(check: Check) -> bool:
    """Neither decided, nor tried in vain."""
    return check.verdict is None and check.seen is None


def _refuse_unreachable(draught: _Draught) -> None:
    """Refused or tried in vain: 400 and nothing stored. A music resolver that did not answer only warns."""
    for position, check in sorted(draught.checks.items()):
        if check.verdict == "refused":
            raise _unreachable(position, check)
    for position, check in sorted(draught.checks.items()):
        if position != MUSIC and (check.verdict == "unanswered" or (check.verdict is None and check.seen)):
            raise _unreachable(position, check)


def _unreachable(position: int, check: Check) -> Refusal:
    if position == MUSIC:
        return Refusal(400, "invalid_music_url", f"music_url {check.url}: {check.seen}")
    return Refusal(
        400, "media_unreachable", f"media URL {position} ({check.url}) cannot be used: {check.seen}."
    )


def _store(core: Core, draught: _Draught) -> Accepted:
    """The one commit. The checks still open are locked in URL order: no verdict lands between reading and storing."""
    with core.database.begin() as c:
        draught.checks = _locked(c, draught)
        _refuse_unreachable(draught)
        _fit(core, draught, draught.checks)
        good = all(check.verdict == "good" for check in draught.checks.values())
        post = _new_post(core, draught, State.SCHEDULED if good else State.ACCEPTED)
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


def _locked(c: Connection, draught: _Draught) -> Mapping[int, Check]:
    undecided = [check.id for check in draught.checks.values() if check.verdict is None]
    if not undecided:
        return draught.checks
    now = check_store.read_checks(c, undecided, lock=True)
    return {position: now.get(check.id, check) for position, check in draught.checks.items()}


def _new_post(core: Core, draught: _Draught, state: State) -> store.NewPost:
    r = draught.request
    return store.NewPost(
        id=new_id(), workspace_id=draught.caller.workspace_id, key_id=draught.caller.key_id, caption=r.caption,
        media=r.media, music_url=r.music_url, tiktok=r.tiktok, pinterest=r.pinterest, due_at=draught.due_at,
        expires_at=r.expires_at, on_late=r.on_late, external_id=r.external_id, replay_token=draught.token,
        body_sha256=r.body_sha256, checks={n: check.id for n, check in draught.checks.items()},
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


def facts_of(checks: Mapping[int, Check]) -> dict[int, MediaFacts | None]:
    """What the checks saw of the media, by position."""
    return {position: check.media_facts for position, check in checks.items() if position != MUSIC}


def track_of(checks: Mapping[int, Check]) -> Track | None:
    """The sound behind the music link, once resolved."""
    return checks[MUSIC].track if MUSIC in checks else None


def _invalid(field: str, message: str) -> Refusal:
    return Refusal(400, "validation_failed", message, ({"path": field, "message": message, "type": "rule"},))


def _name(account: AccountRow) -> str:
    return f"{account.platform} account {account.username} ({account.id})"


__all__ = ["Accepted", "PostRequest", "Refusal", "Warned", "accept"]
