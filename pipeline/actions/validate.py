"""Validate a post request by every rule at once without storing the post: all refusals, and all warnings.

Its media are checked like those of a new post; the checks are stored, so the post itself can use them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.account import AccountStatus
from pipeline.domain.post import find_form, find_kind, is_immediate
from pipeline.runtime.context import Context
from pipeline.stages import media_checks
from pipeline.stages import post_rules as rules
from pipeline.stages.drafts import list_urls
from pipeline.stages.mandate import find_earliest, find_excess
from pipeline.stages.new_post import Submission
from pipeline.stages.platform_limits import is_inbox_draft
from pipeline.stages.post_request import AcceptanceWarning, PostContent, PostRequest, Refusal
from pipeline.stages.post_rules import find_problems
from pipeline.stages.posting_times import LOOK_BACK, find_times, set_times
from pipeline.stages.replay import find_replay
from pipeline.stages.warnings import place, warn_of_account, warn_of_checks, warn_of_stored
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.accounts.posting_times import list_taken
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries.ownership import restrict_accounts
from pipeline.store.health import database_now

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestFinding:
    """One refusal or warning. ``account`` None: it concerns the whole request."""

    code: str
    """An error code of the contract, or a warning's code."""
    message: str
    field: str
    account: AccountRow | None = None
    limit: str | float | None = None
    found: str | float | None = None


@dataclass(kw_only=True, slots=True)
class ValidationResult:
    """How a request was understood, and whether it would be accepted."""

    accounts: Sequence[AccountRow] = ()
    kinds: Sequence[str | None] = ()
    """The post kind at each of the accounts."""
    due_at: datetime | None = None
    """The earliest time. None: a requested time is refused."""
    dues: Mapping[UUID, datetime] = field(default_factory=dict)
    """By account."""
    immediate: bool = False
    earlier: UUID | None = None
    """The post that an equal request made."""
    edited: UUID | None = None
    """The post that becomes as the request says."""
    refused: list[RequestFinding] = field(default_factory=list)
    warnings: list[RequestFinding] = field(default_factory=list)


def validate(
    context: Context, caller: Caller, request: PostRequest, edited: UUID | None = None
) -> ValidationResult:
    """Find everything that is wrong, where a new post stops at the first. Raises Unreachable.

    *edited*: the post that becomes as the request says; it is no neighbour and no repetition of itself.
    """
    result = ValidationResult(edited=edited)
    with context.database.begin() as c:
        _apply_rules(context, c, caller, request, result)
        music = _collect(result, "music_url", lambda: rules.parse_music_link(context, request.music_url))
        links = media_checks.list_links(request.media, music, request.own.values())
        foreign = dict(media_checks.find_files_of_others(context, c, caller, links))
        links = [link for link in links if link[0] not in foreign]
        checks: Mapping[int, Check] = media_checks.open_checks(context, c, caller.workspace_id, links)
    if media_checks.list_undecided(checks):
        checks = media_checks.await_checks(context, checks, bulk=caller.bulk)
    result.refused += [
        _from_refusal(r, media_checks.name_field(request, n))
        for n, r in (*foreign.items(), *media_checks.find_unreachable(checks))
    ]
    _evaluate(context, caller, request, result, checks)
    with context.database.begin() as c:
        result.warnings += [
            RequestFinding(code=w.code, message=w.message, field=w.field, account=account)
            for account, w in _find_warnings(context, c, caller, request, result, checks)
        ]
    return result


def _apply_rules(
    context: Context, c: Connection, caller: Caller, request: PostRequest, result: ValidationResult
) -> None:
    now = database_now(c)
    earlier = _collect(
        result, "external_id", lambda: find_replay(context, c, Submission(caller=caller, request=request))
    )
    if earlier is not None and earlier.id != result.edited:
        result.earlier = earlier.id
        message = f"An equal request was accepted before; a repetition returns its post, {earlier.id}."
        result.warnings.append(RequestFinding(code="DUPLICATE", message=message, field="external_id"))
    _collect(result, "accounts", lambda: rules.select_accounts(c, caller, request.account_ids))
    usable = find_accounts(c, caller.workspace_id, restrict_accounts(request.account_ids, caller.accounts))
    order = {identity: n for n, identity in enumerate(request.account_ids)}
    result.accounts = sorted(
        (a for a in usable if a.status is not AccountStatus.INACTIVE), key=lambda a: order[a.id]
    )
    result.kinds = [find_post_kind(context, request.for_account(a.id), a.platform) for a in result.accounts]
    _collect(result, "scheduled_at", lambda: _resolve_times(c, caller, request, now, result))
    asked = result.due_at or request.scheduled_at
    result.immediate = is_immediate(asked, now)
    _collect(result, "expires_at", lambda: rules.refuse_expired(request.expires_at, now))
    result.refused += [
        _from_refusal(r) for r in rules.find_account_conflicts(context, request, result.accounts)
    ]


