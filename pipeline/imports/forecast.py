"""The forecast of a plan: what its rows add to each account and day, when they go out, and what is in conflict.

A conflict rejects no row: the posts go out later than planned, or need an operator in time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.forecast import AccountForecast, forecast_releases, summarize
from pipeline.domain.release_forecast import Release, Why
from pipeline.runtime.context import Context
from pipeline.stages.platform_limits import find_daily_quota, list_draft_options, name_counted
from pipeline.stages.warnings import get_grant_end, warn_of_expiring_grant
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.auth.keys import read_caller
from pipeline.store.deliveries.to_release import list_sent
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import

MAX_DAYS = 1_000
"""Days of accounts in one forecast."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DayForecast:
    """The posts, or the inbox drafts, of one account that are due on one day."""

    account: AccountRow
    day: date
    drafts: bool
    posts: int
    before: int
    fits: int
    """The number of ``posts`` that go out on time."""
    last_at: datetime | None
    """When the last of them goes out; None if all are held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """An obstacle between an account's posts and their times. ``posts``: how many of the import it concerns."""

    kind: str
    """quota · pace · pause · approval · grant · content."""
    account: AccountRow
    posts: int
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """Accounts, those with late posts first; days in order; conflicts by account. ``is_cut``: there are more days."""

    accounts: Sequence[AccountForecast]
    days: Sequence[DayForecast]
    conflicts: Sequence[Conflict]
    is_cut: bool


def forecast(context: Context, c: Connection, job: Import, zone: tzinfo = UTC) -> Forecast:
    """Return the forecast of the rows of an import that are not applied yet. *zone*: where its days begin and end."""
    new = store.list_new(c, job.id, list_draft_options(context))
    caller = read_caller(c, job.workspace_id, job.key_id)
    if caller is not None and caller.needs_approval:
        new = [one._replace(hold=one.hold or "approval") for one in new]
    ids = sorted({one.account for one in new})
    accounts = {account.id: account for account in find_accounts(c, job.workspace_id, ids)}
    releases = forecast_releases(context, c, accounts.values(), new)
    mine = [one for one in releases if one.waiting.is_new]
    days = [*_list_days(c, accounts, releases, zone)]
    conflicts = [
        *_find_late(context, accounts, mine),
        *_find_ending_grants(c, job, accounts),
        *_find_same(c, job, accounts),
    ]
    return Forecast(
        accounts=[*summarize(accounts, mine)],
        days=days[:MAX_DAYS],
        conflicts=conflicts,
        is_cut=len(days) > MAX_DAYS,
    )


def _list_days(
    c: Connection, accounts: Mapping[UUID, AccountRow], releases: Sequence[Release], zone: tzinfo
) -> Iterator[DayForecast]:
    """Yield the days on which the import adds posts, with what is planned or was sent on each already."""
    before = Counter(
        (one.at.astimezone(zone).date(), one.account, one.drafts) for one in list_sent(c, accounts, ())
    )
    found: dict[tuple[date, UUID, bool], list[Release]] = defaultdict(list)
    for one in releases:
        key = (one.waiting.due.astimezone(zone).date(), one.waiting.account, one.waiting.drafts)
        if one.waiting.is_new:
            found[key].append(one)
        else:
            before[key] += 1
    for key in sorted(found, key=lambda key: (key[0], str(key[1]), key[2])):
        day, account, drafts = key
        times = [one.at for one in found[key] if one.at is not None]
        yield DayForecast(
            account=accounts[account],
            day=day,
            drafts=drafts,
            posts=len(found[key]),
            before=before[key],
            fits=len(times) - sum(one.is_late for one in found[key]),
            last_at=max(times, default=None),
        )


def _find_late(
    context: Context, accounts: Mapping[UUID, AccountRow], releases: Sequence[Release]
) -> Iterator[Conflict]:
    late: dict[tuple[UUID, bool, Why], list[Release]] = defaultdict(list)
    for one in releases:
        if one.why and (one.at is None or one.is_late):
            late[one.waiting.account, one.waiting.drafts, one.why].append(one)
    for (identity, drafts, why), found in late.items():
        account, first = accounts[identity], min(one.waiting.due for one in found)
        said = _explain(context, account, why, drafts=drafts)
        message = f"{said} The first of them is due {first.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
        yield Conflict(kind=why, account=account, posts=len(found), message=message)


def _explain(context: Context, account: AccountRow, why: Why, *, drafts: bool) -> str:
    match why:
        case "pause":
            return "A pause holds them until it is lifted."
        case "approval":
            return "They wait for an approval."
        case "quota" if quota := find_daily_quota(context, account.platform, drafts=drafts):
            whose = "our app" if quota.per == "app" else "an account"
            return (
                f"There are more {name_counted(drafts=drafts)} than the platform takes from {whose} in 24 hours, "
                f"{quota.allowed}: these go out later."
            )
        case _:
            return "They follow each other faster than the platform takes them: these go out later."


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
