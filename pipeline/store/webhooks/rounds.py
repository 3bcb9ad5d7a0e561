"""Sending: a sender claims a webhook, arms a round of events, and stores what became of them.

One sender at a time has a webhook. Its tries are committed before a request leaves, so one that dies leaves them open:
the next sender closes them as ``unknown``, and sends the events again under the same ids. A sender that lost its claim
changes no event. A round lasts from ``served_at`` to ``hold_until``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.notice import Form
from pipeline.domain.shares import Shares
from pipeline.domain.webhook import AttemptOutcome, PauseReason, Tried, compute_hold
from pipeline.store.counters.counters import append_deltas
from pipeline.store.database import build, execute, find_value, has_row, jsonb, read_all, read_column, row
from pipeline.store.webhooks.events import promote

PROBES_AFTER = 3
"""Rounds in a row without a success after which a round is one event."""
SLOW_AFTER = timedelta(seconds=2)
"""A webhook is slow while its last round took longer, with the hold after one without a success."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedWebhook:
    """A webhook that this process may send to until its lease ends. Slow ones have slots of their own.

    ``workspace_id``: with whom it shares slots; a target of notices of all workspaces with none.
    """

    host: ClassVar = ""
    slow: ClassVar = False
    id: UUID
    workspace_id: UUID
    form: Form
    key_id: UUID | None
    url: str
    secrets: bytes
    has_earlier: bool
    fence: int
    failures: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmedEvent:
    """An event whose next try is committed. ``n``: the number of that try of all; ``tries``: of all that count.

    ``at``: the database's time, which is signed: a machine whose clock is wrong sends what verifies.
    """

    id: UUID
    lane: UUID
    type: str
    body: str
    n: int
    tries: int
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """One armed event with its result. ``wait``: until the next try; None: there is none."""

    event: ArmedEvent
    tried: Tried
    wait: timedelta | None
    deferred: bool = False
    """The try does not count: its server named the time of the next one."""


_CLAIM = """
UPDATE webhooks w SET lease_until = now() + :lease, fence = fence + 1, served_at = clock_timestamp()
WHERE id = (
    SELECT id FROM webhooks o WHERE deleted_at IS NULL AND paused_at IS NULL AND hold_until <= now()
      AND (lease_until IS NULL OR lease_until < now())
      AND (hold_until - served_at > :slow_after) = :is_slow
      AND coalesce(workspace_id, id) <> ALL(CAST(:busy AS uuid[]))
      AND EXISTS (SELECT FROM webhook_events e WHERE e.webhook_id = o.id AND e.next_at <= now())
    ORDER BY served_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id, coalesce(workspace_id, id) AS workspace_id, form, key_id, url, secrets,
          coalesce(earlier_until > now(), false) AS has_earlier, fence, failures
"""
_LOCK = """
SELECT failures FROM webhooks WHERE id = :id AND fence = :fence AND paused_at IS NULL AND deleted_at IS NULL
  AND (:is_settling OR hold_until <= now()) FOR NO KEY UPDATE
"""
_ARM = """
WITH due AS (
    SELECT id FROM webhook_events WHERE webhook_id = :w AND next_at <= now() ORDER BY next_at, n LIMIT :limit
), armed AS (
    UPDATE webhook_events e SET tries = tries + 1, attempts = attempts + 1 FROM due
    WHERE e.webhook_id = :w AND e.id = due.id RETURNING e.id, e.lane, e.type, e.body, e.attempts AS n, e.tries
), attempt AS (
    INSERT INTO webhook_attempts (webhook_id, event_id, n) SELECT :w, id, n FROM armed
)
SELECT id, lane, type, body, n, tries, now() AS at FROM armed
"""


def claim_webhook(c: Connection, lease: timedelta, shares: Shares, *, is_slow: bool) -> ClaimedWebhook | None:
    """Claim the webhook with a due event that was served the longest ago; None if there is none for these shares.

    First come workspaces with no webhook under way.
    """
    bound = {"lease": lease, "is_slow": is_slow, "slow_after": SLOW_AFTER}
    found = row(c, _CLAIM, **bound, busy=list(shares.running))
    if found is None and shares.running and not shares.only_new:
        found = row(c, _CLAIM, **bound, busy=[])
    return None if found is None else build(ClaimedWebhook, found)


def has_lost_key(c: Connection, claimed: ClaimedWebhook) -> bool:
    """Return True if the restricted key that made a claimed webhook is revoked or has expired."""
    return has_row(
        c,
        """SELECT w.id FROM webhooks w WHERE id = :id AND accounts IS NOT NULL AND NOT EXISTS (
           SELECT FROM keys k WHERE k.id = w.key_id AND k.revoked_at IS NULL
                                AND (k.expires_at IS NULL OR k.expires_at > now()))""",
        id=claimed.id,
    )


def hold_webhook(c: Connection, claimed: ClaimedWebhook, wait: timedelta) -> None:
    """Send nothing to a claimed webhook for a while."""
    sql = "UPDATE webhooks SET hold_until = now() + :wait WHERE id = :id AND fence = :fence RETURNING id"
    row(c, sql, id=claimed.id, fence=claimed.fence, wait=wait)


