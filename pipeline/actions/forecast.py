"""The forecast of a schedule: when each post goes out, by the limits that publishing keeps, and how many are late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.release_forecast import AccountLimits, Quota, Release, Waiting, run_ahead
from pipeline.limits.rate_buckets import list_costs
from pipeline.runtime.context import Context
from pipeline.stages.platform_limits import find_daily_quota
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.deliveries.to_release import list_sent, list_to_release
from pipeline.store.health import database_now

STEPS = ("prepare", "finalize")
"""The calls that every post makes once, each at its own rate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WhatIf:
    """Other circumstances. ``paused``: accounts."""

    posts_per_day: int | None = None
    paused: frozenset[UUID] = frozenset()


NOTHING_ELSE = WhatIf()


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountForecast:
    """What becomes of an account's posts. ``held``: by a pause or for an approval, for as long as that lasts."""

    account: AccountRow
    posts: int
    on_time: int
    late: int
    held: int
    first_late: datetime | None
    """When the first late one is due."""
    last_at: datetime | None
    """When the last one goes out."""


def forecast_releases(
    context: Context,
    c: Connection,
    accounts: Iterable[AccountRow],
    new: Sequence[Waiting] = (),
    *,
    until: datetime | None = None,
    what_if: WhatIf = NOTHING_ELSE,
) -> list[Release]:
    """Return the releases of what these accounts are to send, and of what is *new*.

    What others send through our app is counted where the quota is the app's, and is not returned.
    """
    platforms = {account.id: account.platform for account in accounts}
    apps = {p for p in platforms.values() if _is_shared(context, p)}
    waiting = [*list_to_release(c, platforms.keys(), apps, until), *new]
    known = {one.account: one.platform for one in waiting}
    limits = {
        account: _build_limits(context, account, platform, what_if) for account, platform in known.items()
    }
    sent = [
        (limits[one.account].quotas[one.drafts].scope, one.at)
        for one in list_sent(c, platforms.keys(), apps)
        if one.account in limits and one.drafts in limits[one.account].quotas
    ]
    asked = [one._replace(hold="pause") if one.account in what_if.paused else one for one in waiting]
    found = run_ahead(asked, sent, limits, database_now(c))
    return [release for release in found if release.waiting.account in platforms]


def _is_shared(context: Context, platform: Platform) -> bool:
    quota = find_daily_quota(context, platform, drafts=False)
    return quota is not None and quota.per == "app"


def _build_limits(context: Context, account: UUID, platform: Platform, what_if: WhatIf) -> AccountLimits:
    rates = () if context.settings.sandbox.lifted else context.adapters[platform].capabilities.rates
    gap = max((cost for step in STEPS for cost in list_costs(rates, step)), default=0)
    quotas: dict[bool, Quota] = {}
    for drafts in (False, True):
        quota = find_daily_quota(context, platform, drafts=drafts)
        if what_if.posts_per_day is not None and not drafts:
            quotas[drafts] = Quota((account, drafts), what_if.posts_per_day)
        elif quota is not None:
            quotas[drafts] = Quota((platform if quota.per == "app" else account, drafts), quota.allowed)
    return AccountLimits(gap=timedelta(milliseconds=gap), quotas=quotas)


def summarize(accounts: Mapping[UUID, AccountRow], releases: Iterable[Release]) -> Iterator[AccountForecast]:
    """Yield the forecast of each account that has releases: those with late and held posts first."""
    by_account: dict[UUID, list[Release]] = {}
    for release in releases:
        by_account.setdefault(release.waiting.account, []).append(release)
    found = [_summarize(accounts[identity], mine) for identity, mine in by_account.items()]
    yield from sorted(
        found, key=lambda one: (-one.late, -one.held, one.account.platform, one.account.username)
    )


def _summarize(account: AccountRow, releases: Sequence[Release]) -> AccountForecast:
    late = [one.waiting.due for one in releases if one.is_late]
    times = [one.at for one in releases if one.at is not None]
    return AccountForecast(
        account=account,
        posts=len(releases),
        on_time=len(times) - len(late),
        late=len(late),
        held=len(releases) - len(times),
        first_late=min(late, default=None),
        last_at=max(times, default=None),
    )
