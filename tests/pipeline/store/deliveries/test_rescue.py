from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from adapters.errors import OutcomeUnknown
from pipeline.domain.delivery import LOOKED_AT, Mover, Reason, State
from pipeline.domain.verdict import Verdict
from pipeline.store.accounts.accounts import require_reconnect
from pipeline.store.accounts.grants import activate
from pipeline.store.database import rows
from pipeline.store.deliveries.arm import arm
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.lease import (
    ExpiredLease,
    Rescue,
    list_expired_leases,
    rescue,
    resume_blocked,
    resume_reconnected,
)
from pipeline.store.deliveries.settle import settle
from tests.pipeline.store.ledger import LEASE, Ledger, together

BACK = Rescue(target=State.QUEUED, why="its worker died")
UNKNOWN = Rescue(
    target=State.UNKNOWN,
    why="its lease expired after arm",
    wait=timedelta(seconds=5),
    error=OutcomeUnknown("?"),
)


def die(ledger: Ledger, held: ClaimedDelivery) -> ExpiredLease:
    ledger.change(held.id, "lease_until = now() - interval '1 second'")
    [one] = [d for d in ledger.do(list_expired_leases, 100) if d.id == held.id]
    return one


def save(ledger: Ledger, one: ExpiredLease, how: Rescue) -> int | None:
    return ledger.do(rescue, one, how, LEASE)


def stores(ledger: Ledger, held: ClaimedDelivery) -> bool:
    with ledger.database.begin() as c:
        verdict = Verdict(state=State.RETRYING)
        return settle(c, ledger.vault, held, verdict, Mover.PUBLISH, origin=State.PUBLISHING) is not None


def test_what_was_not_armed_goes_back_and_its_crash_is_counted(shared: Ledger) -> None:
    post = shared.fresh()
    held = shared.claimed(post)
    one = die(shared, held)
    assert save(shared, one, BACK) == held.fence + 1
    found = shared.delivery(held.id)
    assert (found.state, found.crashes, found.fence) == ("queued", 1, held.fence + 1)
    assert found.lease_until > found.now
    assert shared.moves(held.id)[-1] == ("rescue", "publishing", "queued")
    assert shared.last_why(held.id) == BACK.why
    assert not stores(shared, held), "the old holder can store nothing any more"
    assert shared.do_once(arm, shared.vault, held, {}, timedelta(seconds=9)) is None, "nor send"


def test_no_more_are_found_than_asked_for_and_those_that_were_dropped_longest_ago_first(
    ledger: Ledger,
) -> None:
    held = [ledger.claimed(ledger.fresh()) for _ in range(3)]
    for minutes, one in zip((1, 3, 2), held, strict=True):
        ledger.change(one.id, "lease_until = now() - make_interval(mins => :m)", m=minutes)
    assert [d.id for d in ledger.do(list_expired_leases, 2)] == [held[1].id, held[2].id]


@pytest.mark.parametrize("state", [State.QUEUED, *sorted(LOOKED_AT)])
def test_what_is_not_being_published_was_not_dropped(shared: Ledger, state: State) -> None:
    [delivery] = shared.fresh(state).deliveries
    shared.change(delivery, "lease_until = now() - interval '1 second'")
    assert delivery not in [one.id for one in shared.do(list_expired_leases, 10_000)]


def test_crashes_add_up_over_claims(shared: Ledger) -> None:
    post = shared.fresh()
    for n in range(3):
        one = die(shared, shared.claimed(post))
        assert one.crashes == n
        assert save(shared, one, BACK) is not None
    [attempt] = shared.attempts(post.deliveries[0])
    assert attempt.closed_at is None


def test_what_was_armed_becomes_unknown_and_is_looked_at(shared: Ledger) -> None:
    post = shared.fresh()
    held = shared.armed(post)
    assert save(shared, die(shared, held), UNKNOWN) is not None
    found = shared.delivery(held.id)
    assert (found.state, found.lease_until, found.error["code"]) == ("unknown", None, "outcome_unknown")
    assert found.armed_at is not None
    assert timedelta(seconds=3) < found.next_at - found.now <= timedelta(seconds=5)
    assert shared.status(post) == "pending"
    assert not stores(shared, held)


def test_a_poisonous_one_is_set_aside(shared: Ledger) -> None:
    post = shared.fresh()
    how = Rescue(target=State.BLOCKED, why="poison", reason=Reason.PERSON_NEEDED)
    assert save(shared, die(shared, shared.claimed(post)), how) is not None
    assert shared.delivery(post.deliveries[0]).reason == "person_needed"
    assert shared.status(post) == "retry"


