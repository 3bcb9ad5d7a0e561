"""The free posting times of a client's accounts within a span, as the calendar shows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
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


def list_free_times(c: Connection, workspace: UUID, platform: str | None, span: Span) -> list[FreeTime]:
    """Return the free times of a client's active accounts that are to come, in order; *platform* None: of all."""
    caller, now = read_caller(c, workspace, None), database_now(c)
    start, end = max(span[0], now), span[1]
    if caller is None or start >= end:
        return []
    accounts = [
        one
        for one in find_accounts(c, workspace)
        if one.status == AccountStatus.ACTIVE and platform in (None, one.platform)
    ]
    taken = list_taken(c, [one.id for one in accounts], start - LOOK_BACK)
    found: dict[datetime, list[AccountRow]] = defaultdict(list)
    for one in accounts:
        times = PostingTimes.from_dict(one.posting_times, caller.time_zone)
        for at in _walk(times, start, end, taken.get(one.id, ())):
            found[at].append(one)
    return sorted(found.items(), key=lambda one: one[0])


def _walk(
    times: PostingTimes, start: datetime, end: datetime, taken: Sequence[datetime]
) -> Iterator[datetime]:
    at = times.find_free(start, taken)
    while at is not None and at < end:
        yield at
        at = times.find_free(at, taken)
