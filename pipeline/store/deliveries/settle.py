"""Settle claimed deliveries: store the verdicts on them, in one statement each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from pipeline.domain.delivery import Mover, State, require_move
from pipeline.domain.delivery_error import STORAGE, extend_streaks, shift_streaks
from pipeline.domain.hold import STORED
from pipeline.domain.post import PostStatus, apply_due_time, derive_account_status
from pipeline.domain.verdict import Verdict
from pipeline.store.database import jsonb, row, run_many
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.error_fields import error_to_dict, look_error_to_dict
from pipeline.store.deliveries.move import lock_post, recompute_post_status
from pipeline.store.deliveries.ownership import translate_taken_remote_id
from pipeline.store.vault import Vault

_SETTLE = """
WITH p AS MATERIALIZED (  -- the post first: the lock order
    SELECT id FROM posts WHERE id = :post AND CAST(:status AS text) IS NOT NULL FOR UPDATE
), d AS (
    UPDATE deliveries SET
        state = :target, reason = :reason, held_for = :held_for,
        lease_until = CASE WHEN :target = 'queued' THEN now() + :lease END,
        next_at = CASE WHEN :settled THEN next_at ELSE greatest(now() + :wait, CAST(:not_before AS timestamptz)) END,
        spent = spent + :spent, surprises = surprises + :surprises,
        looks = CASE WHEN :target NOT IN ('preparing', 'processing', 'unknown') THEN 0
                     WHEN :looked THEN looks + 1 ELSE looks END,
        armed_at = CASE WHEN :disarm THEN NULL WHEN :reason = 'is_it_live' THEN coalesce(armed_at, now())
                        ELSE armed_at END,
        armed_deadline = CASE WHEN :disarm THEN NULL ELSE armed_deadline END,
        working_since = CASE WHEN :target IN ('preparing', 'processing', 'unknown')
                             THEN coalesce(working_since, now()) + CASE WHEN :uncounted THEN :wait ELSE interval '0' END
                             WHEN :target = 'blocked' THEN working_since END,
        unavailable_since = CAST(:streaks AS jsonb),
        absent_at = CASE WHEN :absent THEN coalesce(absent_at, now()) END,
        checkpoint = CASE WHEN :keep THEN checkpoint ELSE CAST(:checkpoint AS bytea) END,
        remote_id = coalesce(CAST(:remote_id AS text), remote_id), url = coalesce(CAST(:url AS text), url),
        delivered_as = coalesce(CAST(:delivered_as AS text), delivered_as),
        notes = CAST(:notes AS jsonb),
        published_at = CASE WHEN :target = 'published' THEN now() END,
        error = CASE WHEN :target = 'published' OR (:target = 'processing' AND NOT :uncounted) THEN NULL
                     ELSE coalesce(CAST(:error AS jsonb), error - 'last_look') END,
        updated_at = now()
    WHERE id = :id AND state || '' = :origin AND generation = :generation AND fence = :fence
      AND (CAST(:status AS text) IS NULL OR EXISTS (SELECT FROM p))
    RETURNING id, post_id, state, generation, fence, due_at, next_at
), post AS (
    UPDATE posts SET updated_at = now(),
           status = CASE WHEN :status = 'scheduled' AND d.due_at <= now() THEN 'pending' ELSE CAST(:status AS text) END
    FROM d WHERE posts.id = d.post_id AND CAST(:status AS text) IS NOT NULL AND posts.status <> CAST(:status AS text)
), attempt AS (
    UPDATE attempts SET closed_at = now(), outcome = :closes, error = CAST(:error AS jsonb),
           remote_id = CAST(:remote_id AS text)
    FROM d WHERE delivery_id = d.id AND closed_at IS NULL AND CAST(:closes AS text) IS NOT NULL
), move AS (
    INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
    SELECT id, :mover, :origin, state, generation, fence, :why FROM d WHERE state <> :origin
)
SELECT next_at FROM d
"""  # at most fifty values: the driver parses a statement with more of them at each call


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """A claimed delivery and its verdict, not stored yet."""

    claimed: ClaimedDelivery
    verdict: Verdict
    mover: Mover
    looked: bool = False
    absent: bool = False
    not_before: datetime | None = None

    def values(self, vault: Vault, origin: State, queued_lease: timedelta) -> dict[str, Any]:
        """Return the values of the statement that stores it."""
        claimed, verdict = self.claimed, self.verdict
        require_move(origin, self.mover, verdict.state)
        status = derive_account_status(verdict.state, verdict.reason)
        # the post has this delivery's status if it has no other one; pending, the most urgent status, wins in any case
        known = not claimed.is_comment and (
            changes_public_status(claimed, verdict, origin) if claimed.alone else status is PostStatus.PENDING
        )
        live = verdict.published
        look = look_error_to_dict(verdict.error, claimed.error) if verdict.uncounted else None
        return {
            **claimed.key,
            "post": claimed.post_id,
            "target": verdict.state,
            "reason": verdict.reason,
            "held_for": verdict.held_for if verdict.held_for in STORED else None,
            "wait": verdict.wait,
            "uncounted": verdict.uncounted,
            "settled": verdict.state in (State.PUBLISHED, State.FAILED),
            "spent": int(verdict.spent),
            "surprises": int(verdict.unexpected),
            "disarm": verdict.disarm,
            "closes": verdict.closes,
            "keep": verdict.checkpoint is None,
            "checkpoint": vault.seal(verdict.checkpoint, claimed.id) if verdict.checkpoint else None,
            "remote_id": live.remote_id if live else None,
            "url": live.url if live else None,
            "delivered_as": live.delivered_as if live else None,
            "notes": jsonb(dict(live.notes)) if live and live.notes else None,
            "error": jsonb(look or error_to_dict(verdict.error)),
            "streaks": jsonb(_streaks_to_dict(claimed, verdict, self.not_before)),
            "origin": origin,
            "mover": self.mover,
            "looked": self.looked,
            "absent": self.absent,
            "not_before": self.not_before,
            "lease": queued_lease,
            "status": status if known else None,
            "why": _describe(verdict),
        }


def settle(  # noqa: PLR0913  one keyword per fact
    c: Connection,
    vault: Vault,
    claimed: ClaimedDelivery,
    verdict: Verdict,
    mover: Mover,
    *,
    origin: State,
    looked: bool = False,
    absent: bool = False,
    not_before: datetime | None = None,
    queued_lease: timedelta = timedelta(minutes=5),
) -> datetime | None:
    """Store the verdict on a claimed delivery; return its ``next_at``, or None when the claim is lost.

    The post's status is recomputed in the same transaction whenever its public status could change; with
    ``needs_post_lock`` the caller learns whether that takes a transaction or a single statement. Raises RemoteIdTaken,
    with nothing stored.
    """
    one = Settlement(
        claimed=claimed, verdict=verdict, mover=mover, looked=looked, absent=absent, not_before=not_before
    )
    values = one.values(vault, origin, queued_lease)
    locks = needs_post_lock(claimed, verdict, origin)
    if locks:
        lock_post(c, claimed.post_id)
    with translate_taken_remote_id():
        found = row(c, _SETTLE, **values)
    if found is not None and locks:
        recompute_post_status(c, claimed.post_id)
    return None if found is None else found.next_at


def settle_batch(
    c: Connection, vault: Vault, some: Sequence[Settlement], *, queued_lease: timedelta = timedelta(minutes=5)
) -> list[datetime | None]:
    """Store several settlements that need no post lock, in the caller's transaction; otherwise like ``settle``."""
    order = sorted(
        range(len(some)), key=lambda n: some[n].claimed.post_id
    )  # posts in id order: the lock order
    with translate_taken_remote_id():
        found = run_many(
            c, _SETTLE, [some[n].values(vault, some[n].claimed.state, queued_lease) for n in order]
        )
    instants = {n: None if r is None else r.next_at for n, r in zip(order, found, strict=True)}
    return [instants[n] for n in range(len(some))]


