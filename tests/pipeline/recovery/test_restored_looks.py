"""What looks make of deliveries that a restore left in doubt, on real engines: the platform is really asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from adapters.contract import Absent, CannotTell, CheckpointData, Ended, LookResult, Pending, Published, Ready
from adapters.errors import CredentialsRevoked, PermissionMissing, Rejected, Unavailable
from adapters.listing import Asked, ListedPost, Listing
from pipeline.actions import resolve as decide
from pipeline.domain.delivery import Reason, State
from pipeline.store.recovery import restores
from tests.actors import TESTER
from tests.pipeline.recovery.scene import LATE, Scene, doubted
from tests.pipeline.store.ledger import Post

OLD = {"handle": "old"}
AT = "https://t.example/1"


def listed(scene: Scene, **more: Any) -> ListedPost:
    """Return a post that agrees with the draft and was made after it was due, before the restore."""
    facts = {"remote_id": "r", "url": AT, "created_at": scene.core.now() - timedelta(minutes=90)}
    return ListedPost(**{**facts, "same_caption": True, "same_kind": True, "same_media": True, **more})


def show(scene: Scene, *posts: ListedPost, **more: Any) -> None:
    scene.script.list_posts = lambda: Listing(posts=posts, **more)


def hold_handle(scene: Scene, delivery: UUID, checkpoint: CheckpointData = OLD) -> None:
    """The backup has a checkpoint of the delivery."""
    sealed = scene.context.vault.seal(checkpoint, delivery)
    scene.core.ledger.change(delivery, "checkpoint = :sealed", sealed=sealed)


def error_of(scene: Scene, post: Post) -> Any:
    return scene.core.ledger.delivery(post.deliveries[0]).error


def ask_twice(scene: Scene, post: Post) -> State | None:
    scene.seen(post.deliveries[0])
    return scene.seen(post.deliveries[0])


# --- what proves it --------------------------------------------------------------------------------------------------


def test_the_only_post_that_agrees_and_was_made_after_the_due_time_is_published(scene: Scene) -> None:
    post = scene.post()
    doubted(scene, post)
    show(scene, listed(scene))
    assert scene.seen(post.deliveries[0]) is State.PUBLISHED
    assert [a.outcome for a in scene.core.ledger.attempts(post.deliveries[0])] == ["published"]
    found = scene.core.ledger.delivery(post.deliveries[0])
    assert (found.url, found.remote_id, found.error) == (AT, "r", None)


def test_anything_less_is_shown_to_a_person_with_links(scene: Scene) -> None:
    """`domain/test_restored_post.py` has all that is less."""
    post = scene.post()
    doubted(scene, post)
    likely = [listed(scene), listed(scene, remote_id="r2")]
    show(scene, listed(scene, remote_id="r3", same_caption=False), *likely)
    assert ask_twice(scene, post) is State.BLOCKED
    error = error_of(scene, post)
    assert error["code"] == "restored"
    assert "TikTok was asked for the account's posts since " in error["message"]
    assert "It lists 2 that could be this one; nothing proves it" in error["message"]
    assert [(one["url"], one["likely"]) for one in error["candidates"]] == [
        (AT, True),
        (AT, True),
        (AT, False),
    ]
    assert error["next_action"].startswith(
        "Compare the candidates with the post: say it is live with its URL"
    )


def test_the_mark_of_the_delivery_proves_it_whatever_was_edited_and_that_of_another_excludes_it(
    scene: Scene,
) -> None:
    account = scene.core.account("one")
    one, two = scene.core.ledger.posts(2, [account])
    doubted(scene, one, two)
    show(
        scene,
        listed(scene, is_marked=True, same_caption=False, created_at=None),
        listed(scene, remote_id="r2", is_marked=False),
    )
    assert scene.seen(one.deliveries[0]) is State.PUBLISHED, "although another one has the same text"
    show(scene, listed(scene, remote_id="r2", is_marked=False))
    assert ask_twice(scene, two) is State.BLOCKED
    assert "candidates" not in error_of(scene, two)


def test_a_post_that_another_delivery_owns_is_no_candidate(scene: Scene) -> None:
    account = scene.core.account("one")
    owner = scene.core.ledger.post([account], State.PUBLISHED)
    post = scene.core.ledger.post([account])
    scene.core.ledger.change(owner.deliveries[0], "remote_id = 'r'")
    doubted(scene, post)
    show(scene, listed(scene))
    assert ask_twice(scene, post) is State.BLOCKED
    assert error_of(scene, post)["message"].endswith(
        "It lists none that could be this one, which proves nothing."
    )


def test_two_with_the_same_text_on_one_account_are_told_apart_by_a_person_only(scene: Scene) -> None:
    account = scene.core.account("one")
    one, two = scene.core.ledger.posts(2, [account])
    other = scene.post()
    doubted(scene, one, two, other)
    show(scene, listed(scene))
    for post in (one, two):
        assert ask_twice(scene, post) is State.BLOCKED
        error = error_of(scene, post)
        assert "Another post with this text may have gone out on this account too." in error["message"]
        assert [candidate["url"] for candidate in error["candidates"]] == [AT]
    assert scene.seen(other.deliveries[0]) is State.PUBLISHED, "on another account"

    decide.confirm_live(scene.context, TESTER, one.deliveries[0], AT)
    with pytest.raises(decide.CannotResolve, match="Another delivery of this account has the post"):
        decide.confirm_live(scene.context, TESTER, two.deliveries[0], AT)
    assert scene.core.ledger.states(two) == [State.BLOCKED]


# --- whom it asks, and since when ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "is_listed"),
    [
        (Ended(error=Rejected("no")), True),
        (CannotTell(reason="?"), True),
        (Absent(), True),
        (Published(remote_id="r", is_searched=True), True),
        (Pending(checkpoint=OLD), False),
        (Published(remote_id="r"), False),
    ],
)
def test_the_account_is_listed_unless_the_handle_of_the_backup_proves_it(
    scene: Scene, shown: LookResult, *, is_listed: bool
) -> None:
    post = scene.post(State.PREPARING)
    hold_handle(scene, post.deliveries[0])
    doubted(scene, post, seen=shown)
    scene.seen(post.deliveries[0])
    assert scene.script.calls[0] == ("look", OLD)
    assert [name for name, _ in scene.script.calls[1:]] == ["list"] * is_listed


def test_without_a_handle_only_the_list_is_asked_from_the_begin_of_the_span_on(scene: Scene) -> None:
    long_due, armed_before = scene.post(), scene.post(State.UNKNOWN, due=-timedelta(hours=1))
    begun = scene.core.ledger.delivery(armed_before.deliveries[0]).armed_at
    doubted(scene)
    with scene.context.database.begin() as c:
        since = restores.find_doubt(c, long_due.deliveries[0]).since
    assert since is not None
    for post, start in ((long_due, since), (armed_before, min(since, begun))):
        scene.script.calls.clear()
        scene.seen(post.deliveries[0])
        assert scene.script.calls == [("list", start)]


def test_what_the_platform_still_works_on_is_waited_for_and_past_the_limit_looked_for(scene: Scene) -> None:
    post = scene.post(State.PROCESSING)
    [delivery] = post.deliveries
    hold_handle(scene, delivery)
    doubted(scene, post, seen=Pending(checkpoint=OLD, wait=timedelta(seconds=5)))
    assert scene.seen(delivery) is State.PROCESSING
    assert scene.script.calls == [("look", OLD)]
    scene.core.ledger.change(delivery, "working_since = now() - interval '1 day'")
    show(scene, listed(scene))
    assert scene.seen(delivery) is State.PUBLISHED


@pytest.mark.parametrize(
    ("listing", "sentence"),
    [
        (Listing(asked=Asked.NEVER, reason="it has no list"), "TikTok cannot be asked: it has no list."),
        (Rejected("The list is closed."), "TikTok was not asked: The list is closed."),
        (PermissionMissing("video.list is missing."), "TikTok was not asked: video.list is missing."),
    ],
)
def test_a_platform_that_cannot_be_asked_or_was_not_is_named_so(
    scene: Scene, listing: Listing | Exception, sentence: str
) -> None:
    post = scene.post()
    doubted(scene, post)
    assert error_of(scene, post)["message"].endswith("The platform was not asked yet.")

    def answer() -> Listing:
        if isinstance(listing, Exception):
            raise listing
        return listing

    scene.script.list_posts = answer
    assert ask_twice(scene, post) is State.BLOCKED
    assert error_of(scene, post)["message"] == (
        f"It may have been published before the database was restored. {sentence}"
    )


@pytest.mark.parametrize(
    "error", [Unavailable("It does not answer."), CredentialsRevoked("Connect it again.")]
)
def test_a_platform_that_does_not_answer_is_asked_again_and_says_so(scene: Scene, error: Exception) -> None:
    post = scene.post()
    doubted(scene, post)

    def refuse() -> Listing:
        raise error

    scene.script.list_posts = refuse
    for _ in range(3):
        assert scene.seen(post.deliveries[0]) is State.UNKNOWN
        scene.core.ledger.change(post.deliveries[0], LATE)
    stored = error_of(scene, post)
    assert (stored["class"], stored["code"]) == ("OutcomeUnknown", "restored")
    assert stored["message"].endswith("The platform was not asked yet.")
    assert (stored["last_look"]["class"], stored["last_look"]["message"]) == (
        type(error).__name__,
        str(error),
    )
    show(scene, listed(scene))
    assert scene.seen(post.deliveries[0]) is State.PUBLISHED


# --- a person has the last word --------------------------------------------------------------------------------------


def test_nothing_but_life_proves_anything_and_a_person_has_the_last_word(scene: Scene) -> None:
    seen: list[LookResult] = [
        Absent(checkpoint={"handle": "again"}),
        Ready(checkpoint={"handle": "again"}),
        CannotTell(reason="?"),
        Ended(error=Rejected("no")),
        Ended(error=Unavailable("later")),
    ]
    posts = [scene.post(State.PREPARING) for _ in seen]
    for post in posts:
        hold_handle(scene, post.deliveries[0])
    doubted(scene, *posts, seen=seen[0])
    for post, shown in zip(posts, seen, strict=True):
        _nothing_is_proven_by(scene, post, shown)


def _nothing_is_proven_by(scene: Scene, post: Post, shown: LookResult) -> None:
    [delivery] = post.deliveries
    scene.script.look = lambda _: shown
    scene.core.ledger.change(delivery, "armed_deadline = now()")
    assert scene.seen(delivery) is State.UNKNOWN, "too early to mean anything"
    assert scene.seen(delivery) is State.UNKNOWN
    with pytest.raises(decide.CannotResolve, match="may still appear"):
        decide.publish_again(scene.context, TESTER, delivery)
    scene.core.ledger.change(delivery, LATE)
    assert scene.seen(delivery) is State.UNKNOWN, "one look may miss it"
    assert scene.seen(delivery) is State.BLOCKED
    found = scene.core.ledger.delivery(delivery)
    assert (found.reason, found.error["code"]) == (Reason.IS_IT_LIVE, "restored")
    decide.publish_again(scene.context, TESTER, delivery)
    assert scene.goes_out(post) is State.PUBLISHED
    assert scene.sent(post) == 1
    found = scene.core.ledger.delivery(delivery)
    assert not found.in_doubt, "from here on it is one like any other"


def test_the_database_itself_refuses_to_make_one_in_doubt_sendable(scene: Scene) -> None:
    post = scene.post()
    doubted(scene, post, seen=CannotTell(reason="?"))
    for change in (
        "state = 'retrying', armed_at = NULL",
        "state = 'failed'",
        "armed_at = NULL, state = 'blocked', reason = 'person_needed'",
    ):
        with pytest.raises(DBAPIError, match="doubted_stays_armed"):
            scene.core.ledger.change(post.deliveries[0], change)