def _resolve_times(
    c: Connection, caller: Caller, request: PostRequest, now: datetime, result: ValidationResult
) -> None:
    """Resolve the times as of now: a posting time that is free may be taken before the post is sent."""
    known = {account.id: account for account in result.accounts}
    asked = {i: auto for i, auto in request.autos.items() if i in known}
    if asked:
        taken = dict(list_taken(c, list(asked), now - LOOK_BACK))
        request = set_times(
            request, find_times(asked, known, caller.time_zone, taken, find_earliest(caller, now))
        )
    due_at = rules.resolve_due_at(request.scheduled_at, now)
    result.dues = rules.resolve_own_times(request, request.account_ids, due_at, now)
    result.due_at = min(result.dues.values(), default=due_at)
    known_dues = {i: result.dues[i] for i in known if i in result.dues}
    result.refused += [_from_refusal(r) for r in find_excess(caller.limits, request, known_dues, now)]


def _evaluate(
    context: Context,
    caller: Caller,
    request: PostRequest,
    result: ValidationResult,
    checks: Mapping[int, Check],
) -> None:
    built = [a for a in result.accounts if a.platform in context.adapters]
    for found in find_problems(context, request, built, checks):
        p, is_blocking = found.problem, rules.is_blocking(context, caller, found)
        (result.refused if is_blocking else result.warnings).append(
            RequestFinding(
                code="validation_failed" if is_blocking else p.code,
                message=p.message,
                field=p.field,
                account=found.account,
                limit=p.limit,
                found=p.found,
            )
        )


def _find_warnings(
    context: Context,
    c: Connection,
    caller: Caller,
    request: PostRequest,
    result: ValidationResult,
    checks: Mapping[int, Check],
) -> Iterator[tuple[AccountRow | None, AcceptanceWarning]]:
    """Find the warnings, each with the account that it is about."""
    yield from ((None, w) for w in warn_of_checks(request, checks))
    for account in result.accounts:
        if account.id in result.dues and account.platform in context.adapters:
            due_at, options = result.dues[account.id], request.for_account(account.id).options
            found = warn_of_account(context, c, account, due_at, options, unstored=1)
            yield from ((account, w) for w in found)
    placed = place(result.edited or result.earlier, request, result.accounts, result.dues)
    for one, w in warn_of_stored(c, placed, named=caller.accounts is None):
        yield one.account, w


def _collect(result: ValidationResult, where: str, ask: Callable[[], T]) -> T | None:
    """Return a rule's result; keep its refusal instead of raising it."""
    try:
        return ask()
    except Refusal as refusal:
        result.refused.append(_from_refusal(refusal, where))
        return None


def _from_refusal(refusal: Refusal, where: str = "") -> RequestFinding:
    path = next((str(issue["path"]) for issue in refusal.issues), where)
    return RequestFinding(code=refusal.code, message=refusal.message, field=path)


def find_post_kind(context: Context, content: PostContent, platform: Platform) -> str | None:
    """Return the kind of post, in the platform's words, that one account makes of its content; None: it takes none."""
    adapter = context.adapters.get(platform)
    if adapter is None:
        return None
    section = content.options.get(platform) or {}
    asked = adapter.post_options.find_kind(section) if adapter.post_options else None
    form = find_form(content.media["type"], len(list_urls(content.media)))
    is_draft = is_inbox_draft(adapter, section)
    return find_kind(adapter.capabilities, form, is_inbox_draft=is_draft, asked=asked)
