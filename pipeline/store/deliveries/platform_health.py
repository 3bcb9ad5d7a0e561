"""Health of the platforms: the last answer and failure of their own hosts, and one circuit breaker each.

An open breaker holds the platform's deliveries, except for one probe at a time; any answer closes it. The row of a
platform is locked first, so that its writers run one after the other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.hold import Hold
from pipeline.store.database import execute, find_value, has_row, read_all, read_column
from pipeline.store.deliveries.holds import HELD_FOR
from pipeline.store.selection import among

SIGN_AGE = timedelta(minutes=1)
"""How long an answer counts as a sign of life."""
ACCOUNTS, WORKSPACES, FAILURES = 3, 2, 3
"""Accounts and workspaces whose calls must fail to open a breaker, where there are that many, and calls in all."""
FAILURE_AGE = timedelta(minutes=15)
"""How long a failure counts towards opening a breaker."""

SIGN_OF_LIFE = f"""EXISTS (
    SELECT FROM platform_health h WHERE h.platform = deliveries.platform AND h.opened_at IS NULL
      AND h.answered_at >= h.failed_at AND h.answered_at > now() - interval '{SIGN_AGE.total_seconds():g} s')"""
"""Condition of a statement on ``deliveries``: the platform answered recently, and no call has failed since."""
BREAKER = """(SELECT CASE WHEN h.probe_id = d.id THEN 'probe' ELSE 'open' END FROM platform_health h
              WHERE h.platform = d.platform AND h.opened_at IS NOT NULL)"""
"""Expression on a delivery ``d``: NULL while the breaker is closed, 'probe' for the delivery that probes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenBreaker:
    """An open circuit breaker."""

    platform: str
    opened_at: datetime
    probe_at: datetime
    why: str
    holds: int
    """Deliveries that wait for it; one whose next try is further ahead than an outage puts it is not counted."""


def record_answer(c: Connection, platform: Platform) -> bool:
    """Record an answer of the platform's own hosts and close its breaker. Return True if it was open."""
    was_open = find_value(
        c,
        bool,
        """WITH before AS (SELECT opened_at FROM platform_health WHERE platform = :p FOR UPDATE)
           INSERT INTO platform_health AS h (platform, answered_at)
           SELECT :p, clock_timestamp() FROM (SELECT count(*) FROM before) one
           ON CONFLICT (platform) DO UPDATE
           SET answered_at = clock_timestamp(), opened_at = NULL, probe_at = NULL, probe_id = NULL, why = NULL
           RETURNING EXISTS (SELECT FROM before WHERE opened_at IS NOT NULL) AS was_open""",
        p=platform,
    )
    return bool(was_open)


def record_failure(
    c: Connection, platform: Platform, account: UUID, workspace: UUID, *, probe: timedelta
) -> bool:
    """Record a failure of the platform's own hosts in a call for an account. Return True if it opened the breaker.

    The caller holds a transaction. ``probe``: time until the first probe.
    """
    sql = """INSERT INTO platform_health (platform, failed_at) VALUES (:p, clock_timestamp())
             ON CONFLICT (platform) DO UPDATE SET failed_at = clock_timestamp()"""
    execute(c, sql, p=platform)
    execute(
        c,
        """INSERT INTO platform_failures AS f (platform, account_id, workspace_id, failed_at, failures)
           VALUES (:p, :account, :workspace, clock_timestamp(), 1)
           ON CONFLICT (platform, account_id) DO UPDATE SET failed_at = clock_timestamp(), failures = 1 + CASE
               WHEN f.failed_at > greatest(now() - CAST(:age AS interval),
                    (SELECT answered_at FROM platform_health WHERE platform = :p)) THEN f.failures ELSE 0 END""",
        p=platform,
        account=account,
        workspace=workspace,
        age=FAILURE_AGE,
    )
    return has_row(
        c,
        """WITH failing AS (
               SELECT count(*) AS accounts, count(DISTINCT f.workspace_id) AS workspaces, sum(f.failures) AS failures
               FROM platform_failures f JOIN platform_health h USING (platform)
               WHERE f.platform = :p AND f.failed_at > greatest(h.answered_at, now() - CAST(:age AS interval))
           ), possible AS (
               SELECT (SELECT count(*) FROM (SELECT FROM accounts WHERE platform = :p AND status = 'active'
                                             LIMIT :accounts) a) AS accounts,
                      (SELECT count(*) FROM (SELECT DISTINCT workspace_id FROM accounts
                                             WHERE platform = :p AND status = 'active' LIMIT :workspaces) w)
                          AS workspaces
           )
           UPDATE platform_health h SET opened_at = now(), probe_at = now() + CAST(:every AS interval),
                  probe_id = NULL,
                  why = format('calls for %s accounts of %s workspaces failed', f.accounts, f.workspaces)
           FROM failing f, possible p
           WHERE h.platform = :p AND h.opened_at IS NULL AND f.failures >= :failures
             AND f.accounts >= least(p.accounts, :accounts) AND f.workspaces >= least(p.workspaces, :workspaces)
           RETURNING h.platform""",
        p=platform,
        age=FAILURE_AGE,
        every=probe,
        accounts=ACCOUNTS,
        workspaces=WORKSPACES,
        failures=FAILURES,
    )


