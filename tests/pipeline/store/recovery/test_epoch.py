"""Release, claim and arm check the epoch in their own statements: a worker with an old view does nothing."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from pipeline.domain.delivery import State
from pipeline.store.database import row
from pipeline.store.deliveries.arm import arm
from pipeline.store.deliveries.claim import claim, claim_look
from pipeline.store.deliveries.release import release
from pipeline.store.recovery import epoch as marks
from tests.pipeline.store.ledger import LEASE, Ledger

MINE = "writer = pg_current_xact_id()::xid"
CLOSED = {
    "held": f"held_at = now(), held_why = 'restored', {MINE}",
    "the lease is over": f"until = now() - interval '1 millisecond', {MINE}",
    "never confirmed": f"until = NULL, {MINE}",
    "another run of the server": f"started = started - interval '1 second', {MINE}",
    "another database": f"database = 1, {MINE}",
    "another table": f"relation = 1, {MINE}",
    "written by another transaction": "n = n",
    "held before there was a mark": f"epoch = NULL, until = NULL, held_at = now(), held_why = 'restored', {MINE}",
}


def confirmed(ledger: Ledger) -> None:
    """The mark is ahead of now."""
    with ledger.database.begin() as c:
        marks.clear_hold(c)
        intent = marks.intend(c, uuid4(), timedelta(minutes=1))
        assert marks.confirm(c, intent)


@pytest.mark.parametrize("why", CLOSED)
def test_while_it_is_not_open_nothing_is_released_claimed_armed_or_looked_at(
    shared: Ledger, why: str
) -> None:
    confirmed(shared)
    due, queued, looked_at = shared.fresh(), shared.fresh(State.QUEUED), shared.fresh(State.UNKNOWN)
    ready = shared.fresh()
    held, look = shared.claimed(ready), shared.delivery(looked_at.deliveries[0])

    def sends() -> list[bool]:
        released = {message.delivery for message in shared.do(release, "tiktok", 1000, LEASE)}
        with shared.database.once() as c:
            return [
                due.deliveries[0] in released,
                claim(c, shared.vault, queued.deliveries[0], 0, LEASE) is not None,
                arm(c, shared.vault, held, {}, timedelta(minutes=1)) is not None,
                claim_look(c, shared.vault, look.id, look.generation, look.fence, LEASE) is not None,
            ]

    shared.do(row, f"UPDATE mark SET {CLOSED[why]} RETURNING n")  # noqa: S608
    assert sends() == [False] * 4
    confirmed(shared)
    assert sends() == [True] * 4


def test_what_was_brought_forward_is_not_armed_before_that_is_noted_outside(shared: Ledger) -> None:
    confirmed(shared)
    edited, other = shared.fresh(), shared.fresh()
    for post in (edited, other):
        shared.change(post.deliveries[0], "generation = 1")
    shared.do(
        row,
        "INSERT INTO brought_forward (delivery_id) VALUES (:id) RETURNING delivery_id",
        id=edited.deliveries[0],
    )

    def arms(post: UUID) -> bool:
        return shared.do_once(arm, shared.vault, held[post], {}, timedelta(minutes=1)) is not None

    held = {post.id: shared.claimed(post) for post in (edited, other)}
    assert (arms(edited.id), arms(other.id)) == (False, True)
    confirmed(shared)
    assert arms(edited.id)
