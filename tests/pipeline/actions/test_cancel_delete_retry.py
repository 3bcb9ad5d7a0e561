"""Cancel, delete and retry posts: each post on its own, and never one that may be live."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from pipeline.actions.cancel_delete_retry import cancel, delete, retry
from pipeline.domain.delivery import Reason, State
from pipeline.store.database import new_id, row, rows
from pipeline.store.posts.pins import pin_checks_for_retry
from pipeline.store.posts.views import read_post
from tests.pipeline.actions.test_edit import CHANGEABLE, old_handles, queue, stored, with_checkpoint
from tests.pipeline.core_fixture import VIDEO, CoreFixture
from tests.pipeline.store.ledger import Post, together


def part(post: Post, n: int) -> Post:
    """A view of a post as one of its deliveries."""
    return replace(post, deliveries=[post.deliveries[n]])


def attempt(core: CoreFixture, delivery: UUID, outcome: str, late: str | None = None) -> None:
    """Insert an attempt that was armed and ended this way a minute ago."""
    core.run(
        """INSERT INTO attempts (delivery_id, account_id, n, generation, fence, armed_at, closed_at, outcome, late)
               SELECT id, account_id, 1, generation, fence, now() - interval '2 minutes', now() - interval '1 minute',
                      :outcome, CAST(:late AS jsonb) FROM deliveries WHERE id = :id""",
        id=delivery,
        outcome=outcome,
        late=late,
    )


def failed(core: CoreFixture, code: str = "rejected", accounts: int = 1, **more: Any) -> Post:
    """A failed post that was due earlier."""
    post = stored(core, State.FAILED, accounts, due=-timedelta(minutes=5), **more)
    for delivery in post.deliveries:
        core.ledger.change(delivery, "error = CAST(:error AS jsonb)", error=f'{{"code": "{code}"}}')
    return post


# --- cancel ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", CHANGEABLE)
def test_everything_that_is_not_armed_is_taken_back(core: CoreFixture, state: State) -> None:
    post = stored(core, state)
    [delivery] = post.deliveries
    with_checkpoint(core, delivery)
    done = cancel(core.context, core.caller, [post.id])
    after = core.ledger.delivery(delivery)
    assert (done.ids, done.errors) == ([post.id], {})
    assert (after.state, after.generation, after.checkpoint, after.lease_until) == (
        "cancelled",
        1,
        None,
        None,
    )
    assert core.ledger.status(post) == "canceled"
    assert core.ledger.moves(delivery)[-1] == ("cancel", str(state), "cancelled")
    assert old_handles(core, delivery) == [{"handle": "old"}]
    again = cancel(core.context, core.caller, [post.id])
    assert (again.ids, core.ledger.delivery(delivery).generation) == ([post.id], 1), (
        "asking twice does nothing more"
    )


@pytest.mark.parametrize("state", [State.PUBLISHING, State.PROCESSING, State.UNKNOWN, State.BLOCKED])
def test_of_a_post_in_flight_nothing_is_taken_back(core: CoreFixture, state: State) -> None:
    post = stored(core, accounts=2)
    reason = Reason.IS_IT_LIVE if state is State.BLOCKED else None
    core.ledger.put(part(post, 0), state, armed=True, reason=reason)
    done = cancel(core.context, core.caller, [post.id])
    assert (done.ids, list(done.errors)) == ([], [post.id])
    assert done.errors[post.id].startswith("post_in_flight: ")
    assert core.ledger.states(post) == [state, State.SCHEDULED]


def test_only_some_accounts_are_taken_back_whatever_the_others_do(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    core.ledger.put(part(post, 0), State.PROCESSING)
    done = cancel(core.context, core.caller, [post.id], [core.accounts["more1"]])
    assert (done.ids, core.ledger.states(post)) == ([post.id], [State.PROCESSING, State.CANCELLED])
    other = cancel(core.context, core.caller, [post.id], [new_id()])
    assert other.errors[post.id] == "validation_failed: The post goes to none of these accounts."


def test_what_went_out_stays_and_the_rest_is_taken_back(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    core.ledger.put(part(post, 0), State.PUBLISHED)
    assert cancel(core.context, core.caller, [post.id]).ids == [post.id]
    assert (core.ledger.states(post), core.ledger.status(post)) == (
        [State.PUBLISHED, State.CANCELLED],
        "partial",
    )
    assert cancel(core.context, core.caller, [post.id]).errors[post.id].startswith("validation_failed: ")


def test_each_post_by_itself_and_none_of_another_scope(core: CoreFixture) -> None:
    good, posted = stored(core), stored(core, State.PUBLISHED)
    stranger = core.ledger.fresh()
    done = cancel(core.context, core.caller, [posted.id, stranger.id, good.id, good.id, new_id()])
    assert done.ids == [good.id]
    assert [text.partition(":")[0] for text in done.errors.values()] == [
        "validation_failed",
        "not_found",
        "not_found",
    ]
    assert delete(core.context, core.caller, [stranger.id]).skipped == [stranger.id]
    assert core.ledger.states(stranger) == [State.SCHEDULED]


@pytest.mark.parametrize("turn", range(8))
def test_either_it_is_taken_back_or_it_is_sent(core: CoreFixture, turn: int) -> None:
    post, publish_it, sent = queue(core)
    _, done = together(publish_it, lambda: str(bool(cancel(core.context, core.caller, [post.id]).ids)))
    assert (done, sent) in (("True", []), ("False", ["hello"]))


# --- delete ----------------------------------------------------------------------------------------------------------


def test_delete_takes_back_and_hides(core: CoreFixture) -> None:
    post, broken = stored(core), failed(core)
    done = delete(core.context, core.caller, [post.id, broken.id])
    assert (done.ids, done.blocked, done.skipped, done.errors) == ([post.id, broken.id], [], [], {})
    assert core.ledger.states(post) == [State.CANCELLED]
    with core.context.database.begin() as c:
        assert read_post(c, core.workspace, post.id) is None
    again = delete(core.context, core.caller, [post.id])
    assert (again.ids, again.skipped) == ([], [post.id])


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([State.PUBLISHED, State.PUBLISHED], "posted"),
        ([State.CANCELLED, State.CANCELLED], "canceled"),
        ([State.PUBLISHED, State.FAILED], "partial"),
        ([State.SCHEDULED, State.PROCESSING], "pending"),
        ([State.SCHEDULED, State.UNKNOWN], "pending"),
    ],
)
def test_what_is_over_or_in_flight_is_not_deleted(core: CoreFixture, states: list[State], word: str) -> None:
    post = stored(core, accounts=2)
    for n, state in enumerate(states):
        if state is not State.SCHEDULED:
            core.ledger.put(part(post, n), state)
    done = delete(core.context, core.caller, [post.id])
    assert (done.ids, done.blocked) == ([], [(post.id, word)])
    assert (core.ledger.states(post), core.ledger.status(post)) == (states, word)


# --- retry -----------------------------------------------------------------------------------------------------------


def test_a_failed_post_goes_out_again_at_once(core: CoreFixture) -> None:
    post = failed(core)
    [delivery] = post.deliveries
    due = core.ledger.delivery(delivery).due_at
    core.ledger.change(delivery, "spent = 5")
    with_checkpoint(core, delivery)
    done = retry(core.context, core.caller, [post.id])
    after = core.ledger.delivery(delivery)
    assert (done.ids, done.errors) == ([post.id], {})
    assert (after.state, after.generation, after.spent, after.error) == ("scheduled", 1, 0, None)
    assert after.due_at == due, "a retry keeps the customer's due time"
    assert after.next_at <= after.now
    assert after.checkpoint is None
    assert old_handles(core, delivery) == [{"handle": "old"}]
    assert core.ledger.moves(delivery)[-2:] == [
        ("retry", "failed", "accepted"),
        ("reachability", "accepted", "scheduled"),
    ]
    assert (
        retry(core.context, core.caller, [post.id])
        .errors[post.id]
        .startswith("validation_failed: The post is pending")
    )


def test_only_what_failed_is_sent_again(core: CoreFixture) -> None:
    post = stored(core, accounts=4, due=-timedelta(minutes=5))
    for n, state in enumerate([State.PUBLISHED, State.FAILED, State.CANCELLED, State.FAILED]):
        core.ledger.put(part(post, n), state)
    assert retry(core.context, core.caller, [post.id], [core.accounts["more1"]]).ids == [post.id]
    states = [State.PUBLISHED, State.SCHEDULED, State.CANCELLED, State.FAILED]
    assert core.ledger.states(post) == states


@pytest.mark.parametrize("state", [s for s in State if s is not State.FAILED])
def test_no_other_state_is_ever_sent_again(core: CoreFixture, state: State) -> None:
    post = stored(core, state)
    before = core.ledger.delivery(post.deliveries[0]).generation
    assert list(retry(core.context, core.caller, [post.id]).errors) == [post.id]
    assert (core.ledger.states(post), core.ledger.delivery(post.deliveries[0]).generation) == (
        [state],
        before,
    )


def test_a_failed_one_that_is_live_after_all_is_never_sent_again(core: CoreFixture) -> None:
    post = failed(core)
    attempt(core, post.deliveries[0], "failed", '[{"remote_id": "7", "url": null}]')
    assert retry(core.context, core.caller, [post.id]).errors[post.id].startswith("post_in_flight: ")
    assert core.ledger.states(post) == [State.FAILED]


def test_a_handle_proven_absent_is_the_one_that_is_finished(core: CoreFixture) -> None:
    post = failed(core)
    [delivery] = post.deliveries
    with_checkpoint(core, delivery)
    attempt(core, delivery, "absent")
    retry(core.context, core.caller, [post.id])
    sealed = core.ledger.delivery(delivery).checkpoint
    assert core.context.vault.open(sealed, delivery) == {"handle": "old"}
    assert old_handles(core, delivery) == []


def test_an_old_check_is_made_anew(core: CoreFixture) -> None:
    post = failed(core)
    with core.context.database.begin() as c:
        c.exec_driver_sql("ALTER TABLE checks DISABLE TRIGGER checks_are_final")
        row(
            c,
            "UPDATE checks SET decided_at = now() - interval '1 hour' WHERE workspace_id = :w RETURNING id",
            w=core.workspace,
        )
        c.exec_driver_sql("ALTER TABLE checks ENABLE TRIGGER checks_are_final")
    retry(core.context, core.caller, [post.id])
    assert core.ledger.states(post) == [State.ACCEPTED]
    assert len(core.check_ids(VIDEO)) == 2


@pytest.mark.parametrize("code", ["media_changed", "media_unreachable"])
def test_a_file_that_changed_is_looked_at_again_however_young_its_check(core: CoreFixture, code: str) -> None:
    post = failed(core, code)
    assert retry(core.context, core.caller, [post.id]).ids == [post.id]
    assert core.ledger.states(post) == [State.ACCEPTED]
    with core.context.database.begin() as c:
        pinned = rows(c, "SELECT check_id FROM post_checks WHERE post_id = :id", id=post.id)
    assert [r.check_id for r in pinned] == [core.check_ids(VIDEO)[-1]]


def test_a_post_that_was_too_late_may_be_late_when_it_is_retried(core: CoreFixture) -> None:
    from pipeline.stages.delay import release_due

    post = failed(core, "expired", expires=-timedelta(minutes=1), on_late="skip")
    retry(core.context, core.caller, [post.id])
    release_due(core.context)
    assert core.ledger.states(post) == [State.QUEUED]


def test_two_retries_at_the_same_moment_send_once(core: CoreFixture) -> None:
    post = failed(core)
    done = together(*[lambda: retry(core.context, core.caller, [post.id])] * 4)
    assert sorted(len(d.ids) for d in done) == [0, 0, 0, 1]
    assert core.ledger.delivery(post.deliveries[0]).generation == 1


def test_checks_are_pinned_to_one_post(core: CoreFixture) -> None:
    """What its own open deliveries went by is kept for them; nothing of another post changes."""
    core.account("one")
    old, new = core.decided(), core.decided("https://media.example/new.mp4")
    mine, other = core.accept(caption="mine"), core.accept(caption="other")
    [[delivery], [theirs]] = [[d.id for d in core.deliveries(one.id)] for one in (mine, other)]
    with core.context.database.begin() as c:
        pin_checks_for_retry(c, mine.id, {0: new})
        kept = {r.delivery_id: r.check_id for r in rows(c, "SELECT * FROM delivery_checks")}
        pins = {r.post_id: r.check_id for r in rows(c, "SELECT * FROM post_checks")}
    assert (kept.get(delivery), kept.get(theirs), pins[mine.id], pins[other.id]) == (old, None, new, old)
