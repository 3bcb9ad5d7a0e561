"""A request held to every rule at once, and nothing stored of it: all that would be refused, all that would be warned.

Its media are looked at as those of a new post are, so that what they are is known; those looks are kept like any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from pipeline.context import Context
from pipeline.domain.account import AccountStatus
from pipeline.domain.post_kind import find_form, find_kind
from pipeline.domain.schedule import is_immediate
from pipeline.stages import media_checks as links
from pipeline.stages import post_rules as rules
from pipeline.stages.drafts import urls_of
from pipeline.stages.ingest import find_replay
from pipeline.stages.new_post import Submission
from pipeline.stages.platform_validation import Misfit, misfits
from pipeline.stages.post_request import PostRequest, Refusal
from pipeline.stages.warnings import of_account, of_checks
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries.ownership import restrict_accounts
from pipeline.store.health import database_now

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing. ``account`` None: it concerns the whole request."""

    code: str
    """The contract's error code, or the warning's."""
    message: str
    field: str
    account: AccountRow | None = None
    limit: str | float | None = None
    found: str | float | None = None


@dataclass(kw_only=True, slots=True)
class Validated:
    """How a request was understood, and what would become of it."""

    accounts: Sequence[AccountRow] = ()
    kinds: Sequence[str | None] = ()
    """What it becomes at each of the accounts."""
    due_at: datetime | None = None
    """None: the time asked for is impossible."""
    immediate: bool = False
    refused: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


def validate(context: Context, caller: Caller, request: PostRequest) -> Validated:
    """Everything at once, where a new post stops at the first. Raises Unreachable."""
    told = Validated()
    with context.database.begin() as c:
        _ask_rules(context, c, caller, request, told)
        music = _collect(told, "music_url", lambda: rules.music_link_of(context, request.music_url))
        wanted = links.links_of(request.media, music)
        checks: Mapping[int, Check] = links.open_checks(context, c, caller.workspace_id, wanted)
    if links.undecided(checks):
        checks = links.wait_for(context, checks, bulk=caller.bulk)
    told.refused += [_of_refusal(r, _where(request, n)) for n, r in links.unreachable(checks)]
    _judge(context, request, told, checks)
    with context.database.begin() as c:
        _warn(context, c, request, told, checks)
    return told


def _ask_rules(
    context: Context, c: Connection, caller: Caller, request: PostRequest, told: Validated
) -> None:
    now = database_now(c)
    earlier = _collect(
        told, "external_id", lambda: find_replay(context, c, Submission(caller=caller, request=request))
    )
    if earlier is not None:
        said = f"An equal request was taken before: it would be answered with its post, {earlier.id}."
        told.warnings.append(Finding(code="DUPLICATE", message=said, field="external_id"))
    _collect(told, "accounts", lambda: rules.accounts_of(c, caller, request.account_ids))
    usable = find_accounts(c, caller.workspace_id, restrict_accounts(request.account_ids, caller.accounts))
    order = {identity: n for n, identity in enumerate(request.account_ids)}
    told.accounts = sorted(
        (a for a in usable if a.status is not AccountStatus.INACTIVE), key=lambda a: order[a.id]
    )
    told.kinds = [_kind(context, request, a) for a in told.accounts]
    told.due_at = _collect(told, "scheduled_at", lambda: rules.due_at_of(request.scheduled_at, now))
    told.immediate = is_immediate(request.scheduled_at, now)
    _collect(told, "expires_at", lambda: rules.refuse_expired(request.expires_at, now))
    told.refused += [_of_refusal(r) for r in rules.mixed(context, request, told.accounts)]


def _judge(context: Context, request: PostRequest, told: Validated, checks: Mapping[int, Check]) -> None:
    built = [a for a in told.accounts if a.platform in context.adapters]
    facts, track = links.facts_of(checks), links.track_of(checks)
    for misfit in misfits(context, request, built, facts, track):
        (told.refused if rules.refuses(context, misfit) else told.warnings).append(_of_misfit(misfit))


def _warn(
    context: Context, c: Connection, request: PostRequest, told: Validated, checks: Mapping[int, Check]
) -> None:
    told.warnings += [
        Finding(code=w.code, message=w.message, field=w.field) for w in of_checks(request, checks)
    ]
    for account in told.accounts:
        if told.due_at is not None and account.platform in context.adapters:
            told.warnings += [
                Finding(code=w.code, message=w.message, field=w.field, account=account)
                for w in of_account(context, c, account, told.due_at, unstored=1)
            ]


def _collect(told: Validated, where: str, ask: Callable[[], T]) -> T | None:
    """What a rule answers; its refusal is kept instead of raised."""
    try:
        return ask()
    except Refusal as refusal:
        told.refused.append(_of_refusal(refusal, where))
        return None


def _of_refusal(refusal: Refusal, where: str = "") -> Finding:
    path = next((str(issue["path"]) for issue in refusal.issues), where)
    return Finding(code=refusal.code, message=refusal.message, field=path)


def _of_misfit(misfit: Misfit) -> Finding:
    p = misfit.problem
    return Finding(
        code="validation_failed" if p.severity == "refuse" else p.code,
        message=p.message,
        field=p.field,
        account=misfit.account,
        limit=p.limit,
        found=p.found,
    )


def _where(request: PostRequest, position: int) -> str:
    """The field of a link."""
    if position == links.MUSIC:
        return "music_url"
    return "media.url" if request.media["type"] == "video" else f"media.urls[{position}]"


def _kind(context: Context, request: PostRequest, account: AccountRow) -> str | None:
    adapter = context.adapters.get(account.platform)
    if adapter is None:
        return None
    options = request.options.get(account.platform)
    is_draft = bool(options and adapter.post_options and adapter.post_options.is_inbox_draft(options))
    form = find_form(request.media["type"], len(urls_of(request.media)))
    return find_kind(adapter.capabilities, form, is_inbox_draft=is_draft)
