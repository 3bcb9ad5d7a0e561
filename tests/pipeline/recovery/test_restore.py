"""Restores on real engines: nothing that was sent after the backup is sent again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import (
    Account,
    Draft,
    FinalizeResult,
    Published,
)
from pipeline.actions import cancel_delete_retry as steer
from pipeline.actions import resolve as decide
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.domain.delivery import SETTLED, UNSETTLED, Reason, State
from pipeline.domain.steering import Verb
from pipeline.maintenance.rescue_expired_leases import redispatch_checks
from pipeline.recovery import restore
from pipeline.recovery.restore import Acceptance, CannotAccept
from pipeline.runtime.epoch_file import EpochFile
from pipeline.stages import delay, reachability
from pipeline.stages.post_request import Refusal
from pipeline.stages.publish import publish, publish_batch
from pipeline.stages.status import look
from pipeline.store.checks.checks import open_check
from pipeline.store.database import row
from pipeline.store.deliveries.ownership import OPERATOR
from pipeline.store.recovery import epoch as epochs
from pipeline.store.recovery import restores
from tests.actors import TESTER
from tests.crash_table import Crashes
from tests.pipeline.actions.test_dead_letters import act
from tests.pipeline.recovery.scene import LATE, LONG_AGO, Scene, forget
from tests.pipeline.store.ledger import HOUR, Post

# --- what went out is not sent again ---------------------------------------------------------------------------------


def test_what_went_out_since_the_backup_is_not_sent_again_and_what_is_due_later_is_once(scene: Scene) -> None:
    out, later = scene.post(), scene.post(due=HOUR)
    scene.back_up()
    assert scene.goes_out(out) is State.PUBLISHED
    scene.put_back()
    assert scene.core.ledger.states(out) == [State.SCHEDULED], "the backup knows nothing of it"
    assert delay.release_due(scene.context) == 0
    assert scene.goes_out(out) is None
    assert scene.core.ledger.states(out) == [State.SCHEDULED], "not even released"

    assert scene.accept() == {*out.deliveries}
    assert scene.core.ledger.states(out) == [State.UNKNOWN]
    assert scene.core.ledger.status(out) == "pending"
    assert scene.core.ledger.moves(out.deliveries[0])[-1] == ("restore", "scheduled", "unknown")
    assert scene.goes_out(out) is None
    assert scene.goes_out(later) is None, "not yet"
    scene.core.ledger.change(later.deliveries[0], "due_at = now(), next_at = now()")
    assert scene.goes_out(later) is State.PUBLISHED
    assert (scene.sent(out), scene.sent(later)) == (1, 1)


def claim_it(scene: Scene, post: Post) -> None:
    scene.core.ledger.claimed(post)


def arm_it(scene: Scene, post: Post) -> None:
    """The worker dies right after it armed, before or during the visible call."""
    scene.core.ledger.armed(post)


def publish_it(scene: Scene, post: Post) -> None:
    assert scene.goes_out(post) is State.PUBLISHED


@pytest.mark.parametrize(
    ("state", "work"),
    [
        (State.SCHEDULED, claim_it),
        (State.QUEUED, arm_it),
        (State.RETRYING, arm_it),
        (State.SCHEDULED, publish_it),
    ],
)
def test_what_the_backup_never_saw_claimed_is_unresolved_once_it_was_claimed_since(
    scene: Scene, state: State, work: Callable[[Scene, Post], None]
) -> None:
    post = scene.post(state)
    [delivery] = post.deliveries
    fence = scene.core.ledger.delivery(delivery).fence
    scene.back_up()
    work(scene, post)
    assert scene.core.ledger.delivery(delivery).fence > fence
    sent = scene.sent(post)
    scene.put_back()
    old = scene.core.ledger.delivery(delivery)
    assert (old.state, old.fence, old.armed_at) == (state, fence, None), "the backup knows of no claim"
    assert scene.accept() == {delivery}
    found = scene.core.ledger.delivery(delivery)
    assert (found.state, found.in_doubt, found.armed_at is None) == (State.UNKNOWN, True, False)
    assert scene.goes_out(post) is None
    assert publish(scene.context, delivery, old.generation) is None, "the message that was under way"
    scene.core.ledger.change(delivery, LATE)
    assert [scene.seen(delivery), scene.seen(delivery)] == [State.UNKNOWN, State.BLOCKED]
    assert scene.core.ledger.delivery(delivery).reason == Reason.IS_IT_LIVE
    assert scene.goes_out(post) is None
    assert scene.sent(post) == sent, "never again"


def test_whatever_was_under_way_in_the_backup_becomes_unknown_and_reads_as_pending(scene: Scene) -> None:
    posts = {state: scene.post(state, due=-HOUR) for state in State}
    scene.core.ledger.change(posts[State.BLOCKED].deliveries[0], "reason = 'reconnect'")
    before = {state: scene.core.ledger.delivery(post.deliveries[0]) for state, post in posts.items()}
    scene.back_up()
    scene.put_back()
    for old in before.values():
        assert publish(scene.context, old.id, 0) is None, "an old message"
        assert look(scene.context, old.id, old.generation, old.fence) is None
    publish_batch(scene.context, "tiktok", [(old.id, 0) for old in before.values()])
    assert scene.accept() == {before[state].id for state in UNSETTLED}
    for state in UNSETTLED:
        after = scene.core.ledger.delivery(before[state].id)
        assert (after.state, after.in_doubt, after.reason, after.lease_until) == ("unknown", True, None, None)
        assert after.generation == before[state].generation + 1, "messages of before mean nothing any more"
        assert scene.core.ledger.status(posts[state]) == "pending"
        [attempt] = [a for a in scene.core.ledger.attempts(after.id) if a.closed_at is None]
        assert attempt.armed_at is not None, "it counts as a post of the day"
    for state in SETTLED:
        assert scene.core.ledger.delivery(before[state].id)[:-1] == before[state][:-1], state
    assert scene.script.calls == []


def test_it_is_looked_for_from_when_it_can_have_gone_out_and_no_earlier(scene: Scene) -> None:
    handled, long_due = scene.post(State.UNKNOWN, due=-HOUR), scene.post(due=-HOUR)
    due = scene.post(due=timedelta(seconds=2))
    armed = scene.core.ledger.delivery(handled.deliveries[0]).armed_at
    scene.back_up()
    scene.put_back()
    since = scene.doubt().since
    scene.accept()

    def armed_at(post: Post) -> Any:
        return scene.core.ledger.delivery(post.deliveries[0]).armed_at

    assert armed_at(handled) == armed
    assert armed_at(long_due) == since
    found = scene.core.ledger.delivery(due.deliveries[0])
    assert found.armed_at == min(found.due_at, found.updated_at)
    doubt = scene.epoch_file.read()
    assert doubt is not None
    assert found.armed_deadline > found.now, "a worker of before may still be about to send"


# --- what a person brought forward -----------------------------------------------------------------------------------


def test_what_was_due_later_and_was_brought_forward_since_is_in_doubt_too(scene: Scene) -> None:
    scene.core.decided()
    scene.core.account("one")
    post = scene.core.accept(scheduled_at=scene.core.now() + HOUR).id
    [delivery] = [d.id for d in scene.core.deliveries(post)]
    scene.back_up()
    edit(scene.context, scene.core.caller, post, Change(given=frozenset({"scheduled_at"})))
    noted: list[bool] = []

    def finalize(draft: Draft, _: Account) -> FinalizeResult:
        noted.append(delivery in scene.epoch_file.list_brought_forward(None))
        return Published(remote_id=draft.delivery_id)

    scene.script.finalize = finalize
    delay.release_due(scene.context)
    assert publish(scene.context, delivery, 1) is State.PUBLISHED
    assert noted == [True], "the epoch file has it before the visible call"
    scene.put_back()
    assert scene.core.ledger.delivery(delivery).due_at > scene.core.now()
    assert scene.accept() == {delivery}


def test_who_finds_the_mark_run_out_at_the_moment_of_a_claim_moves_it_on_and_claims(scene: Scene) -> None:
    post = scene.post()
    delay.release_due(scene.context)
    # it looked a moment ago, however busy the machine is
    scene.context.send_guard._valid_until = float("inf")
    with scene.context.database.begin() as c:
        row(
            c,
            """UPDATE mark SET until = now() - interval '1 second', writer = pg_current_xact_id()::xid
               RETURNING n""",
        )
    assert publish(scene.context, post.deliveries[0], 0) is State.PUBLISHED


def test_an_edit_to_a_later_time_or_of_the_text_alone_needs_no_note(scene: Scene) -> None:
    scene.core.decided()
    scene.core.account("one")
    post = scene.core.accept(scheduled_at=scene.core.now() + HOUR).id
    later = Change(given=frozenset({"scheduled_at"}), scheduled_at=scene.core.now() + 2 * HOUR)
    edit(scene.context, scene.core.caller, post, later)
    edit(scene.context, scene.core.caller, post, Change(given=frozenset({"caption"}), caption="other"))
    with scene.context.database.begin() as c:
        assert not epochs.has_brought_forward(c)


# --- while it is not accepted ----------------------------------------------------------------------------------------


def test_until_it_is_accepted_nothing_of_before_can_be_changed_and_posts_are_taken(scene: Scene) -> None:
    scene.core.decided()
    post, failed, lost = scene.post(due=HOUR), scene.post(State.FAILED), scene.post(State.UNKNOWN)
    scene.back_up()
    scene.put_back()
    caller, context = scene.core.caller, scene.context
    changes: list[Callable[[], object]] = [
        lambda: edit(context, caller, post.id, Change(given=frozenset({"caption"}), caption="new")),
        lambda: steer.cancel(context, caller, [post.id]),
        lambda: steer.delete(context, caller, [post.id]),
        lambda: steer.retry(context, caller, [failed.id]),
    ]
    for work in changes:
        with pytest.raises(Refusal, match="restored from a backup") as refused:
            work()
        assert (refused.value.status, refused.value.code) == (503, "unavailable")
    decisions: list[Callable[[], None]] = [
        lambda: decide.confirm_live(context, TESTER, lost.deliveries[0], "https://t.example/1"),
        lambda: decide.publish_again(context, TESTER, lost.deliveries[0]),
        lambda: decide.resume(context, TESTER, lost.deliveries[0]),
    ]
    for decision in decisions:
        with pytest.raises(decide.CannotResolve, match="`slipway restore status`"):
            decision()
    replayed = act(context, Verb.REPLAY, OPERATOR, failed.deliveries)
    assert "`slipway restore status`" in replayed.skipped[failed.deliveries[0]]
    assert scene.core.ledger.states(post) + scene.core.ledger.states(failed) == [
        State.SCHEDULED,
        State.FAILED,
    ]

    taken = scene.core.accept(account_ids=[scene.core.accounts["one"]]).id
    assert [d.state for d in scene.core.deliveries(taken)] == ["scheduled"]
    scene.accept()
    edit(context, caller, post.id, Change(given=frozenset({"caption"}), caption="new"))
    assert steer.cancel(context, caller, [post.id]).ids == [post.id]


def test_no_verdict_on_media_fails_what_may_be_live(scene: Scene) -> None:
    link = "https://media.example/gone.mp4"
    post = scene.post(State.ACCEPTED)
    with scene.context.database.begin() as c:
        check = open_check(c, scene.core.workspace, "video", link).id
        row(
            c,
            "INSERT INTO post_checks (post_id, position, check_id) VALUES (:p, 0, :c) RETURNING position",
            p=post.id,
            c=check,
        )
    scene.back_up()
    scene.put_back()
    assert reachability.run_due_checks(scene.context) == 0
    assert redispatch_checks(scene.context) == 0
    assert scene.core.ledger.states(post) == [State.ACCEPTED]
    assert scene.accept() == {*post.deliveries}


@pytest.mark.parametrize("repeats", [True, False])
def test_what_was_taken_since_the_restore_may_be_a_repeat_unless_the_person_knows_better(
    scene: Scene, *, repeats: bool
) -> None:
    scene.back_up()
    _expire(scene)
    scene.put_back()
    scene.doubt()
    new, later = scene.post(), scene.post(due=HOUR)
    assert scene.accept(Acceptance(taken_since=repeats)) == ({*new.deliveries} if repeats else set())
    assert scene.core.ledger.states(later) == [State.SCHEDULED]
    if not repeats:
        assert scene.goes_out(new) is State.PUBLISHED


def test_what_became_due_while_nothing_ran_is_not_in_doubt(scene: Scene) -> None:
    """Nothing was sent after the file's time: what was due then is only late."""
    post = scene.post(due=timedelta(minutes=5))
    scene.back_up()
    _expire(scene)
    scene.put_back()
    scene.core.ledger.change(
        post.deliveries[0],
        "due_at = now() - interval '5 minutes', next_at = now(), created_at = now() - interval '1 day'",
    )
    assert scene.accept() == set()
    assert scene.goes_out(post) is State.PUBLISHED


