"""Late results: answers that reach a worker after it lost its claim. They are stored, and move nothing by their fence.

The lock order is the same as everywhere: the post, its delivery, then the attempts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from adapters.contract import CheckpointData, Published
from pipeline.domain.delivery import SETTLED, Mover, State
from pipeline.domain.retry_policy import evaluate_conflict
from pipeline.domain.verdict import Verdict
from pipeline.store.database import execute, find_value, has_row, jsonb, row
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.deliveries.move import lock_post, move
from pipeline.store.deliveries.ownership import is_remote_id_taken
from pipeline.store.vault import Vault


@dataclass(frozen=True, kw_only=True, slots=True)
class ProofResult:
    """The changes of a late proof that a post is live. ``alarm``: why an operator has to look."""

    settled: bool
    alarm: str | None = None


_OWN_ATTEMPT = """
SELECT CASE WHEN :publishing THEN (SELECT min(n) FROM attempts WHERE delivery_id = :id AND fence >= :fence)
            ELSE (SELECT max(n) FROM attempts WHERE delivery_id = :id AND fence <= :fence) END AS n
"""
# An attempt has its claim's fence until a later claim resumes the attempt and raises it; a look's fence is between
# the fences of the attempt it looks for and of the next one.


def save_late_result(c: Connection, claimed: ClaimedDelivery, late: Mapping[str, Any]) -> int | None:
    """Store a late result with its attempt, whatever the delivery's state; return the attempt's number."""
    lock_post(c, claimed.post_id)
    row(c, "SELECT id FROM deliveries WHERE id = :id FOR UPDATE", id=claimed.id)
    is_own = claimed.state is State.PUBLISHING
    number = find_value(c, int, _OWN_ATTEMPT, id=claimed.id, fence=claimed.fence, publishing=is_own)
    sql = """UPDATE attempts SET late = coalesce(late, '[]'::jsonb) || CAST(:late AS jsonb)
             WHERE delivery_id = :id AND n = :n"""
    execute(c, sql, id=claimed.id, n=number, late=jsonb([dict(late)]))
    return number


def save_late_handle(
    c: Connection, vault: Vault, claimed: ClaimedDelivery, checkpoint: CheckpointData
) -> bool:
    """Store a late handle as the checkpoint of its unknown delivery, for looks; False if it is not unknown."""
    number = save_late_result(c, claimed, {"handle": True})
    return has_row(
        c,
        """UPDATE deliveries SET checkpoint = :checkpoint, updated_at = now()
           WHERE id = :id AND state = 'unknown' AND armed_at = (
               SELECT armed_at FROM attempts WHERE delivery_id = :id AND n = :n AND closed_at IS NULL)
           RETURNING id""",
        id=claimed.id,
        n=number,
        checkpoint=vault.seal(checkpoint, claimed.id),
    )


def settle_by_proof(c: Connection, claimed: ClaimedDelivery, live: Published) -> ProofResult:
    """Settle a delivery as published on late proof, from any unsettled state, and raise its generation.

    When the delivery is settled otherwise, or another delivery owns the remote post, the result is an alarm that is
    stored with the attempt: no state claims more than is known.
    """
    number = save_late_result(c, claimed, {"remote_id": live.remote_id, "url": live.url})
    found = row(
        c,
        """SELECT state, generation, fence, armed_at, remote_id, now() AS now,
                  EXISTS (SELECT FROM attempts WHERE delivery_id = :id AND n > :n AND armed_at IS NOT NULL) AS again
           FROM deliveries WHERE id = :id""",
        id=claimed.id,
        n=number,
    )
    if found is None:
        return ProofResult(settled=False)
    if State(found.state) in SETTLED:
        return ProofResult(settled=False, alarm=_find_contradiction(found, live))
    alarm = "a second attempt had been armed since: it may be live twice" if found.again else None
    try:
        with c.begin_nested():
            return ProofResult(settled=_publish(c, claimed, found, live, number, alarm), alarm=alarm)
    except IntegrityError as error:
        if not is_remote_id_taken(error):
            raise
    return ProofResult(settled=_block(c, claimed, found, live), alarm=str(evaluate_conflict(live).error))


def _find_contradiction(found: Any, live: Published) -> str | None:
    """Return why a settled delivery contradicts the late proof; None when they agree."""
    if State(found.state) is not State.PUBLISHED:
        return f"it is {found.state}, but the platform shows it live as {live.remote_id}"
    if found.remote_id not in (None, live.remote_id):
        return f"it is live twice: as {found.remote_id} and as {live.remote_id}"
    return None


def _fence_off(found: Any) -> Mapping[str, Any]:
    """Return the changes after which no message and no claim of before finds the delivery."""
    return {"generation": found.generation + 1, "fence": found.fence + 1, "lease_until": None}


def _publish(
    c: Connection,
    claimed: ClaimedDelivery,
    found: Any,
    live: Published,
    number: int | None,
    alarm: str | None,
) -> bool:
    done = move(
        c,
        delivery=claimed.id,
        post=claimed.post_id,
        origin=State(found.state),
        target=State.PUBLISHED,
        mover=Mover.PROOF,
        generation=found.generation,
        why="late proof" + (f"; ALARM: {alarm}" if alarm else ""),
        changes={
            **_fence_off(found),
            "remote_id": live.remote_id,
            "url": live.url,
            "delivered_as": live.delivered_as,
            "notes": jsonb(dict(live.notes) or None),
            "published_at": found.now,
            "next_at": found.now,
            "error": None,
        },
    )
    # its own attempt is published; a later un-armed one did nothing; a later armed one stays open, as unknown
    execute(
        c,
        """UPDATE attempts SET closed_at = now(), outcome = CASE WHEN n = :n THEN 'published' ELSE 'refused' END,
                  remote_id = CASE WHEN n = :n THEN :remote END
           WHERE delivery_id = :id AND closed_at IS NULL AND (n = :n OR armed_at IS NULL)""",
        id=claimed.id,
        n=number,
        remote=live.remote_id,
    )
    return done


def _block(c: Connection, claimed: ClaimedDelivery, found: Any, live: Published) -> bool:
    """Block the delivery until an operator resolves it; it counts as armed, so that nothing sends it again."""
    verdict: Verdict = evaluate_conflict(live)
    return move(
        c,
        delivery=claimed.id,
        post=claimed.post_id,
        origin=State(found.state),
        target=State.BLOCKED,
        reason=verdict.reason,
        mover=Mover.PROOF,
        generation=found.generation,
        why=f"ALARM: {verdict.error}",
        changes={
            **_fence_off(found),
            "armed_at": found.armed_at or found.now,
            "error": jsonb(error_to_dict(verdict.error)),
        },
    )
