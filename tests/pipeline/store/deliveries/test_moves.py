"""Every allowed move, in the real database; and the constraints that refuse invalid rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from adapters.contract import Published
from pipeline.domain.delivery import ALWAYS_ARMED, MOVES, ForbiddenMove, Mover, Reason, State
from pipeline.domain.verdict import Outcome, Verdict
from pipeline.store.database import rows
from pipeline.store.deliveries.claim import claim
from pipeline.store.deliveries.lease import Rescue, rescue
from pipeline.store.deliveries.move import lock_post, move
from pipeline.store.deliveries.settle import settle
from tests.pipeline.store.ledger import LEASE, Ledger, to_expired

BY_STAGE = {Mover.PUBLISH, Mover.STATUS}
MUST_NOT_BE_ARMED = {
    State.ACCEPTED,
    State.SCHEDULED,
    State.QUEUED,
    State.PREPARING,
    State.RETRYING,
    State.CANCELLED,
}


def ways() -> list[tuple[State, Mover, State, bool]]:
    """(from, who, to, armed before), for every move there is; twice where the origin may be either."""
    found = []
    for origin, row in MOVES.items():
        for mover, targets in row.items():
            for target in sorted(targets):
                either = origin in (State.PUBLISHING, State.BLOCKED)
                found += [
                    (origin, mover, target, a)
                    for a in ([False, True] if either else [origin in ALWAYS_ARMED])
                ]
    return found


def possible(origin: State, mover: Mover, target: State, *, armed: bool) -> bool:
    """Whether this way exists: an edit or a cancel of an armed delivery does not, nor an unarmed unknown."""
    if armed and mover in (Mover.EDIT, Mover.CANCEL):
        return False
    if mover in (Mover.RESCUE, Mover.RESUME) and origin is not State.QUEUED:
        return armed is (target in ALWAYS_ARMED)
    if mover is Mover.PUBLISH and target in ALWAYS_ARMED:
        return armed
    return True


WAYS = [way for way in ways() if possible(*way[:3], armed=way[3])]


def verdict(target: State, *, armed: bool) -> Verdict:
    disarm = armed and (target in MUST_NOT_BE_ARMED or target is State.FAILED)
    return Verdict(
        state=target,
        reason=Reason.PERSON_NEEDED if target is State.BLOCKED else None,
        published=Published(remote_id="r-1") if target is State.PUBLISHED else None,
        disarm=disarm,
        closes=Outcome.REFUSED if disarm else Outcome.PUBLISHED if target is State.PUBLISHED else None,
    )


def changes(origin: State, target: State, *, armed: bool) -> dict[str, Any]:
    """What else a move has to say, so that the row makes sense."""
    found: dict[str, Any] = {}
    if target is State.PUBLISHED:
        found["published_at"] = "2026-01-02T03:04:05Z"
    if target in ALWAYS_ARMED and not armed:  # a restore does not know whether it was sent
        found["armed_at"] = "2026-01-02T03:04:05Z"
    if target in MUST_NOT_BE_ARMED and armed:
        found["armed_at"] = None
    if target is State.QUEUED:
        found["lease_until"] = "2026-01-02T03:04:05Z"
    return found


@pytest.mark.parametrize(("origin", "mover", "target", "armed"), WAYS)
def test_every_move_of_the_table_is_one_the_database_takes(
    shared: Ledger, origin: State, mover: Mover, target: State, *, armed: bool
) -> None:
    post = shared.fresh()
    shared.put(post, origin, armed=armed)
    [delivery] = post.deliveries
    held = shared.read_claimed(delivery)
    if mover in BY_STAGE and origin is not State.QUEUED:
        assert (
            shared.do(settle, shared.vault, held, verdict(target, armed=armed), mover, origin=origin)
            is not None
        )
    elif mover is Mover.PUBLISH:
        assert shared.do_once(claim, shared.vault, delivery, 0, LEASE) is not None
    elif mover is Mover.RESCUE and origin is State.PUBLISHING:
        shared.change(delivery, "lease_until = now() - interval '1 second'")
        reason = Reason.PERSON_NEEDED if target is State.BLOCKED else None
        assert (
            shared.do(rescue, to_expired(held), Rescue(target=target, why="test", reason=reason), LEASE)
            is not None
        )
    else:
        assert shared.do(
            move,
            delivery=delivery,
            post=post.id,
            origin=origin,
            target=target,
            mover=mover,
            generation=0,
            reason=Reason.PERSON_NEEDED if target is State.BLOCKED else None,
            changes=changes(origin, target, armed=armed),
        )
    assert shared.state(delivery) is target
    recorded = shared.moves(delivery)[-1]
    assert recorded == (mover, origin, target) or origin is target


def test_a_move_that_is_not_in_the_table_changes_nothing(shared: Ledger) -> None:
    """`domain/test_delivery.py` has all that are not."""
    post = shared.fresh()
    [delivery] = post.deliveries
    before, held = shared.delivery(delivery), shared.read_claimed(delivery)
    origin, target = State.SCHEDULED, State.PUBLISHED
    with shared.database.begin() as c:
        with pytest.raises(ForbiddenMove):
            settle(c, shared.vault, held, verdict(target, armed=False), Mover.PUBLISH, origin=origin)
        with pytest.raises(ForbiddenMove):
            move(
                c,
                delivery=delivery,
                post=post.id,
                origin=origin,
                target=target,
                mover=Mover.EDIT,
                generation=0,
            )
        with pytest.raises(ForbiddenMove):
            rescue(c, to_expired(held), Rescue(target=target, why="test"), LEASE)
    assert shared.delivery(delivery).updated_at == before.updated_at


NONSENSE = [
    ("state = 'blocked'", "blocked_says_why"),
    ("reason = 'reconnect'", "blocked_says_why"),
    ("state = 'published'", "published_has_time"),
    ("published_at = now()", "published_has_time"),
    ("state = 'processing'", "after_the_visible_call"),
    ("state = 'unknown'", "after_the_visible_call"),
    ("armed_at = now()", "before_the_visible_call"),
    ("state = 'preparing', armed_at = now()", "before_the_visible_call"),
    ("state = 'retrying', armed_at = now()", "before_the_visible_call"),
    ("state = 'cancelled', armed_at = now()", "before_the_visible_call"),
    ("state = 'queued'", "held_has_lease"),
    ("state = 'publishing'", "held_has_lease"),
    ("state = 'lost'", "deliveries_state_check"),
]


@pytest.mark.parametrize(("assignments", "constraint"), NONSENSE)
def test_the_database_refuses_a_row_that_makes_no_sense(
    shared: Ledger, assignments: str, constraint: str
) -> None:
    [delivery] = shared.fresh().deliveries
    with pytest.raises(IntegrityError, match=constraint):
        shared.change(delivery, assignments)


def test_only_one_attempt_is_open_at_a_time(shared: Ledger) -> None:
    [delivery] = shared.fresh(State.PUBLISHING).deliveries
    with pytest.raises(IntegrityError, match="attempts_one_open"), shared.database.begin() as c:
        c.exec_driver_sql(
            """INSERT INTO attempts (delivery_id, account_id, n, generation, fence)
               SELECT id, account_id, 2, 0, 9 FROM deliveries WHERE id = %(id)s""",
            {"id": delivery},
        )


def test_a_post_has_one_delivery_per_account(shared: Ledger) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    with pytest.raises(IntegrityError, match="deliveries_post_id_account_id_is_comment_key"):
        shared.post([account, account])


def test_next_at_is_never_before_the_time_of_a_post_that_was_prepared_early(shared: Ledger) -> None:
    post = shared.fresh(due=timedelta(hours=1))
    held = shared.claimed(post)
    early = Verdict(state=State.SCHEDULED, checkpoint={"handle": "h"})
    when = shared.do_once(
        settle, shared.vault, held, early, Mover.PUBLISH, origin=State.PUBLISHING, not_before=held.due_at
    )
    assert when == held.due_at
    assert shared.read_claimed(held.id).checkpoint == {"handle": "h"}


def test_one_post_is_locked_and_no_other(shared: Ledger) -> None:
    post, other = shared.fresh(), shared.fresh()
    with shared.database.begin() as c, shared.database.begin() as second:
        lock_post(c, post.id)
        free = {r.id for r in rows(second, "SELECT id FROM posts FOR UPDATE SKIP LOCKED")}
    assert (post.id in free, other.id in free) == (False, True)
