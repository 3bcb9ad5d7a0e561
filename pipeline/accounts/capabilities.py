"""What accounts take and have left today: kinds of posts, options, daily limits, and the next free posting time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import PostForm
from adapters.post_options import PostOptions
from pipeline.domain.posting_times import LONGEST_GAP, PostingTimes
from pipeline.runtime.context import Context
from pipeline.stages.platform_limits import find_daily_quota
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.accounts.posting_times import list_taken
from pipeline.store.deliveries.daily_quota import DAY, DailyQuota, count_sent_by
from pipeline.store.health import database_now


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedDay:
    """A daily limit, and what the account itself has used of it: not what others have of one that they share."""

    quota: DailyQuota
    used: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountAbilities:
    """What one account takes now."""

    kinds: Mapping[PostForm, str]
    section: type[PostOptions] | None
    """The model of the platform's section of a post."""
    today: Sequence[CountedDay]
    next_free_at: datetime | None
    """The next of its posting times that no post has taken; None: there is none within a year."""


def read_abilities(
    context: Context, c: Connection, accounts: Sequence[AccountRow], zone: str
) -> dict[UUID, AccountAbilities]:
    """Return what each account takes. *zone*: of posting times without one, the workspace's."""
    if not accounts:
        return {}
    ids, now = [account.id for account in accounts], database_now(c)
    sent, taken = count_sent_by(c, ids), list_taken(c, ids, now - DAY - LONGEST_GAP)
    found = {}
    for account in accounts:
        adapter = context.adapters[account.platform]
        quotas = [find_daily_quota(context, account.platform, drafts=drafts) for drafts in (False, True)]
        times = PostingTimes.from_dict(account.posting_times, zone)
        found[account.id] = AccountAbilities(
            kinds=adapter.capabilities.post_kinds,
            section=adapter.post_options,
            today=[CountedDay(quota=q, used=sent.get((account.id, q.drafts), 0)) for q in quotas if q],
            next_free_at=times.find_free(now, taken.get(account.id, ())),
        )
    return found