def _streaks_to_dict(
    claimed: ClaimedDelivery, verdict: Verdict, not_before: datetime | None
) -> dict[str, str] | None:
    """Return the streaks of unavailability after a verdict; any answer of the platform ends them."""
    party = verdict.unavailable
    if verdict.held or party == STORAGE:
        held = verdict.wait if not_before is None else max(verdict.wait, not_before - claimed.now)
        streaks = shift_streaks(claimed.streaks, held)
        if party is not None:  # its own streak goes on, by which its pauses grow
            streaks = {**streaks, party: claimed.streaks.get(party, claimed.now)}
    elif party is not None:
        streaks = extend_streaks(claimed.streaks, party, claimed.now)
    else:
        streaks = {}
    return {party: since.isoformat() for party, since in streaks.items()} or None


def changes_public_status(claimed: ClaimedDelivery, verdict: Verdict, origin: State) -> bool:
    """Return whether the account's public status changes: a claimed delivery is shown as pending already."""
    statuses = (derive_account_status(origin, None), derive_account_status(verdict.state, verdict.reason))
    before, after = (apply_due_time(status, claimed.due_at, claimed.now) for status in statuses)
    return before is not after


def needs_post_lock(claimed: ClaimedDelivery, verdict: Verdict, origin: State) -> bool:
    """Return whether settling takes a transaction that locks the post, or a single statement."""
    status = derive_account_status(verdict.state, verdict.reason)
    return (
        not claimed.alone
        and not claimed.is_comment  # it counts in no status
        and status is not PostStatus.PENDING
        and changes_public_status(claimed, verdict, origin)
    )


def _describe(verdict: Verdict) -> str | None:
    if verdict.error is not None:
        return f"{type(verdict.error).__name__}: {verdict.error}"[:500]
    return f"held: {verdict.held_for}" if verdict.held_for else None
