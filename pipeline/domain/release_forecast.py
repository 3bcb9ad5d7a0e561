"""The release of waiting deliveries, run ahead: when each goes out under the limits that publishing keeps.

For one account deliveries go out in the order of their times, each by the gap of its rates after the one before, and by
the daily quotas of its account or of our app over the 24 hours before. What does not fit is carried on.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

from adapters.contract import Platform

DAY = timedelta(days=1)
ON_TIME = timedelta(minutes=1)
"""How much later than its time a post may go out and be on time."""

Holding = Literal["", "pause", "approval"]
"""What holds a delivery for as long as it lasts."""
Why = Literal["", "pace", "quota", "pause", "approval"]


class Waiting(NamedTuple):
    """A delivery that is to be sent. ``is_new``: of the plan that is forecast; others are scheduled already."""

    account: UUID
    platform: Platform
    due: datetime
    drafts: bool = False
    hold: Holding = ""
    is_new: bool = False


class Release(NamedTuple):
    """When a delivery goes out, None if something holds it; and what it waits for longest."""

    waiting: Waiting
    at: datetime | None
    why: Why

    @property
    def is_late(self) -> bool:
        """Return True if it goes out, and not on time."""
        return self.at is not None and self.at - self.waiting.due > ON_TIME


class Quota(NamedTuple):
    """How many may go out in 24 hours. ``scope``: what shares it, an account or our app at a platform."""

    scope: Hashable
    allowed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountLimits:
    """``gap``: between two of an account. ``quotas``: of its posts (False) and of its inbox drafts (True)."""

    gap: timedelta
    quotas: Mapping[bool, Quota]


def run_ahead(
    waiting: Iterable[Waiting],
    sent: Iterable[tuple[Hashable, datetime]],
    limits: Mapping[UUID, AccountLimits],
    now: datetime,
) -> Iterator[Release]:
    """Yield the release of each delivery. ``sent``: in the last 24 hours, by scope, oldest first."""
    lines: dict[tuple[UUID, bool], deque[Waiting]] = defaultdict(deque)
    for one in sorted(waiting, key=lambda one: one.due):
        if one.hold:
            yield Release(one, None, one.hold)
        else:
            lines[one.account, one.drafts].append(one)
    went: dict[Hashable, list[datetime]] = defaultdict(list)
    for scope, at in sent:
        went[scope].append(at)
    free: dict[UUID, datetime] = {}
    heads: list[tuple[datetime, int, tuple[UUID, bool], Why]]
    heads = [(max(line[0].due, now), n, name, "") for n, (name, line) in enumerate(lines.items())]
    heapq.heapify(heads)
    while heads:
        at, n, name, why = heapq.heappop(heads)
        own = limits[name[0]]
        quota = own.quotas.get(name[1])
        paced = max(at, free.get(name[0], at))
        fits = paced if quota is None else _find_place(went[quota.scope], quota.allowed, paced)
        if fits > at:
            heapq.heappush(heads, (fits, n, name, "quota" if fits > paced or why == "quota" else "pace"))
            continue
        yield Release(lines[name].popleft(), at, why)
        free[name[0]] = at + own.gap
        if quota is not None:
            went[quota.scope].append(at)
        if lines[name]:
            due = max(lines[name][0].due, now)
            heapq.heappush(heads, (max(due, at), n, name, why if due < at else ""))


def _find_place(went: Sequence[datetime], allowed: int, at: datetime) -> datetime:
    """Return when one more may go out, at *at* or later: once the oldest of the last *allowed* is a day old."""
    return max(at, went[-allowed] + DAY) if len(went) >= allowed else at
