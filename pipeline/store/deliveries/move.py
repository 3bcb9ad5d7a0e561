"""Move a delivery to another state: lock its post, move it, recompute the post's status.

Every move is ``UPDATE … WHERE id AND state AND generation``, and the fence once it is claimed. Zero rows means that
another process was faster, and the caller stops. The lock order is the same everywhere: the post, then its deliveries
in id order. A move that cannot change the post's public status locks the delivery alone (``settle.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import Mover, Reason, State, require_move
from pipeline.domain.own_content import find_next_due
from pipeline.domain.post import PostStatus, apply_due_time, derive_account_status, derive_post_status
from pipeline.store.database import execute, has_row, row, rows

REMOVED = "(d.state = 'cancelled' AND d.removed_generation IS NOT DISTINCT FROM d.generation)"
"""SQL: whether an edit took the account of a delivery ``d`` off its post."""


def move(  # noqa: PLR0913  one keyword per column
    c: Connection,
    *,
    delivery: UUID,
    post: UUID,
    origin: State,
    target: State,
    mover: Mover,
    generation: int,
    reason: Reason | None = None,
    changes: Mapping[str, Any] | None = None,
    why: str | None = None,
) -> bool:
    """Lock the post, move its delivery, recompute the post's status. False: another process was faster.

    ``changes``: values of further columns; the names go into the statement and never come from a request.
    """
    require_move(origin, mover, target)
    lock_post(c, post)
    extra = "".join(f", {name} = :{name}" for name in changes or ())
    is_moved = has_row(
        c,
        f"""WITH d AS (
                UPDATE deliveries SET state = :target, reason = :reason, held_for = NULL, updated_at = now() {extra}
                WHERE id = :id AND state = :origin AND generation = :old_generation
                RETURNING id, generation, fence
            ), move AS (
                INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
                SELECT id, :mover, :origin, :target, generation, fence, :why FROM d
            )
            SELECT id FROM d""",
        id=delivery,
        origin=origin,
        target=target,
        old_generation=generation,
        mover=mover,
        reason=reason,
        why=why,
        **(changes or {}),
    )
    if is_moved:
        recompute_post_status(c, post)
    return is_moved


def lock_post(c: Connection, post: UUID) -> None:
    """Lock the post's row, so that two workers that settle its last two deliveries run one after the other."""
    row(c, "SELECT id FROM posts WHERE id = :id FOR UPDATE", id=post)


def recompute_post_status(c: Connection, post: UUID) -> PostStatus:
    """Store and return the status that the accounts a post targets give it. The caller holds the post's lock.

    Where they have content of their own, the due time is theirs too: that of the next one.
    """
    found = rows(
        c,
        f"""SELECT state, reason, due_at, now() AS now, own IS NOT NULL AS is_own FROM post_deliveries d
            WHERE post_id = :id AND NOT {REMOVED}""",
        id=post,
    )
    status = derive_post_status(
        apply_due_time(
            derive_account_status(State(r.state), Reason(r.reason) if r.reason else None), r.due_at, r.now
        )
        for r in found
    )
    is_own = any(r.is_own for r in found)
    execute(
        c,
        """UPDATE posts SET status = :status, due_at = coalesce(:due, due_at), updated_at = now()
           WHERE id = :id AND (status <> :status OR due_at <> :due)""",
        id=post,
        status=status,
        due=find_next_due((r.due_at, State(r.state)) for r in found) if is_own else None,
    )
    return status
