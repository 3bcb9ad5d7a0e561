"""Content of single accounts on real engines: each delivery goes by its own checks, words and time."""

from __future__ import annotations

from collections.abc import Mapping
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
from pipeline.domain.own_content import OwnContent, place_media
from pipeline.domain.receipt import content_sha256
from pipeline.maintenance.read_moves import append_receipts
from pipeline.stages import reachability
from pipeline.stages.post_request import AcceptedPost
from pipeline.store.audit import AuditFilter, list_changes
from pipeline.store.checks import checks
from pipeline.store.checks.claim import claim_rechecks
from pipeline.store.database import rows
from pipeline.store.deliveries.selection import ListFilter, list_posts
from pipeline.store.posts.views import read_post
from tests.pipeline.core_fixture import GOOD_IMAGE, GOOD_VIDEO, VIDEO, CoreFixture
from tests.pipeline.maintenance.receipted import published_verdict, read_receipts, settle_armed
from tests.pipeline.store.ledger import HOUR, Post

OTHER = "https://media.example/other.mp4"
COVER = "https://media.example/cover.jpg"
MEDIA = {"type": "video", "url": OTHER, "cover": COVER}
NEW = {"type": "video", "url": "https://media.example/new.mp4"}


@pytest.fixture
def ready(core: CoreFixture) -> CoreFixture:
    """Two accounts, and the post's media with a fresh good check."""
    core.account("one")
    core.account("two", Platform.INSTAGRAM)
    core.decided()
    return core


def accept(core: CoreFixture, own: Mapping[str, OwnContent], **more: Any) -> AcceptedPost:
    ids = [core.accounts["one"], core.accounts["two"]]
    return core.accept(
        account_ids=ids, own=place_media({core.accounts[name]: one for name, one in own.items()}), **more
    )


def states(core: CoreFixture, post: UUID) -> dict[str, str]:
    names = {identity: name for name, identity in core.accounts.items()}
    return {names[d.account_id]: d.state for d in core.deliveries(post)}


def delivery(core: CoreFixture, post: UUID, name: str) -> Any:
    return next(d for d in core.deliveries(post) if d.account_id == core.accounts[name])


def decide(
    core: CoreFixture, post: UUID, url: str, facts: Mapping[str, Any] | None, seen: str = "ok"
) -> None:
    """Decide the open check of a URL, and let the post go on as the worker does."""
    with core.context.database.begin() as c:
        [check] = core.check_ids(url)
        verdict: checks.Verdict = "refused" if facts is None else "good"
        assert checks.decide_check(c, check, verdict, facts=None if facts is None else dict(facts), seen=seen)
        reachability.advance_post(core.context, c, post)


def test_a_delivery_waits_for_its_own_media_alone_and_publishes_them(ready: CoreFixture) -> None:
    post = accept(ready, {"two": OwnContent(media=MEDIA, caption="theirs")})
    assert states(ready, post.id) == {"one": "scheduled", "two": "accepted"}
    decide(ready, post.id, OTHER, {**GOOD_VIDEO, "etag": '"other"'})
    assert states(ready, post.id) == {"one": "scheduled", "two": "accepted"}
    decide(ready, post.id, COVER, GOOD_IMAGE)
    assert states(ready, post.id) == {"one": "scheduled", "two": "scheduled"}
    one = ready.ledger.read_claimed(delivery(ready, post.id, "one").id)
    two = ready.ledger.read_claimed(delivery(ready, post.id, "two").id)
    assert (one.caption, one.media["url"], set(one.facts)) == ("hello", VIDEO, {"0"})
    assert (two.caption, two.media, set(two.facts)) == ("theirs", MEDIA, {"0", "-2"})
    assert (one.facts["0"]["etag"], two.facts["0"]["etag"]) == ('"1"', '"other"')


