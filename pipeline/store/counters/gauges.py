"""Gauges for /metrics that are read when they are asked for: few rows each, found by an index, however many there are.

``LIMIT`` bounds the rows read during an outage: the counts stop there, the oldest is found all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.hold import INTENDED
from pipeline.store.accounts.grants import GRANT_ENDS_AT
from pipeline.store.database import find_value, has_row, read_all, rows
from pipeline.store.deliveries.holds import HELD_FOR, LATE_SINCE
from pipeline.store.recovery.epoch import EPOCH_IS_OPEN

LIMIT = 200
"""Deliveries of a platform that are read in each of three ways of being overdue."""
OVERDUE_AFTER = timedelta(seconds=10)
SETTLED_LIMIT = 10_000
"""Settled deliveries of the last minute that are counted."""
DEAD_LIMIT = 1000
"""Failed and blocked deliveries among which dead letters are counted."""
RETRY = "retry"
"""The wait of a delivery whose last try failed; no hold."""
GRANT_SPANS = {"1d": 1, "7d": 7, "30d": 30}
"""Label -> days."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overdue:
    """Deliveries of a platform that are due and not sent, for one reason. ``seconds``: for which the oldest is late."""

    platform: str
    held_for: str
    number: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Oldest:
    """The longest time for which a delivery of a platform has been in a state that needs an answer or an operator."""

    platform: str
    state: str
    reason: str
    seconds: float


_OVERDUE = f"""
SELECT platform, coalesce(held_for, CASE state WHEN 'retrying' THEN '{RETRY}' ELSE '' END) AS held_for,
       count(*) AS number, max(seconds) AS seconds
FROM (
SELECT d.platform, d.state, {HELD_FOR} AS held_for, extract(epoch FROM now() - {LATE_SINCE})::float AS seconds
FROM unnest(CAST(:platforms AS text[])) AS p (platform), LATERAL (
    (SELECT id FROM post_deliveries
     WHERE platform = p.platform AND state IN ('scheduled', 'retrying') AND next_at <= now() ORDER BY next_at LIMIT :n)
    UNION  -- waits for a check, a limit or its next try: next_at is not its time
    (SELECT delivery_id FROM counted_deliveries
     WHERE platform = p.platform AND state IN ('accepted', 'scheduled', 'retrying')
       AND due_at <= now() - CAST(:after AS interval) ORDER BY due_at LIMIT :n)
    UNION ALL
    (SELECT id FROM post_deliveries
     WHERE platform = p.platform AND state IN ('queued', 'publishing') AND armed_at IS NULL LIMIT :n)
) x, LATERAL (SELECT * FROM post_deliveries WHERE id = x.id LIMIT 1) d
WHERE d.due_at <= now() - CAST(:after AS interval) AND d.armed_at IS NULL
  AND d.state IN ('accepted', 'scheduled', 'retrying', 'queued', 'publishing')
) late GROUP BY 1, 2
"""

_OLDEST = """
SELECT p.platform, s.state, s.reason, extract(epoch FROM now() - x.since)::float AS seconds
FROM unnest(CAST(:platforms AS text[])) AS p (platform),
     (VALUES ('unknown', ''), ('blocked', 'is_it_live'), ('blocked', 'person_needed'), ('blocked', 'reconnect'))
     AS s (state, reason), LATERAL (
    SELECT since FROM counted_deliveries
    WHERE platform = p.platform AND state = s.state AND reason = s.reason AND state IN ('unknown', 'blocked')
    ORDER BY since LIMIT 1) x
"""

_GRANTS_ENDING = f"""
SELECT platform, extract(day FROM {GRANT_ENDS_AT} - now())::integer AS days, count(*) AS n FROM accounts
WHERE status = 'active' AND ({GRANT_ENDS_AT}) <= now() + make_interval(days => :days)
GROUP BY 1, 2
"""

_SETTLED_LATELY = """
SELECT d.platform, m.target AS outcome, count(*) AS n FROM (
    SELECT delivery_id, origin, target, at FROM moves
    WHERE target IN ('published', 'failed', 'cancelled') OR mover = 'decide' ORDER BY id DESC LIMIT :n
) m, LATERAL (SELECT platform FROM post_deliveries WHERE id = m.delivery_id LIMIT 1) d
WHERE m.at > now() - interval '1 minute' AND m.origin <> m.target AND m.target IN ('published', 'failed', 'cancelled')
GROUP BY 1, 2
"""


def list_overdue(c: Connection) -> list[Overdue]:
    """Return the deliveries that were due ``OVERDUE_AFTER`` ago and are not armed, by platform and hold."""
    return read_all(c, Overdue, _OVERDUE, platforms=list(Platform), n=LIMIT, after=OVERDUE_AFTER)


def find_oldest_overdue(found: Iterable[Overdue]) -> dict[str, float]:
    """Return the seconds of each platform's oldest overdue delivery whose delay is not intended; 0: there is none."""
    oldest = dict.fromkeys(map(str, Platform), 0.0)
    for one in found:
        if one.held_for not in INTENDED:
            oldest[one.platform] = max(oldest[one.platform], one.seconds)
    return oldest


def count_settled_lately(c: Connection) -> dict[tuple[str, str], int]:
    """Count the deliveries that settled in the last minute, by platform and outcome; of more, the last 10,000."""
    found = rows(c, _SETTLED_LATELY, n=SETTLED_LIMIT)
    return {(r.platform, r.outcome): r.n for r in found}


def list_oldest(c: Connection) -> list[Oldest]:
    """Return, for unknown and blocked deliveries, how long the oldest of each platform and reason has been so."""
    return read_all(c, Oldest, _OLDEST, platforms=list(Platform))


def count_grants_ending(c: Connection) -> dict[tuple[str, str], int]:
    """Count active accounts whose grant ends, by platform and span (``1d``: within a day, ``7d`` includes ``1d``)."""
    counts = {(p.value, span): 0 for p in Platform for span in GRANT_SPANS}
    for r in rows(c, _GRANTS_ENDING, days=max(GRANT_SPANS.values())):
        for span, days in GRANT_SPANS.items():
            if r.days < days:
                counts[r.platform, span] += r.n
    return counts


def count_paused(c: Connection) -> dict[str, int]:
    """Count the pauses in force by scope."""
    counts = dict.fromkeys(("all", "platform", "workspace", "account"), 0)
    return counts | {r.scope: r.n for r in rows(c, "SELECT scope, count(*) AS n FROM pauses GROUP BY scope")}


def count_posts(c: Connection) -> dict[str, int]:
    """Return the posts of all workspaces by stored status, without deleted ones, from the totals of workspaces."""
    found: Sequence[tuple[str, int]] = rows(
        c,
        """SELECT status, CAST(sum(n) AS bigint) AS n FROM (
               SELECT status, n FROM post_counts UNION ALL SELECT status, n FROM post_deltas) parts GROUP BY status""",
    )
    return dict(found)


def read_count_age(c: Connection) -> float:
    """Return the seconds since which moves are not exported: the age of all counters."""
    sql = "SELECT extract(epoch FROM now() - exported_at)::float AS age FROM move_progress WHERE reader = 'export'"
    return max(0.0, find_value(c, float, sql) or 0.0)


def may_send(c: Connection) -> bool:
    """Return whether the database's epoch allows sending."""
    return has_row(c, f"SELECT 1 AS one WHERE {EPOCH_IS_OPEN}")