def arm_round(c: Connection, claimed: ClaimedWebhook, lease: timedelta, limit: int) -> list[ArmedEvent]:
    """Arm the next events of a claimed webhook and extend the claim; none if it is lost, held or paused by now."""
    failures = find_value(c, int, _LOCK, id=claimed.id, fence=claimed.fence, is_settling=False)
    if failures is None:
        return []
    sql = """UPDATE webhook_attempts SET outcome = 'unknown', ended_at = now()
             WHERE webhook_id = :w AND outcome IS NULL"""
    append_deltas(c, COUNTER, [({"outcome": AttemptOutcome.UNKNOWN}, execute(c, sql, w=claimed.id))])
    sql = "UPDATE webhooks SET lease_until = now() + :lease, served_at = clock_timestamp() WHERE id = :w"
    execute(c, sql, w=claimed.id, lease=lease)
    return read_all(c, ArmedEvent, _ARM, w=claimed.id, limit=1 if failures >= PROBES_AFTER else limit)


COUNTER = "slipway_webhook_attempts_total"
_CLOSE = """
UPDATE webhook_attempts a
SET outcome = r.outcome, status = r.status, error = r.error, answer = r.answer, ended_at = now()
FROM jsonb_to_recordset(:results) AS r (id uuid, n int, outcome text, status int, error text, answer text)
WHERE a.webhook_id = :w AND a.event_id = r.id AND a.n = r.n AND a.outcome IS NULL
"""
_SETTLE = """
UPDATE webhook_events e SET
    state = r.state, tries = greatest(e.tries - r.deferred, 0),
    next_at = CASE WHEN r.state = 'pending' AND e.next_at IS NOT NULL THEN now() + make_interval(secs => r.wait) END
FROM jsonb_to_recordset(:results) AS r (id uuid, n int, state text, wait float, deferred int)
WHERE e.webhook_id = :w AND e.id = r.id AND e.attempts = r.n AND e.state = 'pending'
RETURNING e.lane
"""
_RATE = """
UPDATE webhooks SET failures = :failures,
    failing_since = CASE WHEN :failures > 0 THEN coalesce(failing_since, now()) END,
    hold_until = now() + :hold
WHERE id = :w RETURNING coalesce(failing_since < now() - CAST(:dead AS interval), false) AS is_dead
"""


def settle_round(
    c: Connection, claimed: ClaimedWebhook, results: Sequence[Settled], dead: timedelta
) -> PauseReason | None:
    """Store what became of a round; return why the webhook has to be paused, if it has.

    An event without a further try has failed, unless every try failed for as long as *dead*: then the webhook is
    paused and the event waits. If the claim was lost, only the tries are closed.
    """
    closed = execute(c, _CLOSE, w=claimed.id, results=jsonb([_describe_try(r) for r in results]))
    counts = [({"outcome": r.tried.outcome}, 1) for r in results]
    append_deltas(c, COUNTER, counts if closed == len(results) else [])
    failures = find_value(c, int, _LOCK, id=claimed.id, fence=claimed.fence, is_settling=True)
    if failures is None:
        return None
    has_success = any(r.tried.outcome is AttemptOutcome.DELIVERED for r in results)
    failures = 0 if has_success else failures + 1
    hold = _compute_hold(results, failures)
    is_dead = find_value(c, bool, _RATE, w=claimed.id, failures=failures, hold=hold, dead=dead)
    why = _find_pause(results, is_dead=bool(is_dead))
    states = [_describe_state(r, is_pausing=why is not None) for r in results]
    promote(c, claimed.id, read_column(c, _SETTLE, w=claimed.id, results=jsonb(states)))
    return why


def release_webhook(c: Connection, claimed: ClaimedWebhook) -> None:
    """End a claim."""
    sql = "UPDATE webhooks SET lease_until = NULL WHERE id = :id AND fence = :fence"
    execute(c, sql, id=claimed.id, fence=claimed.fence)


def _compute_hold(results: Sequence[Settled], failures: int) -> timedelta:
    asked = [
        r.tried.retry_after for r in results if r.tried.holds_webhook and r.tried.retry_after is not None
    ]
    return compute_hold(failures, asked)


def _find_pause(results: Sequence[Settled], *, is_dead: bool) -> PauseReason | None:
    if any(r.tried.outcome is AttemptOutcome.GONE for r in results):
        return PauseReason.GONE
    return PauseReason.DEAD if is_dead else None


def _describe_state(settled: Settled, *, is_pausing: bool) -> Mapping[str, Any]:
    state, wait = "pending", settled.wait or timedelta(0)
    if settled.tried.outcome is AttemptOutcome.DELIVERED:
        state = "delivered"
    elif settled.wait is None and not is_pausing:
        state = "failed"
    return {
        "id": str(settled.event.id),
        "n": settled.event.n,
        "state": state,
        "wait": wait.total_seconds(),
        "deferred": int(settled.deferred),
    }


def _describe_try(settled: Settled) -> Mapping[str, Any]:
    tried = {name: value for name, value in asdict(settled.tried).items() if name != "retry_after"}
    return {"id": str(settled.event.id), "n": settled.event.n, **tried}