# --- a person's word -------------------------------------------------------------------------------------------------


def test_nothing_sent_lets_everything_go_on_and_is_kept_with_its_reason(scene: Scene) -> None:
    post = scene.post()
    scene.back_up()
    scene.put_back()
    assert scene.accept(Acceptance(nothing_sent="moved")) == set()
    assert scene.goes_out(post) is State.PUBLISHED
    with scene.context.database.begin() as c:
        accepted = restores.find_last(c)
    assert accepted is not None
    assert (accepted.why, accepted.until, accepted.note) == ("restored", None, "moved")


def test_without_a_mark_the_person_has_to_say_until_when(scene: Scene) -> None:
    post, later = scene.post(), scene.post(due=HOUR)
    scene.back_up()
    scene.put_back()
    (scene.epoch_file.folder / "mark.json").unlink()
    assert scene.doubt().why == "lost"
    with pytest.raises(CannotAccept, match="--until"):
        scene.accept()
    assert scene.accept(Acceptance(until=scene.core.now())) == {*post.deliveries}
    assert scene.core.ledger.states(later) == [State.SCHEDULED]
    assert scene.context.send_guard.may_send()


def test_the_list_is_not_accepted_where_the_mark_is_not(scene: Scene, tmp_path: Path) -> None:
    scene.post()
    scene.back_up()
    scene.put_back()
    scene.doubt()
    with pytest.raises(CannotAccept, match="with the workers' SLIPWAY_MARK__FOLDER"):
        restore.accept(scene.context, TESTER, EpochFile(tmp_path / "elsewhere"), Acceptance())


