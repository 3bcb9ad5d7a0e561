from __future__ import annotations

from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import LOOKED_AT, Mover, State
from pipeline.domain.hold import Scope
from pipeline.domain.verdict import Outcome, Verdict
from pipeline.store.database import new_id
from pipeline.store.deliveries.arm import arm as store_arm
from pipeline.store.deliveries.arm import save_checkpoint
from pipeline.store.deliveries.claim import ClaimedDelivery, claim_batch, claim_look, claim_looks
from pipeline.store.deliveries.claim import claim as store_claim
from pipeline.store.deliveries.pauses import lift, pause
from pipeline.store.deliveries.platform_health import record_answer
from pipeline.store.deliveries.settle import settle
from pipeline.store.steering.receipts import pause_deliveries, resume_deliveries
from tests.pipeline.store.ledger import LEASE, Ledger, Post, together

MINUTE = timedelta(minutes=1)


def claim(ledger: Ledger, post: Post, generation: int = 0) -> ClaimedDelivery | None:
    return ledger.do_once(store_claim, ledger.vault, post.deliveries[0], generation, LEASE)


def arm(ledger: Ledger, held: ClaimedDelivery) -> bool:
    return ledger.do_once(store_arm, ledger.vault, held, {"handle": "h"}, MINUTE) is not None


# --- claim -----------------------------------------------------------------------------------------------------------


def test_of_sixteen_workers_one_gets_it(shared: Ledger) -> None:
    for _ in range(8):
        post = shared.fresh(State.QUEUED)
        got = together(*[partial(claim, shared, post)] * 16)
        [held] = [h for h in got if h is not None]
        assert held.fence == 1
        assert held.state is State.PUBLISHING
        assert len(shared.attempts(held.id)) == 1
        assert shared.moves(held.id)[1:] == [("publish", "queued", "publishing")]


def test_a_claim_carries_all_a_worker_needs(shared: Ledger) -> None:
    workspace = shared.workspace()
    accounts = [shared.account(workspace, board="b1") for _ in range(2)]
    check = shared.check(workspace, "https://media.example/v.mp4")
    post = shared.post(accounts, State.QUEUED, checks={0: check})
    held = claim(shared, post)
    assert held is not None
    assert held.account.credentials.access_token.get_secret_value() == "token-1"
    assert held.account.settings == {"board": "b1"}
    assert held.facts == {"0": None}
    assert held.alone is False
    assert held.caption == "hello"
    assert held.lease_until - held.now == LEASE
    assert held.checkpoint == {}
    assert "token-1" not in repr(held)


@pytest.mark.parametrize("state", sorted(set(State) - {State.QUEUED}))
def test_only_what_is_queued_can_be_claimed(shared: Ledger, state: State) -> None:
    assert claim(shared, shared.fresh(state)) is None


def test_one_that_crashed_a_worker_is_claimed_alone(shared: Ledger) -> None:
    sound, crashed = shared.posts(2, [shared.account(shared.workspace())], State.QUEUED)
    shared.change(crashed.deliveries[0], "crashes = 1")
    both = [(post.deliveries[0], 0) for post in (sound, crashed)]
    assert [h.id for h in shared.do_once(claim_batch, shared.vault, both, LEASE)] == sound.deliveries
    assert [h.id for h in shared.do_once(claim_batch, shared.vault, both[1:], LEASE)] == crashed.deliveries


def test_a_message_of_an_older_generation_gets_nothing(shared: Ledger) -> None:
    post = shared.fresh(State.QUEUED)
    shared.change(post.deliveries[0], "generation = 1")
    assert claim(shared, post, 0) is None
    assert claim(shared, post, 1) is not None
    shared.change(post.deliveries[0], "state = 'queued', generation = 2")
    assert claim(shared, post, 2) is not None
    assert [a.generation for a in shared.attempts(post.deliveries[0])] == [2], (
        "the attempt that is gone on with"
    )


def test_a_claim_goes_on_with_the_open_attempt_and_opens_a_new_one_only_when_none_is_open(
    shared: Ledger,
) -> None:
    post = shared.fresh(State.QUEUED)
    first = shared.claimed(post)
    second = shared.claimed(post)  # the first one's worker died
    assert [(a.n, a.fence) for a in shared.attempts(first.id)] == [(1, second.fence)]
    assert second.fence == first.fence + 1
    with shared.database.once() as c:
        verdict = Verdict(state=State.RETRYING, spent=True, closes=Outcome.REFUSED)
        settle(c, shared.vault, second, verdict, Mover.PUBLISH, origin=State.PUBLISHING)
    third = shared.claimed(post)
    assert [(a.n, a.fence, a.outcome) for a in shared.attempts(first.id)] == [
        (1, second.fence, "refused"),
        (2, third.fence, None),
    ]
    assert third.spent == 1


