"""Covers, playlists and comments after publishing: once where it works, never to the delivery's harm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.contract import Account, Draft, MediaFacts, Published
from adapters.errors import PermissionMissing, Rejected, Unavailable
from pipeline.domain.delivery import State
from pipeline.domain.delivery_error import COMMENT_IN_DOUBT, SENT_BEFORE_RESTORE
from pipeline.domain.level import LEVELS
from pipeline.maintenance.finish_published import follow_up
from pipeline.stages.drafts import warn_of_follow_ups
from pipeline.stages.publish import publish
from pipeline.store.database import row, rows
from pipeline.store.deliveries.published import FollowUps, record_follow_ups
from pipeline.store.deliveries.selection import ListFilter, find_delivery, list_deliveries
from pipeline.store.posts.views import CommentView, read_post
from pipeline.store.recovery.restores import record_restore
from tests.crash_table import Crashes
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import Script, raising, with_script
from tests.pipeline.store.ledger import Post

URL = "https://media.example/cover.jpg"
FACTS = asdict(MediaFacts(content_type="image/jpeg", bytes=10))
COVER: FollowUps = {"cover": {"url": URL, "facts": FACTS}}


def covered(
    core: CoreFixture, state: State = State.PUBLISHED, wanted: FollowUps = COVER, **columns: str
) -> Post:
    post = core.ledger.post([core.accounts["one"]], state)
    for name, value in columns.items():
        core.ledger.change(post.deliveries[0], f"{name} = {value}")
    with core.context.database.begin() as c:
        record_follow_ups(c, post.deliveries[0], wanted)
    return post


def read(core: CoreFixture, delivery: UUID) -> Any:
    with core.context.database.begin() as c:
        return row(
            c, "SELECT *, next_at > now() AS waits FROM follow_ups WHERE delivery_id = :id", id=delivery
        )


def make_due(core: CoreFixture, delivery: UUID) -> None:
    core.run("UPDATE follow_ups SET next_at = now() WHERE delivery_id = :id", id=delivery)


def warning(core: CoreFixture, post: Post) -> str | None:
    with core.context.database.begin() as c:
        found = read_post(c, core.workspace, post.id)
    assert found is not None
    assert found.deliveries[0].state == "published"
    return found.deliveries[0].cover_error


def read_remote(core: CoreFixture, post: Post) -> tuple[Any, ...]:
    found = core.ledger.delivery(post.deliveries[0])
    return found.remote_id, found.url, found.generation, found.fence, found.error


def run(core: CoreFixture, answer: Callable[[str], None] = lambda _: None) -> tuple[int, list[Any]]:
    script = Script(set_cover=answer)
    return follow_up(with_script(core.context, script)), [
        what for name, what in script.calls if name == "set_cover"
    ]


def test_the_cover_of_a_live_post_is_set_once(core: CoreFixture) -> None:
    post = covered(core, remote_id="'r1'")
    waiting = covered(core, State.PROCESSING)
    assert run(core) == (1, [("r1", URL)])
    make_due(core, post.deliveries[0])
    assert run(core) == (0, [])
    assert (read(core, post.deliveries[0]).done_at is not None, warning(core, post)) == (True, None)
    assert read(core, waiting.deliveries[0]).tries == 0


def test_what_may_pass_is_tried_again_later_and_for_a_day(core: CoreFixture) -> None:
    post = covered(core, remote_id="'r2'")
    assert run(core, raising(Unavailable("YouTube does not answer.")))[0] == 0
    found = read(core, post.deliveries[0])
    assert (found.tries, found.waits, found.failed_at) == (1, True, None)
    assert warning(core, post) == "YouTube does not answer."
    make_due(core, post.deliveries[0])
    assert run(core)[0] == 1
    assert warning(core, post) is None
    old = covered(core, remote_id="'r3'", published_at="now() - interval '2 days'")
    assert run(core, raising(Unavailable("Not yet.")))[0] == 0
    assert read(core, old.deliveries[0]).failed_at is not None


@pytest.mark.parametrize("error", [Rejected("It is no image."), PermissionMissing("No.")])
def test_what_cannot_pass_is_a_warning_and_the_delivery_stays(core: CoreFixture, error: Exception) -> None:
    post = covered(core, remote_id=f"'{type(error).__name__}'")
    before = core.ledger.states(post), read_remote(core, post)
    other = covered(core, remote_id=f"'other {type(error).__name__}'")

    def answer(remote_id: str) -> None:
        if not remote_id.startswith("other"):
            raise error

    assert run(core, answer)[0] == 1, "one that fails stops no other"
    make_due(core, post.deliveries[0])
    assert run(core) == (0, [])
    assert (warning(core, post), warning(core, other)) == (str(error), None)
    assert (core.ledger.states(post), read_remote(core, post)) == before


def test_a_later_arm_replaces_the_cover(core: CoreFixture) -> None:
    post = covered(core, remote_id="'r4'")
    assert run(core, raising(Rejected("No.")))[0] == 0
    with core.context.database.begin() as c:
        record_follow_ups(c, post.deliveries[0], {"cover": {"url": URL + "?2", "facts": FACTS}})
    assert run(core) == (1, [("r4", URL + "?2")])
    assert warning(core, post) is None


def test_a_fault_of_ours_is_not_shown_and_tried_again(core: CoreFixture) -> None:
    post = covered(core, remote_id="'r5'")
    assert run(core, raising(ValueError("a secret")))[0] == 0
    assert warning(core, post) == "An error of this server stopped it."
    make_due(core, post.deliveries[0])
    assert run(core)[0] == 1


def test_a_cover_whose_job_died_after_the_call_is_set_once_more(
    core: CoreFixture, environment: dict[str, str], crashes: Crashes
) -> None:
    post = covered(core, remote_id="'r6'")
    crashes.crash(environment, "follow-up.sent", "do_scripted_follow_ups")
    assert (read(core, post.deliveries[0]).done_at, read(core, post.deliveries[0]).tries) == (None, 1)
    make_due(core, post.deliveries[0])
    assert run(core) == (1, [("r6", URL)])


# --- playlists -------------------------------------------------------------------------------------------------------

BOTH: FollowUps = {**COVER, "playlist": {"id": "PL1"}}


def count_rows(core: CoreFixture, delivery: UUID) -> dict[str, bool]:
    """Return the kinds that are recorded of a delivery, and whether each is done."""
    with core.context.database.begin() as c:
        found = rows(
            c, "SELECT kind, done_at IS NOT NULL AS done FROM follow_ups WHERE delivery_id = :id", id=delivery
        )
    return {r.kind: r.done for r in found}


def test_a_playlist_and_a_cover_do_not_wait_for_each_other(core: CoreFixture) -> None:
    post = covered(core, wanted=BOTH, remote_id="'p1'")
    script = Script(set_cover=raising(Rejected("It is no image.")))
    assert follow_up(with_script(core.context, script)) == 1
    assert [what for name, what in script.calls if name == "add_to_playlist"] == [("p1", "PL1")]
    assert count_rows(core, post.deliveries[0]) == {"cover": False, "playlist": True}
    with core.context.database.begin() as c:
        found = read_post(c, core.workspace, post.id)
    assert found is not None
    view = found.deliveries[0]
    assert (view.cover_error, view.playlist_error) == ("It is no image.", None)


def test_a_playlist_that_refuses_is_a_warning_of_its_own_and_the_post_stays_published(
    core: CoreFixture,
) -> None:
    post = covered(core, wanted=BOTH, remote_id="'p2'")
    before = core.ledger.states(post), read_remote(core, post)
    refusing = Script(add_to_playlist=raising(Rejected("The playlist is full.")))
    assert follow_up(with_script(core.context, refusing)) == 1
    make_due(core, post.deliveries[0])
    again = Script()
    assert follow_up(with_script(core.context, again)) == 0
    assert again.calls == []
    with core.context.database.begin() as c:
        found = read_post(c, core.workspace, post.id)
    assert found is not None
    [warned] = warn_of_follow_ups("youtube", None, found.deliveries[0].playlist_error)
    assert (warned.code, warned.field) == ("PLAYLIST_NOT_SET", "youtube.playlist_id")
    assert warned.message == "The post is live without its playlist: The playlist is full."
    assert (core.ledger.states(post), read_remote(core, post)) == before


def test_what_an_edit_took_off_before_a_later_arm_is_not_done(core: CoreFixture) -> None:
    post, other = covered(core, State.RETRYING, wanted=BOTH), covered(core, wanted=BOTH)
    with core.context.database.begin() as c:
        record_follow_ups(c, post.deliveries[0], {"playlist": {"id": "PL2"}})
    assert count_rows(core, post.deliveries[0]) == {"playlist": False}
    with core.context.database.begin() as c:
        record_follow_ups(c, post.deliveries[0], {})
    assert count_rows(core, post.deliveries[0]) == {}
    assert count_rows(core, other.deliveries[0]) == {"cover": False, "playlist": False}


def test_what_the_post_asks_for_is_recorded_before_it_is_armed(core: CoreFixture) -> None:
    post = core.ledger.post([core.accounts["one"]], State.QUEUED)
    core.run(
        "UPDATE posts SET tiktok = CAST(:o AS jsonb) WHERE id = :id", o='{"playlist_id": "PL9"}', id=post.id
    )
    [delivery] = post.deliveries
    seen: list[dict[str, bool]] = []

    def finalize(draft: Draft, _: Account) -> Published:
        seen.append(count_rows(core, delivery))
        return Published(remote_id=draft.delivery_id)

    context = with_script(core.context, Script(finalize=finalize))
    assert publish(context, delivery, core.ledger.delivery(delivery).generation) is State.PUBLISHED
    assert seen == [{"playlist": False}]
    assert follow_up(with_script(core.context, Script())) == 1
    assert count_rows(core, delivery) == {"playlist": True}


COMMENT: FollowUps = {"comment": {"text": "Links below"}}


def list_comments(core: CoreFixture, post: Post) -> list[Any]:
    with core.context.database.begin() as c:
        return rows(
            c,
            "SELECT *, own ->> 'caption' AS text FROM deliveries WHERE post_id = :id AND is_comment",
            id=post.id,
        )


def read_comment(core: CoreFixture, post: Post) -> CommentView | None:
    with core.context.database.begin() as c:
        found = read_post(c, core.workspace, post.id)
    assert found is not None
    assert len(found.deliveries) == 1, "a comment is no account of its post"
    return found.deliveries[0].first_comment


def test_the_comment_on_a_live_post_is_a_delivery_of_its_own_added_once(core: CoreFixture) -> None:
    post = covered(core, wanted=COMMENT, remote_id="'r10'")
    core.run("UPDATE posts SET first_comment = 'Links below' WHERE id = :id", id=post.id)
    assert (comment := read_comment(core, post)) is not None
    assert comment.state == State.SCHEDULED
    for done in (1, 0):
        assert run(core)[0] == done
        make_due(core, post.deliveries[0])
    core.run("UPDATE follow_ups SET done_at = NULL WHERE delivery_id = :id", id=post.deliveries[0])
    assert run(core)[0] == 1, "a crash before its result was stored"
    [added] = list_comments(core, post)
    assert (added.state, added.text, added.level) == ("scheduled", "Links below", LEVELS["first_comment"])
    core.ledger.change(added.id, 'state = \'failed\', error = \'{"code": "rejected", "message": "No."}\'')
    assert (comment := read_comment(core, post)) is not None
    assert (comment.state, (comment.error or {})["message"]) == ("failed", "No.")
    with core.context.database.begin() as c:
        listed = list_deliveries(c, ListFilter(posts=(post.id,)), limit=10)
        assert [one.id for one in listed] == post.deliveries, "no list has it"
        chosen = ListFilter(workspace=core.workspace, state="failed")
        assert added.id not in {one.id for one in list_deliveries(c, chosen, limit=100)}
        assert (shown := find_delivery(c, added.id)) is not None, "only who names it sees it"
        assert shown.post_id == post.id


def test_a_comment_that_may_have_been_sent_before_a_restore_is_not_sent(core: CoreFixture) -> None:
    post = covered(core, wanted=COMMENT, remote_id="'r11'")
    core.run("UPDATE posts SET first_comment = 'Links below' WHERE id = :id", id=post.id)
    with core.context.database.begin() as c:
        record_restore(c, uuid4(), "a backup of yesterday", None, None)
    assert run(core)[0] == 0
    assert list_comments(core, post) == []
    assert (comment := read_comment(core, post)) is not None
    assert (comment.state, comment.error) == (
        State.FAILED,
        {"code": COMMENT_IN_DOUBT, "message": SENT_BEFORE_RESTORE},
    )
    core.run("DELETE FROM restores")


def test_an_armed_post_whose_follow_up_the_restore_lost_has_no_comment_to_come(core: CoreFixture) -> None:
    post = covered(core, wanted={}, remote_id="'r12'")
    core.run("UPDATE posts SET first_comment = 'Links below' WHERE id = :id", id=post.id)
    assert read_comment(core, post) is None, "it was live before an edit gave the post a comment"
    with core.context.database.begin() as c:
        record_restore(c, uuid4(), "a backup of yesterday", None, None)
    assert (comment := read_comment(core, post)) is not None
    assert (comment.state, (comment.error or {})["code"]) == (State.FAILED, COMMENT_IN_DOUBT)
    core.run("DELETE FROM restores")


def test_a_comment_that_is_tried_again_is_still_to_come(core: CoreFixture) -> None:
    post = covered(core, wanted=COMMENT, remote_id="'r13'")
    core.run("UPDATE posts SET first_comment = 'Links below' WHERE id = :id", id=post.id)
    core.run(
        "UPDATE follow_ups SET error = 'An error of this server stopped it.' WHERE delivery_id = :id",
        id=post.deliveries[0],
    )
    assert (comment := read_comment(core, post)) is not None
    assert (comment.state, comment.error) == (State.SCHEDULED, None)