def test_where_nothing_is_in_doubt_there_is_nothing_to_accept(scene: Scene) -> None:
    assert scene.context.send_guard.may_send()
    with pytest.raises(CannotAccept, match="in step"):
        scene.accept()


def test_a_person_can_say_it_where_the_mark_went_back_as_well(scene: Scene) -> None:
    post, later = scene.post(), scene.post(due=HOUR)
    assert scene.context.send_guard.may_send()
    since = scene.core.now() - LONG_AGO
    restore.declare(scene.context, TESTER, scene.epoch_file, since=since, until=None)
    forget(scene)
    assert scene.goes_out(post) is None
    doubt = scene.doubt()
    assert (doubt.why, doubt.since) == ("declared", since)
    assert scene.accept() == {*post.deliveries}
    assert scene.core.ledger.states(later) == [State.SCHEDULED]


def test_put_back_again_after_it_was_accepted_it_is_in_doubt_again(scene: Scene) -> None:
    post = scene.post()
    scene.back_up()
    for _ in range(2):
        scene.put_back()
        assert scene.goes_out(post) is None
        assert scene.accept() == {*post.deliveries}
    assert scene.context.send_guard.may_send()


def test_a_person_whose_command_dies_before_its_commit_accepts_it_again_and_the_span_is_the_same(
    scene: Scene, crashes: Crashes
) -> None:
    post = scene.post()
    scene.back_up()
    scene.put_back()
    before = scene.doubt()
    words = [sys.executable, "-m", "pipeline.cli", "restore", "accept"]
    ended = subprocess.run(
        words,
        env={**os.environ, **scene.environment, **crashes.arm()},
        check=False,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL
    in_file = scene.epoch_file.read()
    assert in_file is not None
    assert in_file.number == 1, "the file has the new epoch already"
    assert scene.goes_out(post) is None
    assert scene.core.ledger.states(post) == [State.SCHEDULED]
    assert scene.doubt() == before
    assert scene.accept() == {*post.deliveries}
    assert scene.context.send_guard.may_send()


# --- ------------------------------------------------------------------------------------------------------------------


def _expire(scene: Scene) -> None:
    """An hour passes in which nothing is sent."""
    with scene.context.database.begin() as c:
        row(c, "UPDATE backup.mark SET marked_at = now() - interval '1 hour' RETURNING n")
    in_file = scene.epoch_file.read()
    assert in_file is not None
    scene.epoch_file.begin(replace(in_file, until=in_file.until - HOUR))