def test_a_rescue_that_comes_too_late_does_nothing(shared: Ledger) -> None:
    """Each time something happened between finding the delivery and rescuing it."""
    for happened in (
        "lease_until = now() + interval '1 minute'",
        "fence = fence + 1",
        "generation = generation + 1",
        "armed_at = now()",
        "state = 'retrying'",
    ):
        held = shared.claimed(shared.fresh())
        one = die(shared, held)
        shared.change(held.id, happened)
        before = shared.delivery(held.id)
        assert save(shared, one, BACK) is None, happened
        assert shared.delivery(held.id).crashes == 0
        assert shared.delivery(held.id).state == before.state


def test_of_many_rescuers_one_rescues(shared: Ledger) -> None:
    for _ in range(4):
        one = die(shared, shared.claimed(shared.fresh()))
        fences = together(*[partial(save, shared, one, BACK)] * 8)
        assert len([f for f in fences if f is not None]) == 1


def test_a_rescue_and_the_worker_that_wakes_up_never_both_have_their_way(shared: Ledger) -> None:
    for _ in range(15):
        post = shared.fresh()
        held = shared.claimed(post)
        one = die(shared, held)
        rescued, stored = together(partial(save, shared, one, BACK), partial(stores, shared, held))
        assert (rescued is not None) is not bool(stored)


# --- resume ----------------------------------------------------------------------------------------------------------


def test_what_goes_on_together_takes_its_posts_in_the_one_order(ledger: Ledger) -> None:
    posts = ledger.posts(4, [ledger.account(ledger.workspace())], State.BLOCKED)
    for post in reversed(posts):  # in table order the last one is the first
        ledger.change(post.deliveries[0], "reason = 'reconnect'")
    with ledger.database.begin() as c:
        c.exec_driver_sql("ANALYZE deliveries")
        assert resume_reconnected(c, 100) == [p.deliveries[0] for p in sorted(posts, key=lambda p: p.id)]


def test_what_waited_for_its_account_goes_on_when_it_is_connected(ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    unarmed, armed, other = (ledger.post([account]) for _ in range(3))
    ledger.put(unarmed, State.BLOCKED, reason=Reason.RECONNECT)
    ledger.put(armed, State.BLOCKED, armed=True, reason=Reason.RECONNECT)
    ledger.put(other, State.BLOCKED, reason=Reason.PERSON_NEEDED)
    ledger.change(unarmed.deliveries[0], "crashes = 2, surprises = 2")
    with ledger.database.begin() as c:
        require_reconnect(c, account, {"code": "reconnect_required"}, 1)
        assert resume_reconnected(c, 100) == []
        assert activate(c, account) == "reconnect", "its error still stands"
        c.exec_driver_sql("UPDATE accounts SET status = 'active', error = NULL")
        assert [len(resume_reconnected(c, 1)) for _ in range(3)] == [1, 1, 0]
    assert ledger.states(unarmed) == [State.RETRYING]
    assert ledger.states(armed) == [State.UNKNOWN]
    assert ledger.states(other) == [State.BLOCKED]
    assert ledger.last_why(unarmed.deliveries[0]) == "the account is connected again"
    found = ledger.delivery(unarmed.deliveries[0])
    assert (found.reason, found.crashes, found.surprises, found.working_since) == (None, 0, 0, None)
    assert found.next_at <= found.now
    looked = ledger.delivery(armed.deliveries[0])
    assert looked.armed_at is not None
    assert looked.now - looked.working_since < timedelta(seconds=10), "its time starts again"


@pytest.mark.parametrize(
    ("reason", "armed", "recorded"),
    [
        (Reason.PERSON_NEEDED, False, True),
        (Reason.PERSON_NEEDED, True, False),
        (Reason.RECONNECT, False, False),
        (Reason.RECONNECT, True, False),
    ],
)
def test_a_dead_letter_that_goes_on_is_recorded_for_the_epoch_file_and_no_other(
    ledger: Ledger, reason: Reason, *, armed: bool, recorded: bool
) -> None:
    """After a restore, what is not recorded counts as never sent."""
    post, other = ledger.fresh(), ledger.fresh()
    ledger.put(post, State.BLOCKED, armed=armed, reason=reason)
    ledger.put(other, State.BLOCKED, reason=Reason.PERSON_NEEDED)
    [delivery] = post.deliveries
    with ledger.database.begin() as c:
        assert resume_blocked(c, delivery, post.id, 0, armed=armed, why="test")
        found = rows(c, "SELECT delivery_id FROM brought_forward")
    assert [r.delivery_id for r in found] == [delivery] * recorded
    assert ledger.states(other) == [State.BLOCKED]