def has_sign_of_life(c: Connection, platform: Platform) -> bool:
    """Return True if the platform answered recently, no call has failed since, and its breaker is closed."""
    sql = f"SELECT {SIGN_OF_LIFE} AS alive FROM (SELECT CAST(:p AS text) AS platform) deliveries"
    return bool(find_value(c, bool, sql, p=platform))


def list_open_platforms(c: Connection) -> frozenset[str]:
    """Return the platforms whose breaker is open."""
    return frozenset(read_column(c, "SELECT platform FROM platform_health WHERE opened_at IS NOT NULL"))


def take_probe(c: Connection, platform: str, every: timedelta) -> bool:
    """Take the turn of the next probe; the one after it is due ``every`` later.

    Return False if it is not due or taken, or if the breaker is closed.
    """
    return has_row(
        c,
        """UPDATE platform_health SET probe_at = now() + CAST(:every AS interval), probe_id = NULL
           WHERE platform = :p AND opened_at IS NOT NULL AND probe_at <= now() RETURNING platform""",
        p=platform,
        every=every,
    )


def set_probe(c: Connection, platform: str, delivery: UUID) -> None:
    """Let one delivery pass the open breaker."""
    sql = "UPDATE platform_health SET probe_id = :id WHERE platform = :p AND opened_at IS NOT NULL"
    execute(c, sql, p=platform, id=delivery)


def close_breaker(c: Connection, platform: str) -> bool:
    """Close a breaker at an operator's request; False if it was closed. Earlier failures no longer count."""
    return has_row(
        c,
        """WITH gone AS (DELETE FROM platform_failures WHERE platform = :p)
           UPDATE platform_health SET opened_at = NULL, probe_at = NULL, probe_id = NULL, why = NULL
           WHERE platform = :p AND opened_at IS NOT NULL RETURNING platform""",
        p=platform,
    )


def list_open_breakers(
    c: Connection, workspaces: Collection[UUID] | None = None, cap: int | None = None
) -> list[OpenBreaker]:
    """Return the open breakers, oldest first, and what they hold, in all or these workspaces; count up to *cap*."""
    own = among("d.workspace_id", workspaces)
    return read_all(
        c,
        OpenBreaker,
        f"""SELECT h.platform, h.opened_at, h.probe_at, h.why, (SELECT count(*) FROM (
                      SELECT FROM post_deliveries d
                      WHERE d.state IN ('scheduled', 'retrying') AND d.platform = h.platform
                        AND d.next_at <= now() + interval '10 minutes' AND {HELD_FOR} = '{Hold.BREAKER}'
                        AND {own}
                      LIMIT :cap) x) AS holds
           FROM platform_health h WHERE h.opened_at IS NOT NULL ORDER BY h.opened_at, h.platform""",
        cap=cap,
        **own.values,
    )