def test_bad_media_of_an_account_fail_that_account(ready: CoreFixture) -> None:
    post = accept(ready, {"two": OwnContent(media={"type": "video", "url": OTHER})})
    decide(ready, post.id, OTHER, None, "HTTP 404")
    assert states(ready, post.id) == {"one": "scheduled", "two": "failed"}
    assert delivery(ready, post.id, "two").error["code"] == "media_unreachable"
    result = retry(ready.context, ready.caller, [post.id], None)
    assert result.ids == [post.id]
    assert states(ready, post.id) == {"one": "scheduled", "two": "accepted"}
    [_, second] = ready.check_ids(OTHER)
    with ready.context.database.begin() as c:
        assert checks.decide_check(c, second, "good", facts=dict(GOOD_VIDEO), seen="ok")
        reachability.advance_post(ready.context, c, post.id)
    assert states(ready, post.id) == {"one": "scheduled", "two": "scheduled"}
    assert set(ready.ledger.read_claimed(delivery(ready, post.id, "two").id).facts) == {"0"}
    assert set(ready.ledger.read_claimed(delivery(ready, post.id, "one").id).facts) == {"0"}


def test_the_rules_of_a_platform_are_asked_of_its_own_media(ready: CoreFixture) -> None:
    ready.decided(OTHER, facts={**GOOD_VIDEO, "duration": 1.0})
    own = {"two": OwnContent(media={"type": "video", "url": OTHER})}
    ids = [ready.accounts["one"], ready.accounts["two"]]
    placed = place_media({ready.accounts["two"]: own["two"]})
    refusal = ready.refused(account_ids=ids, own=placed)
    assert [issue["path"] for issue in refusal.issues] == [f"accounts[{ready.accounts['two']}].media.url"]


def test_each_waits_a_grace_after_its_own_time(ready: CoreFixture) -> None:
    later = ready.now() + 3 * HOUR
    own = OwnContent(media={"type": "video", "url": OTHER}, scheduled_at=later)
    post = accept(ready, {"two": own})
    [check] = ready.check_ids(OTHER)
    with ready.context.database.begin() as c:
        rows(
            c,
            "UPDATE deliveries SET due_at = due_at - interval '1 day' WHERE account_id = :a RETURNING id",
            a=ready.accounts["one"],
        )
        taken = checks.read_checks(c, [check])[check]
    assert reachability._postpone_or_give_up(ready.context, taken, "HTTP 503") == "postponed"
    assert states(ready, post.id)["two"] == "accepted"
    ready.ledger.change(delivery(ready, post.id, "two").id, "due_at = now() - interval '1 day'")
    assert reachability._postpone_or_give_up(ready.context, taken, "HTTP 503") == "unanswered"
    assert states(ready, post.id)["two"] == "failed"


def test_media_of_accounts_are_rechecked_before_they_are_due(ready: CoreFixture) -> None:
    ready.decided(OTHER)
    post = accept(
        ready,
        {"two": OwnContent(media={"type": "video", "url": OTHER})},
        scheduled_at=ready.now() + timedelta(minutes=10),
    )
    ready.run("UPDATE posts SET created_at = now() - interval '2 hours' WHERE id = :id", id=post.id)
    with ready.context.database.begin() as c:
        assert {one.url for one in claim_rechecks(c, 10)} == {VIDEO, OTHER}


def change(core: CoreFixture, post: UUID, own: Mapping[str, OwnContent], **more: Any) -> None:
    ids = [core.accounts["one"], core.accounts["two"]]
    sent = {core.accounts[name]: one for name, one in own.items()}
    given = frozenset({"accounts", *more})
    edit(core.context, core.caller, post, Change(given=given, account_ids=ids, own=sent, **more))


def read_own(core: CoreFixture, post: UUID) -> dict[str, tuple[Any, Any]]:
    """Return content and time by account."""
    return {
        name: (found.own, found.due_at) for name in ("one", "two") for found in [delivery(core, post, name)]
    }


def test_an_undo_gives_back_what_an_account_had_of_its_own(ready: CoreFixture) -> None:
    ready.decided(OTHER)
    ready.decided(NEW["url"])
    now = ready.now()
    first = {
        "two": OwnContent(caption="theirs", media={"type": "video", "url": OTHER}, scheduled_at=now + HOUR)
    }
    post = accept(ready, first, scheduled_at=now + 2 * HOUR)
    before = read_own(ready, post.id)
    change(ready, post.id, {"one": OwnContent(caption="ours", media=NEW, scheduled_at=now + 3 * HOUR)})
    after = read_own(ready, post.id)
    assert (after["two"], after["one"][1]) == ((None, now + 2 * HOUR), now + 3 * HOUR)
    with ready.context.database.begin() as c:
        [edited] = list_changes(c, AuditFilter(subject=str(post.id)), limit=1, newest_first=True)
    assert edited.after["own"][str(ready.accounts["one"])]["caption"] == "ours"
    assert undo_change(ready.context, ready.caller, edited.id) == post.id
    undone = read_own(ready, post.id)
    assert undone["one"] == before["one"]
    assert undone["two"][1] == before["two"][1]
    assert {**undone["two"][0], "base": 0} == {**before["two"][0], "base": 0}
    two = ready.ledger.read_claimed(delivery(ready, post.id, "two").id)
    assert (two.caption, set(two.facts)) == ("theirs", {"0"})


