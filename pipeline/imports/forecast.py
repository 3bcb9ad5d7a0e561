"""The forecast of a plan: what its rows add to each account and day, how much of it fits, and what is in conflict.

A conflict rejects no row: the posts go out later than planned, or need an operator in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.runtime.context import Context
from pipeline.stages.platform_limits import find_daily_quota, list_draft_options, name_counted
from pipeline.stages.warnings import get_grant_end, warn_of_expiring_grant
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import AccountDay, Import

MAX_DAYS = 1_000
"""Days of accounts in one forecast."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DayForecast:
    """The posts, or the inbox drafts, of one account on one day."""

    account: AccountRow
    day: date
    drafts: bool
    posts: int
    before: int
    fits: int
    """The number of ``posts`` within the daily quota of the platform."""
    last_at: datetime
    """When the last of them goes out, at the earliest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """An obstacle between an account's posts and their times. ``posts``: how many of the import it concerns."""

    kind: str
    """quota · pace · grant · content."""
    account: AccountRow
    posts: int
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """Days in order; conflicts by account. ``is_cut``: there are more days."""

    days: Sequence[DayForecast]
    conflicts: Sequence[Conflict]
    is_cut: bool


def forecast(context: Context, c: Connection, job: Import) -> Forecast:
    """Return the forecast of the rows of an import that are not applied yet."""
    accounts = {a.id: a for a in find_accounts(c, job.workspace_id, store.list_accounts(c, job.id))}
    found = store.list_days(c, job.id, list_draft_options(context), MAX_DAYS + 1)
    days = [_fit(context, accounts[day.account], day) for day in found[:MAX_DAYS]]
    conflicts = [
        *_find_full_days(days),
        *_find_fast(context, c, job, accounts),
        *_find_ending_grants(c, job, accounts),
        *_find_same(c, job, accounts),
    ]
    return Forecast(days=days, conflicts=conflicts, is_cut=len(found) > MAX_DAYS)


def _fit(context: Context, account: AccountRow, day: AccountDay) -> DayForecast:
    quota = find_daily_quota(context, account.platform, drafts=day.drafts)
    fits, last_at = day.posts, day.last_due
    if quota is not None and day.before + day.posts > quota.allowed:
        fits = max(0, quota.allowed - day.before)
        full_days = (day.before + day.posts - 1) // quota.allowed
        start = datetime.combine(day.day, time(), day.last_due.tzinfo)
        last_at = max(day.last_due, start + timedelta(days=full_days))
    return DayForecast(
        account=account,
        day=day.day,
        drafts=day.drafts,
        posts=day.posts,
        before=day.before,
        fits=fits,
        last_at=last_at,
    )


def _find_full_days(days: Sequence[DayForecast]) -> Iterator[Conflict]:
    full: dict[tuple[UUID, bool], list[DayForecast]] = {}
    for day in days:
        if day.fits < day.posts:
            full.setdefault((day.account.id, day.drafts), []).append(day)
    for found in full.values():
        over, first = sum(day.posts - day.fits for day in found), found[0]
        message = (
            f"On {len(found)} days there are more {name_counted(drafts=first.drafts)} than the platform takes in a "
            f"day, first on {first.day}: {first.before + first.posts} where {first.before + first.fits} fit. "
            "They go out later."
        )
        yield Conflict(kind="quota", account=first.account, posts=over, message=message)


def _find_fast(
    context: Context, c: Connection, job: Import, accounts: Mapping[UUID, AccountRow]
) -> Iterator[Conflict]:
    paces = {
        account.id: (rate.count, rate.per)
        for account in accounts.values()
        for rate in context.adapters[account.platform].capabilities.rates
        if rate.step == "finalize"
    }
    for identity, posts in store.count_fast(c, job.id, paces).items():
        count, per = paces[identity]
        message = f"The platform takes {count} posts in {per.total_seconds():g} s: these go out later."
        yield Conflict(kind="pace", account=accounts[identity], posts=posts, message=message)


def _find_ending_grants(
    c: Connection, job: Import, accounts: Mapping[UUID, AccountRow]
) -> Iterator[Conflict]:
    ends = {identity: end for identity, a in accounts.items() if (end := get_grant_end(a)) is not None}
    for identity, (posts, first) in store.count_after(c, job.id, ends).items():
        for warning in warn_of_expiring_grant(accounts[identity], first):
            yield Conflict(kind="grant", account=accounts[identity], posts=posts, message=warning.message)


def _find_same(c: Connection, job: Import, accounts: Mapping[UUID, AccountRow]) -> Iterator[Conflict]:
    for identity, posts in store.count_same(c, job.id).items():
        message = "The account has, or gets by this file, another post with the same caption and media."
        yield Conflict(kind="content", account=accounts[identity], posts=posts, message=message)
