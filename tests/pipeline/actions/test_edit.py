"""Edit a post: all changes or none, from every state, concurrently with workers and verdicts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Account, Draft, Pending, Platform
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change, EditResult
from pipeline.broker.queues import REACHABILITY
from pipeline.domain.delivery import Reason, State
from pipeline.stages import reachability
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_state import compute_version
from pipeline.stages.publish import publish
from pipeline.stages.replay import Replayed
from pipeline.store.accounts.grants import deactivate
from pipeline.store.checks import checks
from pipeline.store.database import new_id, row, rows
from pipeline.store.idempotency_keys import IdempotencyKey
from pipeline.store.posts import actions as steering
from pipeline.store.posts import pins as waiting
from pipeline.store.posts.pins import pin_checks
from pipeline.store.posts.views import PostView, read_post
from tests.pipeline.core_fixture import GOOD_VIDEO, VIDEO, CoreFixture, with_options
from tests.pipeline.scripted_adapter import Script, with_script
from tests.pipeline.store.ledger import HOUR, Post, together
from tests.stack import until

OTHER = "https://media.example/other.mp4"
GOOD = "https://media.example/good.mp4"
CHANGEABLE = [
    State.ACCEPTED,
    State.SCHEDULED,
    State.QUEUED,
    State.PUBLISHING,
    State.PREPARING,
    State.RETRYING,
    State.BLOCKED,
]


def change(core: CoreFixture, post: UUID, if_match: str | None = None, **fields: Any) -> EditResult:
    names = {"account_ids": "accounts"}
    given = frozenset(names.get(name, name) for name in fields)
    return edit(core.context, core.caller, post, Change(given=given, **with_options(fields)), if_match)


def refused(core: CoreFixture, post: UUID, if_match: str | None = None, **fields: Any) -> Refusal:
    """Return the refusal of an edit, which must leave the post unchanged."""
    before = seen(core, post)
    with pytest.raises(Refusal) as caught:
        change(core, post, if_match, **fields)
    assert seen(core, post) == before
    return caught.value


def seen(core: CoreFixture, post: UUID) -> tuple[Any, ...]:
    """Return every stored row of a post."""
    with core.context.database.begin() as c:
        return (
            rows(c, "SELECT * FROM posts WHERE id = :id", id=post),
            rows(c, "SELECT * FROM deliveries WHERE post_id = :id ORDER BY id", id=post),
            rows(c, "SELECT * FROM post_checks WHERE post_id = :id ORDER BY position", id=post),
        )


def view(core: CoreFixture, post: UUID) -> PostView:
    with core.context.database.begin() as c:
        found = read_post(c, core.workspace, post)
    assert found is not None
    return found


def stored(core: CoreFixture, state: State = State.SCHEDULED, accounts: int = 1, **more: Any) -> Post:
    """A post with good media and all deliveries in this state, due in an hour by default."""
    ids = [core.accounts.get("one") or core.account("one")]
    ids += [core.account(f"more{n}") for n in range(1, accounts)]
    check = core.decided()
    more.setdefault("due", HOUR)
    post = core.ledger.post(ids, State.SCHEDULED, checks={0: check}, **more)
    if state is not State.SCHEDULED:
        core.ledger.put(post, state)
    return post


def with_checkpoint(core: CoreFixture, delivery: UUID) -> None:
    core.ledger.change(
        delivery, "checkpoint = :sealed", sealed=core.context.vault.seal({"handle": "old"}, delivery)
    )


def old_handles(core: CoreFixture, delivery: UUID) -> list[dict[str, Any]]:
    with core.context.database.begin() as c:
        found = rows(c, "SELECT id, handle FROM old_handles WHERE delivery_id = :id", id=delivery)
    return [dict(core.context.vault.open(r.handle, r.id)) for r in found]


# --- what an edit does -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", CHANGEABLE)
def test_an_edit_takes_everything_that_is_not_armed_back_to_its_time(core: CoreFixture, state: State) -> None:
    post = stored(core, state)
    [delivery] = post.deliveries
    before = core.ledger.delivery(delivery)
    with_checkpoint(core, delivery)
    done = change(core, post.id, caption="new")
    after = core.ledger.delivery(delivery)
    assert (done.status, done.scheduled_at) == ("scheduled", view(core, post.id).due_at)
    assert view(core, post.id).caption == "new"
    assert (after.state, after.reason, after.lease_until) == ("scheduled", None, None)
    assert after.generation == before.generation + 1
    assert after.fence > before.fence
    assert after.next_at <= after.due_at == before.due_at
    assert after.checkpoint is None
    assert old_handles(core, delivery) == [{"handle": "old"}]
    assert all(a.closed_at for a in core.ledger.attempts(delivery))
    assert core.ledger.moves(delivery)[-1] == ("edit", str(state), "scheduled")


@pytest.mark.parametrize(
    ("state", "armed", "reason"),
    [
        (State.PUBLISHING, True, None),
        (State.PROCESSING, True, None),
        (State.UNKNOWN, True, None),
        (State.BLOCKED, True, Reason.IS_IT_LIVE),
    ],
)
def test_one_delivery_in_flight_and_nothing_of_the_post_is_changed(
    core: CoreFixture, state: State, armed: bool, reason: Reason | None
) -> None:
    post = stored(core, accounts=2)
    first = replace(post, deliveries=post.deliveries[:1])
    core.ledger.put(first, state, armed=armed, reason=reason)
    for fields in ({"caption": "new"}, {"scheduled_at": None}, {"account_ids": [core.accounts["more1"]]}):
        refusal = refused(core, post.id, **fields)
        assert (refusal.status, refusal.code) == (409, "post_in_flight")


@pytest.mark.parametrize("state", [State.PUBLISHED, State.CANCELLED])
def test_what_is_over_cannot_be_edited(core: CoreFixture, state: State) -> None:
    refusal = refused(core, stored(core, state).id, caption="new")
    assert (refusal.status, refusal.code) == (400, "validation_failed")


def test_a_published_account_keeps_the_post_as_it_was_and_the_answer_says_so(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    core.ledger.put(replace(post, deliveries=post.deliveries[:1]), State.PUBLISHED)
    before = core.ledger.delivery(post.deliveries[0])
    done = change(core, post.id, caption="new", scheduled_at=core.now() + 2 * HOUR)
    after = core.ledger.delivery(post.deliveries[0])
    assert (after.state, after.generation, after.due_at) == ("published", before.generation, before.due_at)
    assert [w.code for w in done.warnings] == ["ALREADY_PUBLISHED"]
    assert core.ledger.delivery(post.deliveries[1]).due_at == done.scheduled_at


def test_another_time_moves_due_and_start_and_none_means_now(core: CoreFixture) -> None:
    post = stored(core)
    due = core.now() + 3 * HOUR
    assert change(core, post.id, scheduled_at=due).scheduled_at == due
    delivery = core.ledger.delivery(post.deliveries[0])
    lead = core.context.adapters[Platform.TIKTOK].capabilities.prepare_lead
    assert (delivery.due_at, delivery.next_at) == (due, due - lead)
    before = core.now()
    done = change(core, post.id, scheduled_at=None)
    assert done.status == "pending"
    assert before <= done.scheduled_at <= core.now()


def test_a_time_in_the_past_or_after_its_own_deadline_is_refused(core: CoreFixture) -> None:
    post = stored(core, expires=2 * HOUR)
    assert "past" in refused(core, post.id, scheduled_at=core.now() - HOUR).message
    assert "expires_at" in refused(core, post.id, scheduled_at=core.now() + 3 * HOUR).message


def test_an_edited_failed_post_stays_failed_until_it_is_given_a_time(core: CoreFixture) -> None:
    post = stored(core, State.FAILED)
    [delivery] = post.deliveries
    core.ledger.change(delivery, """error = '{"code": "x"}'""")
    done = change(core, post.id, caption="new")
    assert (done.status, [w.code for w in done.warnings]) == ("failed", ["STILL_FAILED"])
    assert (core.ledger.state(delivery), core.ledger.delivery(delivery).error) == (
        State.FAILED,
        {"code": "x"},
    )
    assert change(core, post.id, scheduled_at=None).status == "pending"
    assert (core.ledger.state(delivery), core.ledger.delivery(delivery).error) == (State.SCHEDULED, None)


def test_failed_for_its_media_and_given_a_time_the_media_are_looked_at_again(core: CoreFixture) -> None:
    core.account("one")
    bad = core.decided(OTHER, verdict="refused", seen="404")
    post = core.ledger.post([core.accounts["one"]], State.SCHEDULED, checks={0: bad}, due=HOUR)
    core.ledger.update(
        "posts", post.id, """media = '{"type": "video", "url": "https://media.example/other.mp4"}'"""
    )
    core.ledger.put(post, State.FAILED)
    assert change(core, post.id, caption="new").status == "failed"
    done = change(core, post.id, scheduled_at=core.now() + HOUR)
    assert core.ledger.state(post.deliveries[0]) is State.ACCEPTED
    assert "REACHABILITY_PENDING" in {w.code for w in done.warnings}
    assert len(core.check_ids(OTHER)) == 2


def test_new_media_are_checked_and_waited_for_in_the_database(core: CoreFixture) -> None:
    post = stored(core)
    done = change(core, post.id, media={"type": "video", "url": OTHER})
    assert core.ledger.state(post.deliveries[0]) is State.ACCEPTED
    assert "REACHABILITY_PENDING" in {w.code for w in done.warnings}
    [check] = core.check_ids(OTHER)
    with core.context.database.begin() as c:
        pinned = rows(c, "SELECT position, check_id FROM post_checks WHERE post_id = :id", id=post.id)
    assert [(r.position, r.check_id) for r in pinned] == [(0, check)]
    core.decided(GOOD)
    assert not change(core, post.id, media={"type": "video", "url": GOOD}).warnings
    assert core.ledger.state(post.deliveries[0]) is State.SCHEDULED, "known to be good"


def test_new_media_that_are_refused_while_the_client_waits_change_nothing(core: CoreFixture) -> None:
    post = stored(core)
    core.context.liveness.record_beat(REACHABILITY)
    worker = threading.Thread(target=_refuse, args=(core, OTHER))
    worker.start()
    refusal = refused(core, post.id, media={"type": "video", "url": OTHER})
    worker.join()
    core.context.liveness._client.delete(f"pulse:{REACHABILITY}")  # nobody is to be waited for any more
    assert (refusal.status, refusal.code) == (400, "media_unreachable")
    assert OTHER in refusal.message


def _refuse(core: CoreFixture, url: str) -> None:
    [check] = until(lambda: core.check_ids(url) or None, 10)
    with core.context.database.begin() as c:
        assert checks.decide_check(c, check, "refused", facts=None, seen="404")


def test_a_new_caption_does_not_end_the_wait_for_media(core: CoreFixture) -> None:
    core.account("one")
    post = core.accept(core.request(scheduled_at=core.now() + HOUR))
    [check] = core.check_ids(VIDEO)
    change(core, post.id, caption="new")
    [delivery] = core.deliveries(post.id)
    assert (delivery.state, delivery.generation) == ("accepted", 1)
    _good(core, check)
    [delivery] = core.deliveries(post.id)
    assert delivery.state == "scheduled"


def _good(core: CoreFixture, check: UUID) -> None:
    """Decide the check as a worker does, with the moves that follow."""
    with core.context.database.begin() as c:
        taken = checks.read_checks(c, [check])[check]
    reachability._store_verdict(core.context, taken, "good", GOOD_VIDEO, "ok")


# --- accounts --------------------------------------------------------------------------------------------------------


def test_accounts_are_replaced(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    third = core.account("third", Platform.INSTAGRAM)
    change(core, post.id, account_ids=[core.accounts["one"], third])
    states = {d.account_id: d.state for d in core.deliveries(post.id)}
    assert states == {
        core.accounts["one"]: "scheduled",
        core.accounts["more1"]: "cancelled",
        third: "scheduled",
    }
    change(core, post.id, account_ids=[core.accounts["more1"]])
    states = {d.account_id: d.state for d in core.deliveries(post.id)}
    assert states == {
        core.accounts["one"]: "cancelled",
        core.accounts["more1"]: "scheduled",
        third: "cancelled",
    }
    assert core.status(post.id) == "scheduled"


def test_a_failed_account_taken_off_is_gone_and_an_added_one_rests_with_the_others(core: CoreFixture) -> None:
    post = stored(core, State.FAILED, accounts=2)
    new = core.account("new")
    assert change(core, post.id, account_ids=[core.accounts["one"], new]).status == "failed"
    states = {d.account_id: d.state for d in core.deliveries(post.id)}
    assert states == {core.accounts["one"]: "failed", core.accounts["more1"]: "cancelled", new: "failed"}
    change(core, post.id, scheduled_at=core.now() + HOUR)
    states = {d.account_id: d.state for d in core.deliveries(post.id)}
    assert states == {
        core.accounts["one"]: "scheduled",
        core.accounts["more1"]: "cancelled",
        new: "scheduled",
    }


def test_a_published_account_that_is_left_out_stays_published(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    core.ledger.put(replace(post, deliveries=post.deliveries[:1]), State.PUBLISHED)
    change(core, post.id, account_ids=[core.accounts["more1"]])
    assert core.ledger.states(post) == [State.PUBLISHED, State.SCHEDULED]


def test_accounts_are_held_to_the_rules_of_a_new_post(core: CoreFixture) -> None:
    post = stored(core)
    stranger = core.ledger.account(core.ledger.workspace())
    for ids, code in (
        ([stranger], "unknown_accounts"),
        ([new_id()], "unknown_accounts"),
        ([], "missing_accounts"),
    ):
        assert refused(core, post.id, account_ids=ids).code == code
    gone = core.account("gone")
    with core.context.database.begin() as c:
        deactivate(c, gone)
    assert refused(core, post.id, account_ids=[core.accounts["one"], gone]).code == "unknown_accounts"


def test_an_account_taken_out_of_use_does_not_stop_the_edit_of_a_caption(core: CoreFixture) -> None:
    post = stored(core)
    with core.context.database.begin() as c:
        deactivate(c, core.accounts["one"])
    assert change(core, post.id, caption="new").status == "scheduled"


def test_the_post_as_a_whole_is_held_to_the_rules(core: CoreFixture) -> None:
    post = stored(core)
    instagram = core.account("instagram", Platform.INSTAGRAM)
    change(core, post.id, tiktok={"title": "t"})
    refusal = refused(core, post.id, account_ids=[core.accounts["one"], instagram])
    assert (refusal.code, refusal.issues[0]["path"]) == ("validation_failed", "tiktok")
    change(core, post.id, tiktok=None, account_ids=[core.accounts["one"], instagram])
    assert view(core, post.id).options == {}
    assert refused(core, post.id, pinterest={"board_id": "1"}).issues[0]["path"] == "pinterest"
    assert (
        refused(core, post.id, music_url="https://www.tiktok.com/@g/video/72345").code == "validation_failed"
    )


# --- who may, and which version --------------------------------------------------------------------------------------


def test_another_scopes_post_is_not_there(core: CoreFixture, ready: CoreFixture) -> None:
    post = stored(core)
    stranger = replace(core.caller, workspace_id=core.ledger.workspace())
    for caller, identity in ((stranger, post.id), (core.caller, new_id())):
        with pytest.raises(Refusal) as caught:
            edit(core.context, caller, identity, Change(given=frozenset({"caption"}), caption="new"))
        assert (caught.value.status, caught.value.message) == (404, "There is no such post.")


def test_the_external_id_cannot_be_changed(core: CoreFixture) -> None:
    post = stored(core)
    with pytest.raises(Refusal) as caught:
        edit(
            core.context,
            core.caller,
            post.id,
            Change(given=frozenset({"external_id", "caption"}), caption="new"),
        )
    assert (caught.value.status, caught.value.code) == (409, "external_id_immutable")
    assert view(core, post.id).caption == "hello"


def test_an_old_version_is_refused_and_each_answer_tells_the_next(core: CoreFixture) -> None:
    post = stored(core)
    first = f'"{compute_version(view(core, post.id))}"'
    done = change(core, post.id, first, caption="two")
    assert f'"{compute_version(view(core, post.id))}"' == f'"{done.version}"'
    refusal = refused(core, post.id, first, caption="three")
    assert (refusal.status, refusal.code) == (412, "precondition_failed")
    change(core, post.id, f'"nothing", "{done.version}"', caption="three")
    change(core, post.id, "*", caption="four")
    assert refused(core, post.id, "four", caption="five").status == 412


# --- at the same moment ----------------------------------------------------------------------------------------------


def test_two_edits_of_one_version_at_the_same_moment_give_one_winner(core: CoreFixture) -> None:
    post = stored(core)
    version = f'"{compute_version(view(core, post.id))}"'

    def try_it(text: str) -> str:
        try:
            change(core, post.id, version, caption=text)
        except Refusal as refusal:
            return str(refusal.status)
        return text

    answers = together(*(partial(try_it, text) for text in "abcdef"))
    won = [text for text in answers if text != "412"]
    assert len(won) == 1
    assert view(core, post.id).caption == won[0]
    assert core.ledger.delivery(post.deliveries[0]).generation == 1


def queue(core: CoreFixture) -> tuple[Post, Callable[[], str], list[str]]:
    """Return a post that is queued, what publishes it, and the captions that are sent then."""
    post, sent = stored(core, due=timedelta(0)), list[str]()
    core.ledger.change(post.deliveries[0], "state = 'queued', lease_until = now() + interval '5 minutes'")

    def finalize(draft: Draft, account: Account) -> Pending:
        sent.append(draft.caption)
        return Pending(checkpoint={"handle": "h"}, wait=HOUR)

    context = with_script(core.context, Script(finalize=finalize))
    return post, lambda: str(publish(context, post.deliveries[0], 0)), sent


@pytest.mark.parametrize("turn", range(8))
def test_either_the_edit_is_refused_or_the_old_version_is_never_sent(core: CoreFixture, turn: int) -> None:
    """A claim and its arm against an edit: whichever is first, the published version is the one last answered."""
    post, publish_it, sent = queue(core)

    def change_it() -> str:
        try:
            return change(core, post.id, caption="new").status
        except Refusal as refusal:
            return refusal.code

    _, answer = together(publish_it, change_it)
    changed = answer != "post_in_flight"
    assert sent == ([] if changed else ["hello"])
    assert view(core, post.id).caption == ("new" if changed else "hello")


def test_an_upload_that_was_armed_once_is_finished_or_nothing(core: CoreFixture) -> None:
    """After proven absence the handle is reused: a stopped worker might still complete it."""
    post = stored(core, State.RETRYING)
    [delivery] = post.deliveries
    with_checkpoint(core, delivery)
    core.run(
        """UPDATE attempts SET armed_at = now() - interval '2 minutes', closed_at = now() - interval '1 minute',
                  outcome = 'absent' WHERE delivery_id = :id""",
        id=delivery,
    )
    assert refused(core, post.id, caption="new").code == "post_in_flight"
    core.run(
        """UPDATE attempts SET closed_at = now() - interval '61 minutes'
                  WHERE delivery_id = :id""",
        id=delivery,
    )
    assert change(core, post.id, caption="new").status == "scheduled"


def test_a_failed_one_that_is_live_after_all_is_not_sent_again(core: CoreFixture) -> None:
    post = stored(core, State.FAILED)
    [delivery] = post.deliveries
    core.run(
        """INSERT INTO attempts (delivery_id, account_id, n, generation, fence, closed_at, outcome, late)
                  SELECT id, account_id, 1, 0, 1, now(), 'failed', '[{"error": {}}, {"remote_id": "7"}]' FROM deliveries
                  WHERE id = :id""",
        id=delivery,
    )
    assert refused(core, post.id, scheduled_at=None).code == "post_in_flight"


@pytest.mark.parametrize("turn", range(6))
def test_a_verdict_at_the_moment_of_an_edit_leaves_nothing_waiting(core: CoreFixture, turn: int) -> None:
    core.account("one")
    post = core.accept(core.request(scheduled_at=core.now() + HOUR))
    [check] = core.check_ids(VIDEO)
    together(lambda: _good(core, check), lambda: change(core, post.id, caption=f"turn {turn}"))
    [delivery] = core.deliveries(post.id)
    assert (delivery.state, delivery.generation) == ("scheduled", 1)


@pytest.mark.parametrize("turn", range(6))
def test_a_bad_verdict_on_the_old_media_never_fails_the_new_ones(core: CoreFixture, turn: int) -> None:
    core.account("one")
    post = core.accept(core.request(scheduled_at=core.now() + HOUR))
    [check] = core.check_ids(VIDEO)
    core.decided(OTHER)

    def fail() -> None:
        with core.context.database.begin() as c:
            taken = checks.read_checks(c, [check])[check]
        reachability._store_verdict(core.context, taken, "refused", None, "404")

    _, done = together(fail, lambda: _try(core, post.id))
    [delivery] = core.deliveries(post.id)
    # either the edit came first and its media are good, or the verdict did and the failed post stays failed
    assert (delivery.state, done) in (("scheduled", "scheduled"), ("failed", "failed"))


def _try(core: CoreFixture, post: UUID) -> str:
    return change(core, post, media={"type": "video", "url": OTHER}).status


def test_an_edit_waits_for_a_verdict_under_way_and_judges_by_it(core: CoreFixture) -> None:
    """The verdict's transaction is open when the edit begins: it applies to the new caption and media."""
    core.account("one")
    post = core.accept(core.request(scheduled_at=core.now() + HOUR))
    [check] = core.check_ids(VIDEO)
    core.decided(OTHER)
    begun, go_on = threading.Event(), threading.Event()

    def slow_verdict() -> None:
        with core.context.database.begin() as c:
            taken = checks.read_checks(c, [check])[check]
            # the post is found before the edit and locked after it: only what is read under the lock counts
            found = waiting.list_waiting(c, check)
            begun.set()
            assert go_on.wait(120)
            assert checks.decide_check(c, taken.id, "refused", facts=None, seen="404")
            for one in found:
                reachability.advance_post(core.context, c, one.id)

    worker = threading.Thread(target=slow_verdict)
    worker.start()
    assert begun.wait(120)
    change(core, post.id, media={"type": "video", "url": OTHER})
    go_on.set()
    worker.join(120)
    [delivery] = core.deliveries(post.id)
    assert delivery.state == "scheduled"


