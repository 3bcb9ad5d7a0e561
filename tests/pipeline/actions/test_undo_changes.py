"""The undo of one edit, move or cancel of a post from its audit row: all of what it replaced is back, or nothing."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.actions.cancel_delete_retry import cancel, retry
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.actions.undo import undo_change
from pipeline.domain.delivery import State
from pipeline.domain.level import LEVEL
from pipeline.domain.steering import UNDO_WITHIN, Verb
from pipeline.maintenance.expire import expire_audit
from pipeline.stages.post_request import Refusal
from pipeline.store.audit import AuditFilter, AuditRow, list_changes
from pipeline.store.database import new_id, rows
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.posts.undo_log import KEEP, find_change, find_last_changes, keep_tokens
from tests.pipeline.actions.test_edit import OTHER, change, seen, stored
from tests.pipeline.actions.test_steering import DAY, do, due, execute
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import HOUR, together

SIGNED = {"type": "video", "url": "https://media.example/v.mp4?signature=hush"}
OPTIONS = {Platform.TIKTOK: {"title": "Mug", "privacy_level": "PUBLIC_TO_EVERYONE"}}


@pytest.fixture
def core(alone: CoreFixture) -> CoreFixture:
    return alone


def audit(core: CoreFixture, post: UUID) -> AuditRow:
    """Return the last audit row of a post."""
    with core.context.database.begin() as c:
        return list_changes(c, AuditFilter(subject=str(post)), limit=1, newest_first=True)[0]


def undo(core: CoreFixture, post: UUID, **more: Any) -> None:
    assert undo_change(core.context, core.caller, audit(core, post).id, **more) == post


def refused(core: CoreFixture, post: UUID, row: int | None = None, **more: Any) -> Refusal:
    """Return the refusal of an undo, which must leave the post unchanged."""
    before = seen(core, post)
    with pytest.raises(Refusal) as caught:
        undo_change(core.context, core.caller, row or audit(core, post).id, **more)
    assert seen(core, post) == before
    return caught.value


def content(core: CoreFixture, post: UUID) -> dict[str, Any]:
    """Return what a post says and when, without when it was changed."""
    with core.context.database.begin() as c:
        [found] = rows(c, "SELECT * FROM posts WHERE id = :id", id=post)
    names = ("caption", "media", "music_url", "due_at", "tiktok", "instagram", "ai_generated", "status")
    return {name: getattr(found, name) for name in names}


def targets(core: CoreFixture, post: UUID) -> dict[UUID, str]:
    return {d.account_id: d.state for d in core.deliveries(post)}


def settle(core: CoreFixture, delivery: UUID, state: State) -> None:
    error = """'{"class": "Rejected", "code": "no", "message": "No."}'"""
    more = "published_at = now(), remote_id = id::text" if state is State.PUBLISHED else f"error = {error}"
    core.ledger.change(delivery, f"state = '{state}', {more}")


# --- edits and moves -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"caption": "x" * 2000},
        {"media": {"type": "video", "url": OTHER}},
        {"options": {Platform.TIKTOK: {"title": "Cup"}}},
        {"options": {Platform.TIKTOK: None}},
        {"ai_generated": True},
        {"caption": "Better", "media": SIGNED, "ai_generated": True, "options": {Platform.TIKTOK: None}},
    ],
    ids=["caption", "media", "option", "section", "ai", "several"],
)
def test_an_edit_is_undone_in_all_its_fields(core: CoreFixture, fields: dict[str, Any]) -> None:
    post = stored(core).id
    core.run("UPDATE posts SET caption = :text", text="y" * 900)
    for url in (OTHER, SIGNED["url"]):
        core.decided(url)
    edit(
        core.context,
        core.caller,
        post,
        Change(given=frozenset({"options"}), options=OPTIONS, media=None),
    )
    before = content(core, post)
    edit(core.context, core.caller, post, Change(given=frozenset(fields), **fields))
    assert content(core, post) != before
    edited = audit(core, post)
    undo(core, post)
    assert content(core, post) == before
    found = audit(core, post)
    assert (found.verb, found.actor_id) == ("undo", core.caller.key_id)
    assert found.after["undoes"] == edited.id
    assert {*found.before} == {*edited.after}
    assert {*found.after} == {*edited.before, "undoes"}
    assert "hush" not in str(found)


def test_a_moved_post_gets_its_earlier_time_and_work_is_dispatched_for_it(core: CoreFixture) -> None:
    post = stored(core, accounts=2).id
    before = due(core, post)
    change(core, post, scheduled_at=before + DAY)
    undo(core, post)
    assert due(core, post) == before
    assert {(d.due_at, d.state) for d in core.deliveries(post)} == {(before, "scheduled")}


def test_accounts_that_an_edit_added_or_took_off_are_as_before(core: CoreFixture) -> None:
    post = stored(core, accounts=2).id
    third = core.account("third")
    one, two = core.accounts["one"], core.accounts["more1"]
    change(core, post, account_ids=[one, third])
    assert targets(core, post) == {one: "scheduled", two: "cancelled", third: "scheduled"}
    undo(core, post)
    assert targets(core, post) == {one: "scheduled", two: "scheduled", third: "cancelled"}


def test_a_failed_part_that_an_edit_took_off_is_failed_again(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    parts = {core.ledger.delivery(d).account_id: d for d in post.deliveries}
    one, two = core.accounts["one"], core.accounts["more1"]
    settle(core, parts[two], State.FAILED)
    before = core.ledger.delivery(parts[two])
    change(core, post.id, account_ids=[one])
    undo(core, post.id)
    assert targets(core, post.id) == {one: "scheduled", two: "failed"}
    assert core.ledger.delivery(parts[two]).error == before.error


def test_the_only_open_part_is_open_again_next_to_a_failed_one(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    parts = {core.ledger.delivery(d).account_id: d for d in post.deliveries}
    one, two = core.accounts["one"], core.accounts["more1"]
    settle(core, parts[two], State.FAILED)
    change(core, post.id, account_ids=[two])
    assert targets(core, post.id) == {one: "cancelled", two: "failed"}
    undo(core, post.id)
    assert targets(core, post.id) == {one: "scheduled", two: "failed"}


def test_a_part_that_an_edit_took_off_is_paused_as_it_was_and_no_other(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    of_post = {"chosen": core.accounts["more1"]}
    with core.context.database.begin() as c:
        before = rows(
            c,
            """INSERT INTO paused_deliveries (delivery_id, job_id, why)
               SELECT id, :job, 'wait' FROM deliveries RETURNING delivery_id, job_id, why""",
            job=new_id(),
        )
    change(core, post.id, account_ids=[core.accounts["one"]])
    core.run("DELETE FROM paused_deliveries")
    undo(core, post.id)
    with core.context.database.begin() as c:
        found = rows(c, "SELECT delivery_id, job_id, why FROM paused_deliveries")
    [mine] = [d.id for d in core.deliveries(post.id) if d.account_id == of_post["chosen"]]
    assert found == [b for b in before if b.delivery_id == mine], "the other was resumed since"


def test_an_edit_of_a_failed_post_is_undone_and_sends_nothing(core: CoreFixture) -> None:
    post = stored(core, due=-HOUR)
    settle(core, post.deliveries[0], State.FAILED)
    before = content(core, post.id)
    change(core, post.id, caption="Better")
    undo(core, post.id)
    assert content(core, post.id)["caption"] == before["caption"]
    assert core.ledger.states(post) == [State.FAILED]


# --- cancels ---------------------------------------------------------------------------------------------------------


def test_a_canceled_account_is_scheduled_again_and_the_others_are_not_touched(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    chosen = core.accounts["more1"]
    others = [d for d in core.deliveries(post.id) if d.account_id != chosen]
    cancel(core.context, core.caller, [post.id], [chosen])
    canceled = audit(core, post.id)
    undo(core, post.id)
    assert core.ledger.states(post) == [State.SCHEDULED] * 2
    assert [d for d in core.deliveries(post.id) if d.account_id != chosen] == others
    found = audit(core, post.id)
    assert (found.verb, found.before, found.after) == (
        "undo",
        canceled.after,
        {**canceled.before, "undoes": canceled.id},
    )


@pytest.mark.parametrize("since", [State.PUBLISHING, State.PUBLISHED])
def test_a_canceled_part_is_brought_back_though_another_is_sent_or_was_published_since(
    core: CoreFixture, since: State
) -> None:
    post = stored(core, accounts=2)
    cancel(core.context, core.caller, [post.id], [core.ledger.delivery(post.deliveries[1]).account_id])
    if since is State.PUBLISHING:
        core.ledger.change(post.deliveries[0], "due_at = now()")
        core.ledger.armed(post)
    else:
        settle(core, post.deliveries[0], since)
        core.run("UPDATE posts SET status = 'partial' WHERE id = :id", id=post.id)
    undo(core, post.id)
    assert core.ledger.states(post) == [since, State.SCHEDULED]
    assert core.status(post.id) == ("scheduled" if since is State.PUBLISHED else "pending")


def test_a_canceled_post_whose_media_have_to_be_checked_again_waits_for_that(core: CoreFixture) -> None:
    post = stored(core)
    cancel(core.context, core.caller, [post.id])
    core.run("DELETE FROM post_checks")
    core.run("UPDATE posts SET media = jsonb_set(media, '{url}', to_jsonb(CAST(:url AS text)))", url=OTHER)
    undo(core, post.id)
    assert core.ledger.states(post) == [State.ACCEPTED]
    assert (core.status(post.id), len(core.check_ids(OTHER))) == ("scheduled", 1)


def test_equal_bodies_are_one_post_again(core: CoreFixture) -> None:
    at = core.now() + DAY
    made = core.accept(scheduled_at=at).id
    cancel(core.context, core.caller, [made])
    undo(core, made)
    assert (core.accept(scheduled_at=at).id, len(core.posts())) == (made, 1)


@pytest.mark.parametrize("external_id", [None, "spring"])
def test_a_canceled_post_stays_so_if_another_has_taken_its_place(
    core: CoreFixture, external_id: str | None
) -> None:
    at = core.now() + DAY
    made = core.accept(scheduled_at=at, external_id=external_id).id
    cancel(core.context, core.caller, [made])
    other = core.accept(scheduled_at=at).id
    if external_id:
        execute(core, "UPDATE replays SET post_id = :other WHERE post_id = :id", id=made, other=other)
    refusal = refused(core, made)
    assert (refusal.status, refusal.code) == (409, "cannot_undo")
    assert "another post has taken" in refusal.message.lower()


def test_a_request_that_waits_for_the_undo_finds_its_post(core: CoreFixture) -> None:
    """Its statement sees the post canceled still, but the token as the undo left it."""
    at = core.now() + DAY
    made = core.accept(scheduled_at=at).id
    cancel(core.context, core.caller, [made])
    answers: list[UUID] = []
    thread = threading.Thread(target=lambda: answers.append(core.accept(scheduled_at=at).id))
    with core.context.database.begin() as c:
        tokens = [r.token for r in rows(c, "SELECT token FROM replays WHERE post_id = :id", id=made)]
        assert keep_tokens(c, made, tokens)
        rows(c, "UPDATE deliveries SET state = 'scheduled' WHERE post_id = :id RETURNING id", id=made)
        rows(c, "UPDATE posts SET status = 'scheduled' WHERE id = :id RETURNING id", id=made)
        thread.start()
        while not core.ledger.waits():
            thread.join(0.05)
    thread.join()
    assert (answers, len(core.posts())) == ([made], 1)


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-60, 29])
@pytest.mark.parametrize("what", ["caption", "time", "cancel"])
def test_where_the_earlier_time_has_passed_it_asks_for_one_and_takes_it(
    core: CoreFixture, what: str, seconds: int
) -> None:
    post = stored(core, accounts=2)
    if what == "cancel":
        cancel(core.context, core.caller, [post.id])
    elif what == "time":
        change(core, post.id, scheduled_at=due(core, post.id) + DAY)
        at = {"scheduled_at": (core.now() + timedelta(seconds=seconds)).isoformat()}
        core.run("UPDATE undo_log SET undo = undo || CAST(:at AS jsonb)", at=json.dumps(at))
    else:
        change(core, post.id, caption="Better")
    if what != "time":
        in_time = timedelta(seconds=seconds)
        core.run("UPDATE posts SET due_at = now() + :by", by=in_time)
        core.run("UPDATE deliveries SET due_at = now() + :by", by=in_time)
    refusal = refused(core, post.id)
    assert (refusal.status, refusal.code) == (400, "validation_failed")
    assert refusal.message == "Its earlier time has passed: give it a new one."
    assert [issue["path"] for issue in refusal.issues] == ["scheduled_at"]
    soon = core.now() + timedelta(seconds=20)
    assert refused(core, post.id, scheduled_at=soon).message == refusal.message
    row, new = audit(core, post.id).id, core.now() + 3 * DAY
    undo_change(core.context, core.caller, row, scheduled_at=new)
    assert due(core, post.id) == new
    assert {(d.state, d.due_at) for d in core.deliveries(post.id)} == {("scheduled", new)}
    assert (audit(core, post.id).verb, audit(core, post.id).after["undoes"]) == ("undo", row)


def test_a_new_time_retries_nothing_that_had_failed(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    settle(core, post.deliveries[0], State.FAILED)
    cancel(core.context, core.caller, [post.id], [core.ledger.delivery(post.deliveries[1]).account_id])
    core.run("UPDATE posts SET due_at = now()")
    undo(core, post.id, scheduled_at=core.now() + DAY)
    assert core.ledger.states(post) == [State.FAILED, State.SCHEDULED]


def test_a_new_time_is_no_later_than_the_post_may_be(core: CoreFixture) -> None:
    post = stored(core)
    cancel(core.context, core.caller, [post.id])
    core.run("UPDATE posts SET expires_at = now() + interval '1 day', due_at = now()")
    assert "expires_at" in refused(core, post.id, scheduled_at=core.now() + 2 * DAY).message


# --- refusals --------------------------------------------------------------------------------------------------------


def test_what_changed_since_is_not_undone(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    one = core.ledger.delivery(post.deliveries[0]).account_id
    change(core, post.id, caption="Better")
    edited = audit(core, post.id).id
    cancel(core.context, core.caller, [post.id], [one])
    canceled = audit(core, post.id).id
    change(core, post.id, caption="Best")
    for row in (edited, canceled):
        refusal = refused(core, post.id, row)
        assert (refusal.status, refusal.code) == (409, "cannot_undo")
        assert refusal.message == "It was changed since: nothing was undone."
    undo(core, post.id)
    assert content(core, post.id)["caption"] == "Better"


def test_what_was_published_or_armed_since_is_not_undone(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    change(core, post.id, caption="Better")
    settle(core, post.deliveries[0], State.PUBLISHED)
    assert refused(core, post.id).code == "cannot_undo"
    other = stored(core)
    change(core, other.id, scheduled_at=core.now() + DAY)
    core.run("UPDATE deliveries SET due_at = now() WHERE post_id = :id", id=other.id)
    core.ledger.armed(other)
    assert refused(core, other.id).code == "post_in_flight"


def test_what_the_platform_shows_live_stays_canceled(core: CoreFixture) -> None:
    post = stored(core)
    core.ledger.change(post.deliveries[0], "due_at = now()")
    core.ledger.armed(post)
    core.run("UPDATE attempts SET closed_at = now() - interval '2 hours', outcome = 'absent'")
    core.ledger.change(post.deliveries[0], "state = 'retrying', armed_at = NULL, armed_deadline = NULL")
    cancel(core.context, core.caller, [post.id])
    core.run("""UPDATE attempts SET late = '[{"remote_id": "1"}]'""")
    assert "shows it live" in refused(core, post.id).message


def test_an_edit_that_retried_what_had_failed_has_no_undo(core: CoreFixture) -> None:
    post = stored(core)
    settle(core, post.deliveries[0], State.FAILED)
    change(core, post.id, scheduled_at=core.now() + DAY)
    assert refused(core, post.id).message == "The change sent what had failed again: a retry has no undo."


@pytest.mark.parametrize("verb", ["retry", "undo"])
def test_other_changes_have_no_undo(core: CoreFixture, verb: str) -> None:
    post = stored(core)
    if verb == "retry":
        settle(core, post.deliveries[0], State.FAILED)
        retry(core.context, core.caller, [post.id])
    else:
        change(core, post.id, caption="Better")
        undo(core, post.id)
    refusal = refused(core, post.id)
    assert (refusal.code, refusal.message) == ("cannot_undo", f"A change of the kind {verb!r} has no undo.")


def test_after_ten_minutes_and_for_others_there_is_none(core: CoreFixture) -> None:
    post = stored(core)
    change(core, post.id, caption="Better")
    made = audit(core, post.id)
    assert refused(core, post.id, made.id + 1).status == 404
    stranger = core.ledger.workspace()
    with core.context.database.begin() as c:
        assert find_change(c, stranger, made.id) is None
        c.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER audit_is_final")
        aged = UNDO_WITHIN + timedelta(seconds=1)
        rows(c, "UPDATE audit SET at = at - CAST(:aged AS interval) RETURNING id", aged=aged)
        c.exec_driver_sql("ALTER TABLE audit ENABLE TRIGGER audit_is_final")
    at = audit(core, post.id).at.isoformat(timespec="seconds")
    message = f"The change was made at {at}: it can be undone for 10 minutes."
    assert refused(core, post.id).message == message


def test_a_post_above_the_level_of_the_process_is_left(core: CoreFixture) -> None:
    post = stored(core)
    cancel(core.context, core.caller, [post.id])
    core.run("UPDATE deliveries SET level = :n", n=LEVEL + 1)
    assert refused(core, post.id).code == "newer_version"


def test_of_two_undos_at_once_one_is_refused(core: CoreFixture) -> None:
    for what in ("caption", "cancel"):
        post = stored(core)
        if what == "cancel":
            cancel(core.context, core.caller, [post.id])
        else:
            change(core, post.id, caption="Better")
        row = audit(core, post.id).id

        def run(row: int = row) -> str:
            try:
                undo_change(core.context, core.caller, row)
            except Refusal as refusal:
                return refusal.code
            return "done"

        assert sorted(together(run, run)) == ["cannot_undo", "done"]
        assert core.ledger.delivery(post.deliveries[0]).generation == 2


# --- the log ---------------------------------------------------------------------------------------------------------


def test_the_last_change_of_a_post_is_found_and_expires(core: CoreFixture) -> None:
    post, other = stored(core), stored(core)
    change(core, post.id, caption="Better")
    change(core, post.id, caption="Best")
    last = audit(core, post.id).id
    with core.context.database.begin() as c:
        assert find_last_changes(c, [post.id, other.id]) == {post.id: last}
    core.run("UPDATE undo_log SET made_at = made_at - :by WHERE audit_id <> :last", by=KEEP, last=last)
    expire_audit(core.context)
    with core.context.database.begin() as c:
        assert [r.audit_id for r in rows(c, "SELECT audit_id FROM undo_log")] == [last]


def test_what_a_worker_changes_is_not_logged(core: CoreFixture) -> None:
    stored(core)
    do(core, Verb.RESCHEDULE, ListFilter(platform="tiktok"), shift=HOUR)
    with core.context.database.begin() as c:
        assert rows(c, "SELECT audit_id FROM undo_log") == []
