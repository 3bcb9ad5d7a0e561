"""The free posting times of a client's accounts: those of a span, as the calendar shows them, and one for several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.account import AccountStatus
from pipeline.domain.posting_times import PostingTimes
from pipeline.stages.posting_times import LOOK_BACK
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.accounts.posting_times import list_taken
from pipeline.store.auth.keys import read_caller
from pipeline.store.health import database_now
from pipeline.store.posts.calendar import Span

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
