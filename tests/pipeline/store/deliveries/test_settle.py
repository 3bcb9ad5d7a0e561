"""Settling stores a verdict, and the post's status follows, also when several workers settle at once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import cycle
from typing import Any

import pytest

from adapters.contract import Published
from adapters.errors import AdapterError, CredentialsExpired, OutcomeUnknown, Rejected, Unavailable
from pipeline.domain.delivery import Mover, Reason, State
from pipeline.domain.verdict import Outcome, Verdict
from pipeline.store.database import row, rows
from pipeline.store.deliveries.claim import ClaimedDelivery, claim
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.deliveries.lease import Rescue, list_expired_leases, rescue
from pipeline.store.deliveries.move import lock_post, recompute_post_status
from pipeline.store.deliveries.ownership import RemoteIdsOfOthers, RemoteIdTaken
from pipeline.store.deliveries.release import release
from pipeline.store.deliveries.settle import Settlement, needs_post_lock, settle_batch
from pipeline.store.deliveries.settle import settle as store_settle
from tests.pipeline.store.ledger import LEASE, Ledger, Post, together
from tests.stack import until


def settle(
    ledger: Ledger, held: ClaimedDelivery, verdict: Verdict, mover: Mover = Mover.PUBLISH, **more: Any
) -> bool:
    """As the stages do: one statement where that is enough."""
    together_ = needs_post_lock(held, verdict, held.state)
    with ledger.database.begin() if together_ else ledger.database.once() as c:
        return store_settle(c, ledger.vault, held, verdict, mover, origin=held.state, **more) is not None


def published(remote_id: str | None = None) -> Verdict:
    live = Published(
        remote_id=remote_id or "r", url="https://example.test/r", notes={"music_confirmed": True}
    )
    return Verdict(state=State.PUBLISHED, spent=True, closes=Outcome.PUBLISHED, published=live)


FAILED = Verdict(
    state=State.FAILED, spent=True, closes=Outcome.FAILED, error=Rejected("no", platform_code="E7")
)
PROCESSING = Verdict(state=State.PROCESSING, wait=timedelta(seconds=9), checkpoint={"handle": "h2"})


def test_published_is_stored_with_its_proof_and_closes_the_attempt(shared: Ledger) -> None:
    held = shared.armed(shared.fresh())
    shared.change(held.id, """error = '{"code": "said before"}'""")
    due = shared.delivery(held.id).next_at
    assert settle(shared, held, published("live-1"))
    found = shared.delivery(held.id)
    assert (found.error, found.next_at, found.working_since) == (None, due, None)
    assert (found.remote_id, found.url, found.delivered_as) == ("live-1", "https://example.test/r", "post")
    assert found.notes == {"music_confirmed": True}
    assert found.published_at is not None
    assert found.lease_until is None
    assert found.spent == 1
    [attempt] = shared.attempts(held.id)
    assert (attempt.outcome, attempt.remote_id) == ("published", "live-1")


def test_a_failure_is_stored_in_words_and_says_whose_fault_it_is(shared: Ledger) -> None:
    held = shared.armed(shared.fresh())
    assert settle(
        shared, held, Verdict(state=State.FAILED, closes=Outcome.FAILED, disarm=True, error=FAILED.error)
    )
    found = shared.delivery(held.id)
    assert found.armed_at is None
    assert found.error == error_to_dict(FAILED.error)
    assert shared.attempts(held.id)[0].error["code"] == "rejected"
    assert shared.last_why(held.id) == "Rejected: no"


def test_a_refusal_after_arm_disarms_and_closes_but_the_next_claim_opens_a_new_attempt(
    shared: Ledger,
) -> None:
    post = shared.fresh()
    held = shared.armed(post)
    held_since = shared.delivery(held.id).armed_at
    refused = Verdict(
        state=State.RETRYING,
        disarm=True,
        closes=Outcome.REFUSED,
        wait=timedelta(seconds=30),
        error=Unavailable("x"),
    )
    assert settle(shared, held, refused)
    found = shared.delivery(held.id)
    assert (found.armed_at, found.armed_deadline, found.working_since) == (None, None, None)
    assert timedelta(seconds=25) < found.next_at - found.now <= timedelta(seconds=30)
    assert shared.attempts(held.id)[0].armed_at == held_since, "the attempt remembers"
    assert shared.armed(post) is not None
    first, second = shared.attempts(held.id)
    assert (first.outcome, first.armed_at, second.outcome) == ("refused", held_since, None)
    assert second.armed_at > held_since


def test_a_settlement_changes_its_own_post_and_open_attempt_and_no_others(shared: Ledger) -> None:
    other = shared.fresh(State.PROCESSING)
    post = shared.fresh()
    refused = Verdict(state=State.RETRYING, disarm=True, closes=Outcome.REFUSED, error=Unavailable("x"))
    assert settle(shared, shared.armed(post), refused)
    [first] = shared.attempts(post.deliveries[0])
    before = shared.status(other), shared.attempts(other.deliveries[0])
    assert settle(shared, shared.armed(post), published("own"))
    one, two = shared.attempts(post.deliveries[0])
    assert one == first, "what became of an earlier attempt stays"
    assert (two.outcome, two.remote_id) == ("published", "own")
    assert (shared.status(other), shared.attempts(other.deliveries[0])) == before
    assert (before[0], shared.status(post)) == ("pending", "posted")


def test_absence_is_remembered_until_something_else_is_seen(shared: Ledger) -> None:
    post = shared.fresh(State.UNKNOWN)
    [delivery] = post.deliveries
    wait = Verdict(state=State.UNKNOWN)
    assert settle(shared, shared.read_claimed(delivery), wait, Mover.STATUS, looked=True, absent=True)
    first = shared.delivery(delivery).absent_at
    assert first is not None
    assert settle(shared, shared.read_claimed(delivery), wait, Mover.STATUS, looked=True, absent=True)
    assert shared.delivery(delivery).absent_at == first
    assert settle(shared, shared.read_claimed(delivery), wait, Mover.STATUS, looked=True, absent=False)
    assert shared.delivery(delivery).absent_at is None
    assert shared.delivery(delivery).looks == 3


def test_looks_are_counted_while_one_waits_and_start_over_afterwards(shared: Ledger) -> None:
    post = shared.fresh(State.PREPARING)
    [delivery] = post.deliveries
    for n in (1, 2):
        wait = Verdict(state=State.PREPARING)
        assert settle(shared, shared.read_claimed(delivery), wait, Mover.STATUS, looked=True)
        assert shared.delivery(delivery).looks == n
    again = Verdict(state=State.RETRYING, spent=True, closes=Outcome.REFUSED, checkpoint={})
    assert settle(shared, shared.read_claimed(delivery), again, Mover.STATUS, looked=True)
    assert shared.delivery(delivery).looks == 0


@pytest.mark.parametrize("state", [State.PREPARING, State.PROCESSING, State.UNKNOWN])
def test_the_time_that_a_platform_takes_is_counted_from_the_first_moment_on(
    shared: Ledger, state: State
) -> None:
    [delivery] = shared.fresh(state).deliveries
    said = {"code": "said before"}
    shared.change(delivery, "working_since = NULL, error = CAST(:said AS jsonb)", said=json.dumps(said))
    assert settle(shared, shared.read_claimed(delivery), Verdict(state=state), Mover.STATUS, looked=True)
    first = shared.delivery(delivery)
    assert (first.working_since, first.looks) == (first.updated_at, 1)
    assert first.error == (None if state is State.PROCESSING else said)
    assert settle(shared, shared.read_claimed(delivery), Verdict(state=state), Mover.STATUS)
    again = shared.delivery(delivery)
    assert (again.working_since, again.looks) == (first.working_since, 1), "nobody looked"
    blocked = Verdict(state=State.BLOCKED, reason=Reason.RECONNECT)
    assert settle(shared, shared.read_claimed(delivery), blocked, Mover.STATUS, looked=True)
    waits = shared.delivery(delivery)
    assert (waits.working_since, waits.looks) == (first.working_since, 0), "a person may find it live yet"


def test_time_in_which_the_platform_could_not_be_asked_does_not_count(shared: Ledger) -> None:
    post = shared.fresh(State.UNKNOWN)
    [delivery] = post.deliveries
    before = shared.delivery(delivery).working_since
    hour = timedelta(hours=1)
    blind = Verdict(state=State.UNKNOWN, wait=hour, uncounted=True, error=Unavailable("down"))
    assert settle(shared, shared.read_claimed(delivery), blind, Mover.STATUS, looked=True)
    assert shared.delivery(delivery).working_since == before + hour
    assert settle(
        shared,
        shared.read_claimed(delivery),
        Verdict(state=State.UNKNOWN, wait=hour),
        Mover.STATUS,
        looked=True,
    )
    assert shared.delivery(delivery).working_since == before + hour


def test_surprises_are_counted(shared: Ledger) -> None:
    post = shared.fresh()
    for n in (1, 2):
        assert settle(shared, shared.claimed(post), Verdict(state=State.RETRYING, unexpected=True))
        assert shared.delivery(post.deliveries[0]).surprises == n


def test_what_was_said_last_is_known_to_the_next_holder(shared: Ledger) -> None:
    post = shared.fresh()
    assert settle(
        shared, shared.claimed(post), Verdict(state=State.RETRYING, error=CredentialsExpired("stale"))
    )
    held = shared.claimed(post)
    assert held.error is not None
    assert held.error["class"] == "CredentialsExpired"


# --- one live post never settles two deliveries ----------------------------------------------------------------------


def test_a_post_that_another_delivery_has_is_not_stored_and_says_so(shared: Ledger) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    first, second = shared.armed(shared.post([account])), shared.armed(shared.post([account]))
    assert settle(shared, first, published("same"))
    with pytest.raises(RemoteIdTaken):
        settle(shared, second, published("same"))
    assert shared.state(second.id) is State.PUBLISHING, "nothing was stored"
    assert shared.attempts(second.id)[0].closed_at is None
    doubtful = Verdict(state=State.BLOCKED, reason=Reason.IS_IT_LIVE, error=OutcomeUnknown("?"))
    assert settle(shared, second, doubtful)
    found = shared.delivery(second.id)
    assert (found.state, found.reason) == ("blocked", "is_it_live")
    assert found.armed_at is not None


def test_the_same_remote_id_of_another_account_is_another_post(shared: Ledger) -> None:
    for _ in range(2):
        assert settle(shared, shared.armed(shared.fresh()), published("number 1"))


def test_a_look_knows_what_others_own(shared: Ledger) -> None:
    workspace = shared.workspace()
    account, other = shared.account(workspace), shared.account(workspace)
    mine, theirs = shared.armed(shared.post([account])), shared.armed(shared.post([account]))
    assert settle(shared, theirs, published("theirs"))
    taken = RemoteIdsOfOthers(shared.database, account=account, delivery=mine.id)
    assert "theirs" in taken
    assert "free" not in taken
    assert "theirs" not in RemoteIdsOfOthers(shared.database, account=other, delivery=mine.id)
    assert "theirs" not in RemoteIdsOfOthers(shared.database, account=account, delivery=theirs.id)


def test_whether_it_is_live_is_only_asked_of_what_counts_as_armed(shared: Ledger) -> None:
    held = shared.read_claimed(shared.fresh(State.PREPARING).deliveries[0])
    doubtful = Verdict(state=State.BLOCKED, reason=Reason.IS_IT_LIVE)
    assert settle(shared, held, doubtful, Mover.STATUS)
    assert shared.delivery(held.id).armed_at is not None, "or an edit would send it again"


# --- the post's status -----------------------------------------------------------------------------------------------


ALONE = [
    (published(), "posted"),
    (FAILED, "failed"),
    (PROCESSING, "pending"),
    (Verdict(state=State.UNKNOWN), "pending"),
    (Verdict(state=State.RETRYING, disarm=True, closes=Outcome.REFUSED), "retry"),
    (Verdict(state=State.BLOCKED, reason=Reason.RECONNECT, disarm=True, closes=Outcome.REFUSED), "retry"),
    (Verdict(state=State.BLOCKED, reason=Reason.IS_IT_LIVE), "pending"),
]


@pytest.mark.parametrize(
    ("verdict", "status"), ALONE, ids=lambda x: x if isinstance(x, str) else str(x.state)
)
@pytest.mark.parametrize("accounts", [1, 2])
def test_the_post_says_what_its_deliveries_say(
    shared: Ledger, verdict: Verdict, status: str, accounts: int
) -> None:
    post = shared.fresh(accounts=accounts)
    for nth in range(accounts):
        assert settle(shared, shared.armed(post, nth), verdict)
    assert shared.reads(post) == status


@pytest.mark.parametrize(("due", "word"), [(timedelta(hours=1), "scheduled"), (timedelta(0), "pending")])
@pytest.mark.parametrize("accounts", [1, 2])
def test_what_is_put_back_before_its_time_is_scheduled_again_and_after_it_is_late(
    shared: Ledger, due: timedelta, word: str, accounts: int
) -> None:
    post = shared.fresh(accounts=accounts, due=due)
    held = shared.claimed(post)
    with shared.database.begin() as c:
        lock_post(c, post.id)
        assert recompute_post_status(c, post.id) == "pending"
    assert settle(shared, held, Verdict(state=State.SCHEDULED))
    assert shared.status(post) == word


def test_what_became_due_while_it_was_held_is_late_when_it_is_put_back(shared: Ledger) -> None:
    post = shared.fresh(due=timedelta(hours=1))
    held = shared.claimed(post)
    with shared.database.begin() as c:
        lock_post(c, post.id)
        assert recompute_post_status(c, post.id) == "pending"
    shared.change(held.id, "due_at = now()")
    assert settle(shared, held, Verdict(state=State.SCHEDULED))
    assert shared.status(post) == "pending"


@pytest.mark.parametrize(("accounts", "touched"), [(1, [False, True]), (2, [True, False, False, True])])
def test_a_post_is_touched_when_its_stored_word_changes_and_only_then(
    shared: Ledger, accounts: int, touched: list[bool]
) -> None:
    """Its author reads when that was. One that is due reads as pending while it is stored as scheduled."""
    post = shared.fresh(accounts=accounts)
    told = [
        _touched(shared, post, shared.armed(post, nth), PROCESSING, Mover.PUBLISH) for nth in range(accounts)
    ]
    told += [_touched(shared, post, shared.read_claimed(d), FAILED, Mover.STATUS) for d in post.deliveries]
    assert told == touched


def test_a_question_to_a_person_whether_it_is_live_leaves_a_pending_post_as_it_is(shared: Ledger) -> None:
    post = shared.fresh()
    doubtful = Verdict(state=State.BLOCKED, reason=Reason.IS_IT_LIVE)
    assert not _touched(shared, post, shared.armed(post), doubtful, Mover.PUBLISH)


@pytest.mark.parametrize("accounts", [1, 2])
def test_a_question_to_a_person_whether_it_is_live_makes_a_post_of_later_pending(
    shared: Ledger, accounts: int
) -> None:
    post = shared.fresh(State.PREPARING, accounts=accounts, due=timedelta(hours=1))
    assert shared.status(post) == "scheduled"
    doubtful = Verdict(state=State.BLOCKED, reason=Reason.IS_IT_LIVE)
    assert settle(shared, shared.read_claimed(post.deliveries[0]), doubtful, Mover.STATUS)
    assert shared.status(post) == "pending"


def test_what_goes_on_at_one_account_does_not_speak_for_the_others(shared: Ledger) -> None:
    post = shared.fresh(State.PREPARING, accounts=2, due=timedelta(hours=1))
    shared.change(post.deliveries[0], "state = 'retrying'")
    assert shared.do(recompute_post_status, post.id) == "retry"
    assert settle(shared, shared.read_claimed(post.deliveries[1]), Verdict(state=State.QUEUED), Mover.STATUS)
    assert shared.status(post) == "retry"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (None, ""),
        (Unavailable("down"), "Unavailable: down"),
        (Rejected("x" * 600), "Rejected: " + "x" * 490),
    ],
)
def test_the_history_says_why_in_a_line(shared: Ledger, error: AdapterError | None, why: str) -> None:
    held = shared.claimed(shared.fresh())
    assert settle(shared, held, Verdict(state=State.RETRYING, error=error))
    assert shared.last_why(held.id) == why
    assert shared.delivery(held.id).absent_at is None, "nobody looked"


def _touched(ledger: Ledger, post: Post, held: ClaimedDelivery, verdict: Verdict, mover: Mover) -> bool:
    """Return whether this changes a post that was not changed for an hour."""
    ledger.update("posts", post.id, "updated_at = now() - interval '1 hour'")
    assert settle(ledger, held, verdict, mover)
    [found] = ledger.do(rows, "SELECT now() - updated_at AS ago FROM posts WHERE id = :id", id=post.id)
    return bool(found.ago < timedelta(minutes=30))


def test_a_look_that_changes_nothing_leaves_no_line_in_the_history(shared: Ledger) -> None:
    [delivery] = shared.fresh(State.UNKNOWN).deliveries
    before = shared.moves(delivery)
    assert settle(
        shared, shared.read_claimed(delivery), Verdict(state=State.UNKNOWN), Mover.STATUS, looked=True
    )
    assert shared.moves(delivery) == before


def test_what_goes_on_outranks_what_waits_to_be_tried_again(shared: Ledger) -> None:
    """A post with one account that waits for an operator and one that the platform is working on is pending."""
    post = shared.fresh(accounts=2)
    blocked = Verdict(state=State.BLOCKED, reason=Reason.RECONNECT, closes=Outcome.REFUSED)
    assert settle(shared, shared.claimed(post, 0), blocked)
    assert shared.status(post) == "pending", "its other account is due"
    shared.change(post.deliveries[1], "due_at = now() + interval '1 hour'")
    shared.do(recompute_post_status, post.id)
    assert shared.status(post) == "retry", "its other account waits for its time"
    shared.change(post.deliveries[1], "due_at = now()")
    assert settle(shared, shared.armed(post, 1), PROCESSING)
    assert shared.status(post) == "pending"
    assert settle(shared, shared.read_claimed(post.deliveries[1]), published("x1"), Mover.STATUS)
    assert shared.status(post) == "retry"


def test_the_last_two_deliveries_settled_at_once_never_leave_the_post_pending(shared: Ledger) -> None:
    workspace = shared.workspace()
    accounts = [shared.account(workspace) for _ in range(2)]
    posts = shared.posts(50, accounts, State.PUBLISHING)
    for post in posts:
        one, two = (shared.read_claimed(d) for d in post.deliveries)
        done = together(
            partial(settle, shared, one, published(f"1-{one.id}")), partial(settle, shared, two, FAILED)
        )
        assert done == [True, True]
        assert shared.status(post) == "partial"


def test_several_are_stored_in_the_order_of_their_posts_however_they_are_given(ledger: Ledger) -> None:
    """The post with the lowest id is locked by another transaction: no later post may be locked during the wait."""
    posts = sorted(ledger.posts(3, [ledger.account(ledger.workspace())], State.UNKNOWN), key=lambda p: p.id)
    some = [
        Settlement(
            claimed=ledger.read_claimed(p.deliveries[0]), verdict=published(str(p.id)), mover=Mover.STATUS
        )
        for p in reversed(posts)
    ]

    def all_of_them() -> list[Any]:
        return ledger.do(settle_batch, ledger.vault, some)

    with ThreadPoolExecutor(1) as pool:
        with ledger.database.begin() as c:
            lock_post(c, posts[0].id)
            storing = pool.submit(all_of_them)
            until(ledger.waits, 10)
            ids = [p.id for p in posts]
            free = rows(c, "SELECT id FROM posts WHERE id = ANY(:ids) FOR UPDATE SKIP LOCKED", ids=ids)
        moments = storing.result(120)
    assert {r.id for r in free} == set(ids)
    assert moments == [ledger.delivery(one.claimed.id).next_at for one in some], (
        "in the order in which they were given"
    )


LOST = {
    "claimed by another": "fence = fence + 1",
    "edited": "generation = generation + 1",
    "rescued": "state = 'unknown'",
}
REFUSED = Verdict(state=State.RETRYING, disarm=True, closes=Outcome.REFUSED, error=Unavailable("x"))


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("accounts", [1, 2])
@pytest.mark.parametrize("verdict", [published(), FAILED, PROCESSING, REFUSED], ids=lambda v: v.state)
@pytest.mark.parametrize("lost", LOST)
def test_a_worker_that_lost_its_claim_changes_neither_row_nor_history_nor_attempt_nor_post(
    shared: Ledger, lost: str, verdict: Verdict, accounts: int, batched: bool
) -> None:
    post = shared.fresh(accounts=accounts)
    held = shared.armed(post)
    if batched and needs_post_lock(held, verdict, held.state):
        return  # it is never stored in a batch
    shared.change(held.id, LOST[lost])

    def read() -> list[object]:
        delivery = {k: v for k, v in shared.delivery(held.id)._mapping.items() if k != "now"}
        return [delivery, shared.moves(held.id), shared.attempts(held.id), shared.status(post)]

    before = read()
    if batched:
        one = Settlement(claimed=held, verdict=verdict, mover=Mover.PUBLISH)
        assert shared.do(settle_batch, shared.vault, [one]) == [None]
    else:
        assert not settle(shared, held, verdict)
    assert read() == before


def test_the_locks_are_taken_in_one_order_everywhere(ledger: Ledger) -> None:
    """Edits, settles of one statement and of a transaction, rescues, releases and recounts, all over the same posts."""
    workspace = ledger.workspace()
    accounts = [ledger.account(workspace) for _ in range(2)]
    posts = [*ledger.posts(3, accounts), *ledger.posts(3, accounts[:1])]
    jobs: dict[str, Callable[[Post], bool]] = {
        "edits": partial(_edit, ledger),
        "settles": partial(_publish_once, ledger),
        "settles too": partial(_publish_once, ledger),
        "releases": lambda _: _release(ledger),
        "rescues": lambda _: _rescue_all(ledger),
    }
    done = Counter[str]()
    begun = time.monotonic()

    def enough() -> bool:
        """All of them have met often enough, however busy the machine is."""
        passed = time.monotonic() - begun
        return passed > 60 or (passed > 3 and all(done[name] >= 5 for name in jobs))

    def again_and_again(name: str) -> None:
        for post in cycle(posts):
            if enough():
                return
            done[name] += jobs[name](post)

    together(*[partial(again_and_again, name) for name in jobs])
    assert all(done[name] >= 5 for name in jobs), done
    for post in posts:
        before = ledger.status(post)
        with ledger.database.begin() as c:
            lock_post(c, post.id)
            assert recompute_post_status(c, post.id) == before or before == "scheduled", (
                "no status was left behind"
            )


def _release(ledger: Ledger) -> bool:
    return bool(ledger.do(release, "tiktok", 100, LEASE))


def _edit(ledger: Ledger, post: Post) -> bool:
    """Edit: lock the post and its deliveries in id order, and restart all unless one is armed."""
    with ledger.database.begin() as c:
        lock_post(c, post.id)
        found = rows(
            c,
            "SELECT id, state, generation, armed_at FROM deliveries WHERE post_id = :id ORDER BY id FOR UPDATE",
            id=post.id,
        )
        if any(d.armed_at is not None and d.state in ("publishing", "processing", "unknown") for d in found):
            return False
        for d in found:
            row(
                c,
                """UPDATE deliveries SET state = 'scheduled', reason = NULL, armed_at = NULL, published_at = NULL,
                          remote_id = NULL, lease_until = NULL, generation = generation + 1, next_at = now()
                   WHERE id = :id RETURNING id""",
                id=d.id,
            )
        recompute_post_status(c, post.id)
    return True


def _publish_once(ledger: Ledger, post: Post) -> bool:
    found = ledger.do(
        rows, "SELECT id, generation FROM deliveries WHERE post_id = :id AND state = 'queued'", id=post.id
    )
    settled = False
    for d in found:
        held = ledger.do_once(claim, ledger.vault, d.id, d.generation, LEASE)
        if held is None:
            continue
        if held.fence % 3 == 0:  # this worker dies: its lease expires
            ledger.change(held.id, "lease_until = now() - interval '1 second'")
            continue
        verdicts = [
            published(f"{held.id}-{held.fence}"),
            Verdict(state=State.RETRYING, closes=Outcome.REFUSED),
            FAILED,
        ]
        settled |= settle(ledger, held, verdicts[held.generation % 3])
    return settled


def _rescue_all(ledger: Ledger) -> bool:
    found = ledger.do(list_expired_leases, 10)
    done = False
    for one in found:
        done |= ledger.do(rescue, one, Rescue(target=State.QUEUED, why="test"), LEASE) is not None
    return done