def test_the_checkpoint_goes_from_one_worker_to_the_next(shared: Ledger) -> None:
    post = shared.fresh(State.QUEUED)
    first = shared.claimed(post)
    assert shared.do_once(save_checkpoint, shared.vault, first, {"upload": 3}, scratch=True)
    second = shared.claimed(post)
    assert second.checkpoint == {"upload": 3}
    assert not shared.do_once(save_checkpoint, shared.vault, first, {"upload": 9}, scratch=False)
    assert shared.read_claimed(second.id).checkpoint == {"upload": 3}


def test_prepares_from_scratch_are_counted_by_day(shared: Ledger) -> None:
    post = shared.fresh(State.QUEUED)
    held = shared.claimed(post)
    for n in (1, 2):
        with shared.database.once() as c:
            save_checkpoint(c, shared.vault, held, {"upload": n}, scratch=True)
            save_checkpoint(c, shared.vault, held, {"upload": n, "more": 1}, scratch=False)
        assert shared.read_claimed(held.id).prepares == n
    shared.change(held.id, "prepares_on = CURRENT_DATE - 1")
    assert shared.read_claimed(held.id).prepares == 0, "yesterday's do not count"
    shared.do_once(save_checkpoint, shared.vault, held, {"upload": 9}, scratch=True)
    assert shared.read_claimed(held.id).prepares == 1


def test_handfuls_that_overlap_take_each_delivery_once(shared: Ledger) -> None:
    workspace = shared.workspace()
    posts = shared.posts(40, [shared.account(workspace)], State.QUEUED)
    items = [(p.deliveries[0], 0) for p in posts]

    def take(items: list[tuple[UUID, int]]) -> list[UUID]:
        return [held.id for held in shared.do_once(claim_batch, shared.vault, items, LEASE)]

    orders = [items, items[::-1], items[20:] + items[:20], items[::-1][10:] + items[::-1][:10]]
    taken = [i for some in together(*[partial(take, order) for order in orders]) for i in some]
    for item in items:  # what was passed over because another had it locked just then
        taken += take([item])
    assert len(taken) == len(set(taken)) == 40
    assert {shared.delivery(i).fence for i in taken} == {1}
    assert take([(new_id(), 0)]) == []


def test_a_handful_waits_for_nobody(shared: Ledger) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    queued, unknown = (shared.posts(2, [account], state) for state in (State.QUEUED, State.UNKNOWN))

    def take() -> list[ClaimedDelivery]:
        return shared.do_once(claim_batch, shared.vault, [(p.deliveries[0], 0) for p in queued], LEASE)

    def look() -> list[ClaimedDelivery]:
        return shared.do_once(claim_looks, shared.vault, [(p.deliveries[0], 0, 1) for p in unknown], LEASE)

    for posts, job in ((queued, take), (unknown, look)):
        assert [h.id for h in shared.while_locked(posts[0].deliveries[0], job)] == posts[1].deliveries


def test_a_handful_of_looks_takes_those_that_are_not_stale(shared: Ledger) -> None:
    workspace = shared.workspace()
    posts = shared.posts(4, [shared.account(workspace)], State.UNKNOWN)
    one, two, three, four = (p.deliveries[0] for p in posts)
    items = [(one, 0, 1), (two, 1, 1), (three, 0, 7), (four, 0, 1)]
    held = shared.do_once(claim_looks, shared.vault, items, LEASE)
    assert {(h.id, h.fence, h.lease_until - h.now) for h in held} == {(one, 2, LEASE), (four, 2, LEASE)}


# --- claiming a look -------------------------------------------------------------------------------------------------


def test_of_sixteen_lookers_with_one_ring_one_gets_it(shared: Ledger) -> None:
    post = shared.fresh(State.UNKNOWN)
    [delivery] = post.deliveries

    def look() -> ClaimedDelivery | None:
        return shared.do_once(claim_look, shared.vault, delivery, 0, 1, LEASE)

    got = [h for h in together(*[look] * 16) if h is not None]
    assert [h.fence for h in got] == [2]
    assert got[0].state is State.UNKNOWN


@pytest.mark.parametrize("state", sorted(set(State) - LOOKED_AT))
def test_only_what_is_to_be_looked_at_can_be_claimed_for_a_look(shared: Ledger, state: State) -> None:
    held = shared.read_claimed(shared.fresh(state).deliveries[0])
    assert shared.do_once(claim_look, shared.vault, held.id, held.generation, held.fence, LEASE) is None


@pytest.mark.parametrize(("generation", "fence"), [(1, 1), (0, 0), (0, 2)])
def test_a_stale_look_gets_nothing(shared: Ledger, generation: int, fence: int) -> None:
    [delivery] = shared.fresh(State.PREPARING).deliveries
    assert shared.do_once(claim_look, shared.vault, delivery, generation, fence, LEASE) is None


# --- arm -------------------------------------------------------------------------------------------------------------