def test_patience_that_ends_with_the_old_media_never_fails_the_new_ones(core: CoreFixture) -> None:
    """The post is past its grace period while an edit that gives it other media holds its lock."""
    core.account("one")
    post = core.accept(core.request())
    patient = core.accept(core.request(caption="patient"))
    [check] = core.check_ids(VIDEO)
    new = checks_of(core, OTHER)
    with core.context.database.begin() as c:
        late = "UPDATE deliveries SET due_at = now() - interval '1 hour' WHERE post_id = :id RETURNING id"
        row(c, late, id=post.id)
        taken = checks.read_checks(c, [check])[check]
    verdict = threading.Thread(
        target=reachability._postpone_or_give_up, args=(core.context, taken, "HTTP 503")
    )
    with core.context.database.begin() as c:
        assert steering.read(c, core.workspace, post.id, lock=True) is not None
        pin_checks(c, post.id, {0: new})
        verdict.start()
        until(lambda: _is_waiting_for_lock(core) or None, 10)
    verdict.join(120)
    states = [core.deliveries(one.id)[0].state for one in (post, patient)]
    assert states == ["accepted", "accepted"]


def test_an_edit_that_another_change_overtakes_claims_its_key_once(core: CoreFixture) -> None:
    """The media change under the post's lock, so the first try is given up: the second is no replay of it."""
    core.account("one")
    post = core.accept(core.request(scheduled_at=core.now() + HOUR))
    new = checks_of(core, OTHER)
    key = IdempotencyKey(key_id=new_id(), operation="test", value="one", request_sha256=b"same")
    edited: list[EditResult] = []
    send = partial(
        edit, core.context, core.caller, post.id, Change(given=frozenset({"caption"}), caption="new"), key=key
    )
    other = threading.Thread(target=lambda: edited.append(send()))
    with core.context.database.begin() as c:
        assert steering.read(c, core.workspace, post.id, lock=True) is not None
        pin_checks(c, post.id, {0: new})
        other.start()
        until(lambda: _is_waiting_for_lock(core) or None, 10)
    other.join(120)
    assert [one.id for one in edited] == [post.id]
    with pytest.raises(Replayed):
        send()


def checks_of(core: CoreFixture, url: str) -> UUID:
    with core.context.database.begin() as c:
        return checks.open_check(c, core.workspace, "video", url).id


def _is_waiting_for_lock(core: CoreFixture) -> bool:
    with core.context.database.begin() as c:
        waits = "SELECT 1 AS one FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return row(c, waits) is not None
