"""Actions on posts leave an audit row in their own transaction; one that changes nothing, or fails, leaves none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from pipeline.actions import pauses, resolve
from pipeline.actions.cancel_delete_retry import cancel, delete, retry
from pipeline.actions.dead_letters import discard_within
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.actions.steer_step import run_steering_step
from pipeline.actions.steering import Steering, steer
from pipeline.domain.delivery import Reason, State
from pipeline.domain.steering import Arguments, Verb
from pipeline.store.audit import AuditFilter, AuditRow, list_changes
from pipeline.store.database import row
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.deliveries.selection import ListFilter
from tests.actors import TESTER
from tests.pipeline.actions.test_cancel_delete_retry import failed
from tests.pipeline.actions.test_dead_letters import act
from tests.pipeline.actions.test_edit import stored
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import Post

SIGNED = {"type": "video", "url": "https://media.example/v.mp4?signature=hush"}


def changes(core: CoreFixture, subject: Any) -> list[AuditRow]:
    """Return the rows of a subject, oldest first, after what holds for all of them here."""
    with core.context.database.begin() as c:
        found = list_changes(c, AuditFilter(subject=str(subject)), limit=100)
    assert {one.workspace_id for one in found} <= {core.workspace}
    return found


def only(core: CoreFixture, subject: Any) -> AuditRow:
    [found] = changes(core, subject)
    return found


def states(post: Post, *pairs: tuple[int, State]) -> dict[str, Any]:
    return {"deliveries": {str(post.deliveries[n]): str(state) for n, state in pairs}}


def change(core: CoreFixture, post: Post, **fields: Any) -> None:
    edit(core.context, core.caller, post.id, Change(given=frozenset(fields), **fields))


# --- posts -----------------------------------------------------------------------------------------------------------


def test_an_edit_is_recorded_with_what_it_changed_before_and_after(core: CoreFixture) -> None:
    post = stored(core)
    change(core, post, caption="Better")
    found = only(core, post.id)
    assert (found.verb, found.kind, found.actor_kind, found.actor_id) == (
        "edit",
        "post",
        "key",
        core.caller.key_id,
    )
    assert found.actor_name.startswith("slw_live_")
    assert found.after == {"caption": "Better"}
    assert found.before.keys() == {"caption"}


def test_a_long_caption_is_recorded_by_its_beginning_and_the_signature_of_a_url_by_its_hash(
    core: CoreFixture,
) -> None:
    post = stored(core)
    core.decided(SIGNED["url"])
    change(core, post, caption="x" * 2000, media=SIGNED)
    found = only(core, post.id)
    assert found.after["caption"]["characters"] == 2000
    assert found.after["media"]["url"].startswith("https://media.example/v.mp4?sha256:")
    assert "hush" not in str(found)


def test_cancel_delete_and_retry_are_recorded_with_the_states_of_the_deliveries_they_move(
    core: CoreFixture,
) -> None:
    post = stored(core, accounts=2)
    cancel(core.context, core.caller, [post.id], [core.accounts["more1"]])
    found = only(core, post.id)
    n = [core.ledger.delivery(d).state for d in post.deliveries].index("cancelled")
    assert found.verb == "cancel"
    assert (found.before, found.after) == (
        states(post, (n, State.SCHEDULED)),
        states(post, (n, State.CANCELLED)),
    )
    delete(core.context, core.caller, [post.id])
    found = changes(core, post.id)[-1]
    assert (found.verb, found.before) == ("delete", states(post, (1 - n, State.SCHEDULED)))
    assert found.after == {**states(post, (1 - n, State.CANCELLED)), "deleted": True}
    dead = failed(core)
    retry(core.context, core.caller, [dead.id])
    assert only(core, dead.id).after == states(dead, (0, State.ACCEPTED))


def test_what_changes_nothing_is_not_recorded(core: CoreFixture) -> None:
    post = stored(core)
    cancel(core.context, core.caller, [post.id])
    cancel(core.context, core.caller, [post.id])
    retry(core.context, core.caller, [post.id])
    delete(core.context, core.caller, [post.id])
    assert [one.verb for one in changes(core, post.id)] == ["cancel"]


def give_up(core: CoreFixture, post: Post) -> None:
    with core.context.database.begin() as c:
        discard_within(core.context, c, Scope(), post.deliveries[0], TESTER, why="over")


ACTIONS: dict[str, Callable[[CoreFixture, Post], object]] = {
    "edit": lambda core, post: change(core, post, caption="Better"),
    "cancel": lambda core, post: cancel(core.context, core.caller, [post.id]),
    "delete": lambda core, post: delete(core.context, core.caller, [post.id]),
    "retry": lambda core, post: retry(core.context, core.caller, [post.id]),
    "discard": give_up,
    "confirm live": lambda core, post: resolve.confirm_live(
        core.context, TESTER, post.deliveries[0], "https://t.example/1"
    ),
}


@pytest.mark.parametrize("verb", ACTIONS)
def test_a_change_whose_transaction_fails_at_its_end_leaves_no_row(core: CoreFixture, verb: str) -> None:
    post = failed(core) if verb in ("retry", "discard") else stored(core)
    if verb == "confirm live":
        core.ledger.put(post, State.UNKNOWN, armed=True)
    refuse_commits(core, post)
    with pytest.raises(DBAPIError, match="not now"):
        ACTIONS[verb](core, post)
    assert changes(core, post.id) == []
    allow_commits(core)
    ACTIONS[verb](core, post)
    assert [one.verb for one in changes(core, post.id)] == [verb]


def refuse_commits(core: CoreFixture, post: Post) -> None:
    """Make the database refuse the end of every transaction that adds an audit row of the post."""
    with core.context.database.begin() as c:
        c.exec_driver_sql(
            f"""CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN IF NEW.subject = '{post.id}' THEN RAISE EXCEPTION 'not now'; END IF; RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION refuse()"""
        )


def allow_commits(core: CoreFixture) -> None:
    core.run("DROP TRIGGER refuse ON audit")


# --- dead letters and decisions --------------------------------------------------------------------------------------


def test_dead_letters_are_recorded_each_with_the_reason(core: CoreFixture) -> None:
    one, two = failed(core), stored(core)
    core.ledger.put(two, State.BLOCKED, reason=Reason.PERSON_NEEDED)
    act(core.context, Verb.REPLAY, Scope(), [*one.deliveries, *two.deliveries])
    assert only(core, one.id).after == states(one, (0, State.ACCEPTED))
    assert only(core, two.id).after == states(two, (0, State.RETRYING))
    assert "replayed by a test" in core.ledger.last_why(two.deliveries[0])
    gone, stuck = failed(core), stored(core)
    core.ledger.put(stuck, State.BLOCKED, reason=Reason.PERSON_NEEDED)
    letters = [*gone.deliveries, *stuck.deliveries]
    act(core.context, Verb.DISCARD, Scope(), letters, why="over")
    assert only(core, gone.id).after == {"discarded": str(gone.deliveries[0]), "why": "over"}
    found = only(core, stuck.id)
    assert (found.verb, found.actor_name, found.address) == ("discard", "a test", TESTER.address)
    assert found.after["deliveries"] == {str(stuck.deliveries[0]): "cancelled"}


def test_decisions_are_recorded(core: CoreFixture) -> None:
    live, again, held = (stored(core) for _ in range(3))
    core.ledger.put(live, State.UNKNOWN, armed=True)
    core.ledger.put(again, State.BLOCKED, armed=True, reason=Reason.IS_IT_LIVE)
    core.ledger.put(held, State.BLOCKED, reason=Reason.PERSON_NEEDED)
    core.ledger.change(again.deliveries[0], "armed_deadline = now() - :long", long=timedelta(hours=1))
    resolve.confirm_live(core.context, TESTER, live.deliveries[0], "https://t.example/watch?v=1")
    resolve.publish_again(core.context, TESTER, again.deliveries[0])
    resolve.resume(core.context, TESTER, held.deliveries[0])
    assert only(core, live.id).after == {
        **states(live, (0, State.PUBLISHED)),
        "url": "https://t.example/watch?v=1",
    }
    assert [only(core, one.id).verb for one in (live, again, held)] == [
        "confirm live",
        "publish again",
        "resume",
    ]
    assert only(core, held.id).before == states(held, (0, State.BLOCKED))


# --- many at once, and pauses ----------------------------------------------------------------------------------------


def test_a_steering_job_is_recorded_once_and_not_for_each_post(core: CoreFixture) -> None:
    post = stored(core)
    asked = Steering(
        verb=Verb.CANCEL,
        filter=ListFilter(account=core.accounts["one"], state="scheduled"),
        arguments=Arguments(),
    )
    assert steer(core.context, core.caller, asked).job is None
    job = steer(core.context, core.caller, asked, confirm=True).job
    assert job is not None
    for _ in range(3):
        run_steering_step(core.context, job.id)
    assert core.ledger.states(post) == [State.CANCELLED]
    assert changes(core, post.id) == []
    found = only(core, job.id)
    assert (found.verb, found.kind, found.actor_id) == ("cancel", "steering job", core.caller.key_id)
    assert found.after["filter"] == {"account": str(core.accounts["one"]), "state": "scheduled"}
    assert found.after["counted"] == job.counted


def test_pauses_are_recorded_with_their_reasons(core: CoreFixture) -> None:
    account = core.account("paused")
    with core.context.database.begin() as c:
        pauses.pause(c, TESTER, "account", str(account), "checking")
        pauses.pause(c, TESTER, "account", str(account), "still checking")
        assert pauses.lift(c, TESTER, "account", str(account))
        assert not pauses.lift(c, TESTER, "account", str(account))
    found = changes(core, f"account {account}")
    assert [(one.verb, one.before, one.after) for one in found] == [
        ("pause", {"why": None}, {"why": "checking"}),
        ("pause", {"why": "checking"}, {"why": "still checking"}),
        ("lift", {"why": "still checking"}, {"why": None}),
    ]
    assert {one.workspace_id for one in found} == {core.workspace}


def test_closing_a_breaker_is_recorded(core: CoreFixture) -> None:
    with core.context.database.begin() as c:
        row(
            c,
            """INSERT INTO platform_health (platform, opened_at, probe_at, why) VALUES ('tiktok', now(), now(), 'down')
               ON CONFLICT (platform) DO UPDATE SET opened_at = now(), probe_at = now(), why = 'down'
               RETURNING platform""",
        )
        assert pauses.lift(c, TESTER, "breaker", "tiktok")
        assert not pauses.lift(c, TESTER, "breaker", "tiktok")
        [found] = list_changes(c, AuditFilter(subject="tiktok"), limit=10)
    assert (found.verb, found.kind, found.workspace_id) == ("close", "breaker", None)
    assert (found.before, found.after) == ({"open": True, "why": "down"}, {"open": False})
