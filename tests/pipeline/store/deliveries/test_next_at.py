"""A statement that changes a delivery changes no other and sets ``updated_at``, by which lost messages are found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from pipeline.domain.delivery import Mover, State
from pipeline.domain.verdict import Outcome, Verdict
from pipeline.store.deliveries import lease, release
from pipeline.store.deliveries.arm import arm, save_checkpoint
from pipeline.store.deliveries.claim import ClaimedDelivery, claim, claim_look
from pipeline.store.deliveries.lease import (
    Rescue,
    dispatch_looks,
    redispatch_lost,
    redispatch_lost_looks,
    rescue,
)
from pipeline.store.deliveries.move import move
from pipeline.store.deliveries.settle import settle
from tests.pipeline.store.ledger import HOUR, LEASE, Ledger, to_expired

NOW = timedelta(0)
RETRY = Verdict(state=State.RETRYING, spent=True, closes=Outcome.REFUSED)
Job = Callable[[Connection, Ledger, ClaimedDelivery], object]


def _move(c: Connection, _: Ledger, held: ClaimedDelivery) -> object:
    return move(
        c,
        delivery=held.id,
        post=held.post_id,
        origin=held.state,
        target=State.CANCELLED,
        mover=Mover.CANCEL,
        generation=held.generation,
    )


def _rescue(c: Connection, _: Ledger, held: ClaimedDelivery) -> object:
    return rescue(c, to_expired(held), Rescue(target=State.QUEUED, why="test"), LEASE)


JOBS: dict[str, tuple[State, str, Job]] = {
    "claim": (
        State.QUEUED,
        "fence = 1",
        lambda c, on, h: claim(c, on.vault, h.id, h.generation, LEASE),
    ),
    "claim of a look": (
        State.UNKNOWN,
        "fence = 1",
        lambda c, on, h: claim_look(c, on.vault, h.id, h.generation, h.fence, LEASE),
    ),
    "checkpoint": (
        State.PUBLISHING,
        "fence = 1",
        lambda c, on, h: save_checkpoint(c, on.vault, h, {"step": 1}, scratch=True),
    ),
    "arm": (
        State.PUBLISHING,
        "fence = 1",
        lambda c, on, h: arm(c, on.vault, h, {"handle": "h"}, LEASE),
    ),
    "settle": (
        State.PUBLISHING,
        "fence = 1",
        lambda c, on, h: settle(c, on.vault, h, RETRY, Mover.PUBLISH, origin=State.PUBLISHING),
    ),
    "move": (State.SCHEDULED, "fence = 1", _move),
    "rescue": (State.PUBLISHING, "lease_until = now() - interval '1 second'", _rescue),
}


@pytest.mark.parametrize(("state", "change", "job"), JOBS.values(), ids=JOBS.keys())
def test_one_is_touched_and_none_beside_it(shared: Ledger, state: State, change: str, job: Job) -> None:
    """Three of one account that look the same; the one in the middle is meant."""
    posts = shared.posts(3, [shared.account(shared.workspace())], state)
    for post in posts:
        shared.change(post.deliveries[0], f"{change}, updated_at = now() - interval '1 hour'")
    before, held, after = (shared.read_claimed(p.deliveries[0]) for p in posts)
    others = [
        (shared.delivery(h.id)[:-1], shared.attempts(h.id), shared.status(p))
        for h, p in zip((before, after), (posts[0], posts[2]), strict=True)
    ]
    assert shared.do(job, shared, held)
    touched = shared.delivery(held.id)
    assert touched.now - touched.updated_at < timedelta(minutes=30)
    assert others == [
        (shared.delivery(h.id)[:-1], shared.attempts(h.id), shared.status(p))
        for h, p in zip((before, after), (posts[0], posts[2]), strict=True)
    ]


RINGS: dict[str, tuple[State, str, Callable[[Connection], list[Any]]]] = {
    "release": (State.SCHEDULED, "fence = 0", lambda c: release.release(c, "tiktok", 1, LEASE)),
    "looks": (State.UNKNOWN, "fence = 0", lambda c: dispatch_looks(c, 1, LEASE)),
    "lost": (
        State.QUEUED,
        "lease_until = now() - interval '1 second'",
        lambda c: redispatch_lost(c, 1, LEASE),
    ),
    "lost looks": (
        State.UNKNOWN,
        "lease_until = now() + interval '2 hours'",
        lambda c: redispatch_lost_looks(c, 1, LEASE, claim_lease=HOUR),
    ),
}


@pytest.mark.parametrize(("state", "change", "job"), RINGS.values(), ids=RINGS.keys())
def test_what_is_rung_first_has_waited_longest_and_is_held_from_now_on(
    ledger: Ledger, state: State, change: str, job: Callable[[Connection], list[Any]]
) -> None:
    posts = ledger.posts(3, [ledger.account(ledger.workspace())], state)
    for hours, post in ((1, posts[0]), (3, posts[1]), (2, posts[2])):
        ledger.change(
            post.deliveries[0],
            f"""{change}, updated_at = now() - interval '1 hour',
                next_at = now() - make_interval(hours => :hours)""",
            hours=hours,
        )
        if "- interval" in change:
            ledger.change(post.deliveries[0], "lease_until = next_at")
    untouched = [ledger.delivery(p.deliveries[0]).updated_at for p in (posts[0], posts[2])]
    with ledger.database.begin() as c:
        c.exec_driver_sql("ANALYZE deliveries")  # with so few rows the planner scans the table, not an index
        [message] = job(c)
    assert message.delivery == posts[1].deliveries[0]
    found = ledger.delivery(message.delivery)
    assert found.now - found.updated_at < timedelta(minutes=30)
    assert found.lease_until - found.updated_at == LEASE
    assert (message.generation, message.fence) == (found.generation, found.fence)
    assert [ledger.delivery(p.deliveries[0]).updated_at for p in (posts[0], posts[2])] == untouched


@pytest.mark.parametrize("change", ["generation = generation + 1", "state = 'retrying'"])
def test_a_move_that_somebody_was_faster_than_moves_nothing(shared: Ledger, change: str) -> None:
    held = shared.read_claimed(shared.fresh().deliveries[0])
    shared.change(held.id, change)
    before = shared.delivery(held.id)[:-1]
    assert not shared.do(_move, shared, held)
    assert shared.delivery(held.id)[:-1] == before


LOST = {
    "claimed by another": "fence = fence + 1",
    "edited": "generation = generation + 1",
    "put back": "state = 'queued'",
    "over": "lease_until = now() - interval '1 millisecond'",
}


@pytest.mark.parametrize("change", LOST.values(), ids=LOST.keys())
def test_a_claim_that_was_lost_is_not_lengthened_and_stores_no_step(shared: Ledger, change: str) -> None:
    held = shared.claimed(shared.fresh())
    shared.change(held.id, change)
    before = shared.delivery(held.id)
    with shared.database.once() as c:
        assert not lease.extend_lease(c, held, HOUR)
        if change != LOST["over"]:  # the worker that claimed it has raised the fence
            assert not save_checkpoint(c, shared.vault, held, {"step": 1}, scratch=False)
    after = shared.delivery(held.id)
    assert (after.lease_until, after.checkpoint) == (before.lease_until, before.checkpoint)


def test_a_claim_is_lengthened_from_now_and_no_other_with_it(shared: Ledger) -> None:
    held, other = shared.claimed(shared.fresh()), shared.claimed(shared.fresh())
    assert shared.do_once(lease.extend_lease, held, HOUR)
    found, untouched = shared.delivery(held.id), shared.delivery(other.id)
    assert timedelta(minutes=59) < found.lease_until - found.now <= HOUR
    assert untouched.lease_until - untouched.now <= LEASE