def test_a_cancelled_account_comes_back_with_its_own_time(ready: CoreFixture) -> None:
    now = ready.now()
    post = accept(ready, {"two": OwnContent(scheduled_at=now + HOUR)}, scheduled_at=now + 2 * HOUR)
    before = {name: d.generation for name, d in [(n, delivery(ready, post.id, n)) for n in ready.accounts]}
    cancel(ready.context, ready.caller, [post.id], [ready.accounts["two"]])
    with ready.context.database.begin() as c:
        [done] = list_changes(c, AuditFilter(subject=str(post.id)), limit=1, newest_first=True)
        view = read_post(c, ready.workspace, post.id)
    assert view is not None
    assert (view.due_at, view.scheduled_at) == (now + 2 * HOUR, now + HOUR)
    undo_change(ready.context, ready.caller, done.id)
    assert read_own(ready, post.id)["two"][1] == now + HOUR
    assert delivery(ready, post.id, "one").generation == before["one"], "the other account is untouched"
    with ready.context.database.begin() as c:
        view = read_post(c, ready.workspace, post.id)
    assert view is not None
    assert view.due_at == now + HOUR


def test_a_receipt_says_what_the_account_got_whatever_is_edited_later(ready: CoreFixture) -> None:
    ready.decided(OTHER)
    own = OwnContent(caption="theirs", media={"type": "video", "url": OTHER}, scheduled_at=ready.now())
    post = accept(ready, {"two": own})
    ids = [delivery(ready, post.id, name).id for name in ("one", "two")]
    due = delivery(ready, post.id, "two").due_at
    settle_armed(
        ready, Post(id=post.id, workspace=ready.workspace, deliveries=ids), published_verdict("r2"), 1
    )
    change(ready, post.id, {"one": OwnContent(caption="ours"), "two": OwnContent(caption="late")})
    ready.ledger.change(ids[0], "due_at = now()")
    settle_armed(
        ready, Post(id=post.id, workspace=ready.workspace, deliveries=ids), published_verdict("r1"), 0
    )
    assert append_receipts(ready.context) >= 2
    found = {one["delivery"]: one for one in read_receipts(ready)}
    assert found[str(ids[1])]["content_sha256"] == content_sha256("theirs", {"type": "video", "url": OTHER})
    assert found[str(ids[1])]["due_at"][:19] == due.isoformat()[:19]
    assert found[str(ids[0])]["content_sha256"] == content_sha256("ours", {"type": "video", "url": VIDEO})


def test_words_of_an_account_are_found(ready: CoreFixture) -> None:
    post = accept(ready, {"two": OwnContent(caption="Wallpaper & mugs")})
    with ready.context.database.begin() as c:
        found = {
            text: list_posts(c, ListFilter(workspace=ready.workspace, text=text), limit=5)
            for text in ("WALLPAPER", "hello", "nothing")
        }
    assert {text: [one.id for one in posts] for text, posts in found.items()} == {
        "WALLPAPER": [post.id],
        "hello": [post.id],
        "nothing": [],
    }


def test_older_code_touches_no_delivery_of_the_post(ready: CoreFixture) -> None:
    plain = accept(ready, {})
    post = accept(ready, {"two": OwnContent(caption="theirs")})
    assert {d.level for d in ready.deliveries(plain.id)} == {1}
    assert {d.level for d in ready.deliveries(post.id)} == {4}
    change(ready, post.id, {})
    assert {d.level for d in ready.deliveries(post.id)} == {1}
    assert ready.deliveries(post.id)[0].state == State.SCHEDULED
