"""Results that arrive after their claim was lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest

from adapters.contract import Published
from pipeline.domain.delivery import ALWAYS_ARMED, SETTLED, UNSETTLED, Mover, Reason, State
from pipeline.domain.verdict import Outcome, Verdict
from pipeline.store.database import row
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.late_results import (
    ProofResult,
    save_late_handle,
    save_late_result,
    settle_by_proof,
)
from pipeline.store.deliveries.lease import Rescue, rescue
from pipeline.store.deliveries.settle import settle
from tests.pipeline.store.ledger import LEASE, Ledger, Post, to_expired, together
from tests.stack import until

LIVE = Published(remote_id="live-1", url="https://example.test/1", delivered_as="inbox_draft", notes={"n": 1})
ABSENT = Verdict(state=State.RETRYING, spent=True, closes=Outcome.ABSENT, disarm=True)


def lose(ledger: Ledger, held: ClaimedDelivery) -> None:
    """Its worker hangs after arm: the lease runs out and the delivery becomes unknown."""
    ledger.change(held.id, "lease_until = now() - interval '1 second'")
    one = to_expired(ledger.read_claimed(held.id))
    target = State.QUEUED if one.armed_at is None else State.UNKNOWN
    assert ledger.do(rescue, one, Rescue(target=target, why="test"), LEASE) is not None


def prove(ledger: Ledger, held: ClaimedDelivery, live: Published = LIVE) -> ProofResult:
    return ledger.do(settle_by_proof, held, live)


def absent(ledger: Ledger, held: ClaimedDelivery) -> None:
    """Looked at, and proven not to be there."""
    with ledger.database.begin() as c:
        now = ledger.read_claimed(held.id)
        assert settle(c, ledger.vault, now, ABSENT, Mover.STATUS, origin=State.UNKNOWN) is not None


def test_late_proof_settles_and_a_stale_holder_still_moves_nothing(shared: Ledger) -> None:
    post = shared.fresh()
    held = shared.armed(post)
    lose(shared, held)
    with shared.database.begin() as c:
        verdict = Verdict(state=State.PUBLISHED, closes=Outcome.PUBLISHED, published=LIVE)
        assert settle(c, shared.vault, held, verdict, Mover.PUBLISH, origin=State.PUBLISHING) is None
    before = shared.delivery(held.id)
    assert prove(shared, held) == ProofResult(settled=True)
    found = shared.delivery(held.id)
    assert (found.state, found.remote_id, found.url, found.delivered_as, found.notes) == (
        "published",
        "live-1",
        "https://example.test/1",
        "inbox_draft",
        {"n": 1},
    )
    assert (found.generation, found.fence) == (before.generation + 1, before.fence + 1), "old messages die"
    assert shared.last_why(held.id) == "late proof"
    assert (found.error, found.lease_until) == (None, None)
    assert shared.status(post) == "posted"
    [attempt] = shared.attempts(held.id)
    assert (attempt.outcome, attempt.remote_id) == ("published", "live-1")
    assert attempt.late == [{"remote_id": "live-1", "url": "https://example.test/1"}]
    assert prove(shared, held) == ProofResult(settled=False), "saying it twice does nothing"


ARMED = [(state, True) for state in sorted(ALWAYS_ARMED | {State.PUBLISHING, State.BLOCKED})]
UNARMED = [(state, False) for state in sorted(UNSETTLED - ALWAYS_ARMED)]


@pytest.mark.parametrize(("state", "armed"), ARMED + UNARMED)
def test_proof_settles_from_every_unsettled_state(shared: Ledger, state: State, *, armed: bool) -> None:
    post = shared.fresh()
    held = shared.armed(post)
    lose(shared, held)
    absent(shared, held)
    dress = {
        State.QUEUED: ", lease_until = now()",
        State.PUBLISHING: ", lease_until = now()",
        State.BLOCKED: ", reason = 'is_it_live'",
    }.get(state, "")
    arming = ", armed_at = now()" if armed else ""
    shared.change(held.id, f"state = '{state}'{dress}{arming}")
    assert prove(shared, held).settled
    assert shared.state(held.id) is State.PUBLISHED
    assert shared.moves(held.id)[-1] == ("proof", state, "published")


@pytest.mark.parametrize("state", sorted(SETTLED - {State.PUBLISHED}))
def test_proof_that_contradicts_a_settled_delivery_is_kept_and_raises_an_alarm(
    shared: Ledger, state: State
) -> None:
    held = shared.armed(shared.fresh())
    shared.change(held.id, f"state = '{state}', armed_at = NULL, lease_until = NULL")
    proven = prove(shared, held)
    assert not proven.settled
    assert proven.alarm is not None
    assert "live-1" in proven.alarm
    assert shared.state(held.id) is state
    assert shared.attempts(held.id)[0].late[0]["remote_id"] == "live-1"


def test_two_proofs_that_differ_raise_an_alarm(shared: Ledger) -> None:
    held = shared.armed(shared.fresh())
    assert prove(shared, held).settled
    again = prove(shared, held, Published(remote_id="live-2"))
    assert not again.settled
    assert again.alarm is not None
    assert "live-1" in again.alarm
    assert "live-2" in again.alarm


def test_proof_of_a_first_attempt_while_a_second_is_armed_raises_an_alarm(shared: Ledger) -> None:
    post = shared.fresh()
    first = shared.armed(post)
    lose(shared, first)
    absent(shared, first)
    second = shared.armed(post)
    proven = prove(shared, first)
    assert proven.settled
    assert proven.alarm is not None
    assert "twice" in proven.alarm
    assert "ALARM" in shared.last_why(first.id)
    one, two = shared.attempts(first.id)
    assert one.late[0]["remote_id"] == "live-1"
    assert one.outcome == "absent", "what was believed then stays written"
    assert (two.outcome, two.remote_id) == (None, None), "what became of the second is not known yet"
    contradiction = prove(shared, second, Published(remote_id="live-2"))
    assert contradiction.alarm is not None
    assert shared.attempts(first.id)[1].late[0]["remote_id"] == "live-2"


def test_proof_of_a_first_attempt_ends_a_second_that_was_not_armed(shared: Ledger) -> None:
    post = shared.fresh()
    first = shared.armed(post)
    lose(shared, first)
    absent(shared, first)
    shared.claimed(post)
    assert prove(shared, first) == ProofResult(settled=True)
    assert [a.outcome for a in shared.attempts(first.id)] == ["absent", "refused"]


def test_proof_that_names_anothers_post_needs_a_person_and_keeps_its_evidence(shared: Ledger) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    thief, owner = shared.armed(shared.post([account])), shared.armed(shared.post([account]))
    assert prove(shared, thief).settled
    lose(shared, owner)
    absent(shared, owner)
    before = shared.delivery(owner.id)
    assert before.state == "retrying"
    proven = prove(shared, owner)
    assert proven.settled
    assert proven.alarm is not None
    found = shared.delivery(owner.id)
    assert (found.state, found.reason) == (State.BLOCKED, Reason.IS_IT_LIVE)
    assert found.armed_at is not None, "or an edit would send it again"
    assert found.error["code"] == "remote_id_taken"
    assert (found.generation, found.fence) == (before.generation + 1, before.fence + 1), "old messages die"
    assert shared.last_why(owner.id).startswith("ALARM: The platform names the post live-1")
    assert shared.attempts(owner.id)[0].late[0]["remote_id"] == "live-1"
    assert shared.status(shared_post(owner)) == "pending"


def shared_post(held: ClaimedDelivery) -> Post:
    return Post(id=held.post_id, workspace=held.workspace_id, deliveries=[held.id])


def test_a_late_result_is_written_to_the_attempt_it_belongs_to(shared: Ledger) -> None:
    post = shared.fresh()
    unarmed = shared.claimed(post)
    lose(shared, unarmed)  # goes back to the queue; the next claim goes on with the same attempt
    first = shared.armed(post)
    lose(shared, first)
    looker = shared.read_claimed(first.id)
    absent(shared, first)
    second = shared.armed(post)
    assert [a.n for a in shared.attempts(first.id)] == [1, 2]
    for held, said in ((unarmed, "a"), (first, "b"), (looker, "c"), (second, "d")):
        shared.do(save_late_result, held, {"said": said})
    one, two = shared.attempts(first.id)
    assert [x["said"] for x in one.late] == ["a", "b", "c"]
    assert [x["said"] for x in two.late] == ["d"]


def test_a_late_handle_tells_the_looks_of_its_own_attempt_where_to_look(shared: Ledger) -> None:
    post = shared.fresh()
    first = shared.armed(post)
    lose(shared, first)
    assert shared.do(save_late_handle, shared.vault, first, {"handle": "late"})
    assert shared.read_claimed(first.id).checkpoint == {"handle": "late"}
    absent(shared, first)
    second = shared.armed(post)
    lose(shared, second)
    assert not shared.do(save_late_handle, shared.vault, first, {"handle": "stale"}), (
        "the second attempt has its own"
    )
    assert shared.read_claimed(first.id).checkpoint == {"handle": "first"}
    assert shared.attempts(first.id)[0].late == [{"handle": True}] * 2
    assert shared.attempts(first.id)[1].late is None


@pytest.mark.parametrize("change", ["state = 'processing'", "state = 'publishing', lease_until = now()"])
def test_a_late_handle_is_not_taken_while_somebody_knows_better(shared: Ledger, change: str) -> None:
    held = shared.armed(shared.fresh())
    lose(shared, held)
    shared.change(held.id, change)
    assert not shared.do(save_late_handle, shared.vault, held, {"handle": "late"})
    assert shared.read_claimed(held.id).checkpoint == {"handle": "first"}


def test_a_late_handle_of_an_attempt_that_is_closed_is_not_taken(shared: Ledger) -> None:
    held = shared.armed(shared.fresh())
    lose(shared, held)
    shared.do(
        row,
        "UPDATE attempts SET closed_at = now(), outcome = 'refused' WHERE delivery_id = :id RETURNING id",
        id=held.id,
    )
    assert not shared.do(save_late_handle, shared.vault, held, {"handle": "late"})


def test_what_is_late_is_written_beside_what_is_known_of_others(shared: Ledger) -> None:
    """Neither their rows are touched, nor is it waited for who holds them."""
    other, held = shared.armed(shared.fresh()), shared.armed(shared.fresh())
    for one in (other, held):
        lose(shared, one)
    shared.change(other.id, "armed_at = :at", at=shared.delivery(held.id).armed_at)  # at the same moment
    before = shared.delivery(other.id)[:-1], shared.attempts(other.id)
    shared.change(held.id, "updated_at = now() - interval '1 hour'")

    def keep() -> bool:
        return shared.do(save_late_handle, shared.vault, held, {"handle": "late"})

    assert shared.while_locked(other.id, keep)
    found = shared.delivery(held.id)
    assert found.now - found.updated_at < timedelta(minutes=30)
    assert prove(shared, held).settled
    assert (shared.delivery(other.id)[:-1], shared.attempts(other.id)) == before


def test_what_is_late_waits_for_who_is_changing_the_delivery(shared: Ledger) -> None:
    held = shared.armed(shared.fresh())
    lose(shared, held)
    with ThreadPoolExecutor(1) as pool:
        with shared.database.begin() as c:
            row(c, "SELECT id FROM deliveries WHERE id = :id FOR UPDATE", id=held.id)
            proving = pool.submit(prove, shared, held)
            until(shared.waits, 10)
            found = row(
                c, "SELECT late FROM attempts WHERE delivery_id = :id FOR UPDATE SKIP LOCKED", id=held.id
            )
        assert proving.result(120) == ProofResult(settled=True)
    assert found is not None, "the delivery first, then its attempts: the one lock order"


def test_late_proof_and_a_look_that_settles_at_the_same_moment_never_wait_for_each_other(
    shared: Ledger,
) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    for n in range(15):
        held = shared.armed(shared.post([account]))
        lose(shared, held)
        looker = shared.read_claimed(held.id)
        live = Published(remote_id=f"live-{n}")
        verdict = Verdict(state=State.PUBLISHED, spent=True, closes=Outcome.PUBLISHED, published=live)

        def look(looker: ClaimedDelivery = looker, verdict: Verdict = verdict) -> object:
            return shared.do_once(settle, shared.vault, looker, verdict, Mover.STATUS, origin=State.UNKNOWN)

        together(look, partial(prove, shared, held, live))
        assert shared.state(held.id) is State.PUBLISHED
        [attempt] = shared.attempts(held.id)
        assert (attempt.outcome, attempt.remote_id) == ("published", f"live-{n}")
        assert attempt.late is not None


def test_the_time_it_went_live_is_when_it_was_learnt(shared: Ledger) -> None:
    held = shared.armed(shared.fresh())
    assert prove(shared, held).settled
    found = shared.delivery(held.id)
    assert timedelta(0) <= found.now - found.published_at < timedelta(seconds=20)
    assert found.published_at > held.now