def test_arming_is_one_committed_statement(shared: Ledger) -> None:
    post = shared.fresh()
    held = shared.claimed(post)
    shared.change(held.id, "looks = 3, absent_at = now()")
    assert arm(shared, held)
    row = shared.delivery(held.id)
    assert (row.looks, row.absent_at) == (0, None), "what was seen before says nothing of this call"
    assert row.armed_at is not None
    assert row.armed_deadline - row.armed_at == MINUTE
    assert row.working_since == row.armed_at
    assert [a.armed_at for a in shared.attempts(held.id)] == [row.armed_at]
    assert shared.read_claimed(held.id).checkpoint == {"handle": "h"}


def test_of_sixteen_that_want_to_arm_one_claim_one_may(shared: Ledger) -> None:
    for _ in range(5):
        held = shared.claimed(shared.fresh())
        assert sum(together(*[partial(arm, shared, held)] * 16)) == 1


def test_arming_marks_its_own_open_attempt_and_no_others(shared: Ledger) -> None:
    post, other = shared.fresh(), shared.claimed(shared.fresh())
    refused = Verdict(state=State.RETRYING, closes=Outcome.REFUSED)
    shared.do_once(
        settle, shared.vault, shared.claimed(post), refused, Mover.PUBLISH, origin=State.PUBLISHING
    )
    assert arm(shared, held := shared.claimed(post))
    assert [a.armed_at is not None for a in shared.attempts(held.id)] == [False, True]
    assert [a.armed_at for a in shared.attempts(other.id)] == [None]


REFUSED = {
    "not due": "due_at = now() + interval '0.5 seconds'",
    "edited": "generation = generation + 1",
    "claimed by another": "fence = fence + 1",
    "its lease is over": "lease_until = now() - interval '1 millisecond'",
    "already armed": "armed_at = now()",
    "put back": "state = 'queued'",
    "cancelled": "state = 'cancelled'",
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED.keys())
def test_nothing_is_armed_that_must_not_be_sent(shared: Ledger, change: str) -> None:
    held = shared.claimed(shared.fresh())
    shared.change(held.id, change)
    before = shared.delivery(held.id).armed_at
    assert not arm(shared, held)
    assert shared.delivery(held.id).armed_at == before
    assert [a.armed_at for a in shared.attempts(held.id)] == [None]


def test_a_paused_delivery_is_not_armed_until_it_is_resumed(shared: Ledger) -> None:
    held, other = shared.claimed(shared.fresh()), shared.claimed(shared.fresh())
    shared.do(pause_deliveries, [held.id], new_id(), "why")
    assert (arm(shared, held), arm(shared, other)) == (False, True)
    shared.do(resume_deliveries, [held.id])
    assert arm(shared, held)


def test_who_has_not_seen_the_platform_answer_needs_a_sign_of_life(ledger: Ledger) -> None:
    held = ledger.claimed(ledger.fresh())

    def arms() -> bool:
        return ledger.do_once(store_arm, ledger.vault, held, {}, MINUTE, is_alive=False) is not None

    assert not arms()
    ledger.do(record_answer, Platform.TIKTOK)
    assert arms()


PAST, FUTURE = timedelta(seconds=-1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("expires", "on_late", "may"),
    [
        (PAST, "skip", False),
        (PAST, "hold", False),
        (PAST, "publish", True),
        (FUTURE, "skip", True),
        (None, "publish", True),
    ],
)
def test_a_post_is_sent_after_its_own_deadline_only_if_its_author_said_so(
    shared: Ledger, expires: timedelta | None, on_late: str, *, may: bool
) -> None:
    shared.fresh(expires=PAST, on_late="skip")  # another's deadline is no matter of this one
    held = shared.claimed(shared.fresh(expires=expires, on_late=on_late))
    assert arm(shared, held) is may


@pytest.mark.parametrize(("code", "may"), [("expired", True), ("platform_unavailable", False)])
def test_one_that_was_held_for_being_late_is_sent_when_a_person_let_it_go(
    shared: Ledger, code: str, *, may: bool
) -> None:
    held = shared.claimed(shared.fresh(expires=PAST, on_late="hold"))
    shared.change(held.id, "error = jsonb_build_object('code', CAST(:code AS text))", code=code)
    assert arm(shared, held) is may


def test_every_scope_of_a_pause_keeps_from_arming_and_lets_go_again(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    scopes: list[tuple[Scope, str, str | None]] = [
        ("all", "", None),
        ("platform", "tiktok", "instagram"),
        ("workspace", str(workspace), str(ledger.workspace())),
        ("account", str(account), str(ledger.account(workspace))),
    ]
    for scope, target, other in scopes:
        held = ledger.claimed(ledger.post([account]))
        if other is not None:
            ledger.do(pause, scope, other, "another's")
        ledger.do(pause, scope, target, "trouble")
        assert not arm(ledger, held), scope
        assert ledger.do(lift, scope, target)
        assert arm(ledger, held), scope
