"""Validation applies every rule to a request and stores no post."""

from __future__ import annotations

from datetime import timedelta

from adapters.contract import Platform
from pipeline.actions.validate import ValidationResult, validate
from pipeline.store.accounts.grants import deactivate
from pipeline.store.database import new_id
from tests.pipeline.core_fixture import GOOD_VIDEO, CoreFixture
from tests.pipeline.store.ledger import HOUR


def ask(core: CoreFixture, **given: object) -> ValidationResult:
    before = core.posts()
    result = validate(core.context, core.caller, core.request(**given))
    assert core.posts() == before
    return result


def test_a_good_request_is_told_how_it_was_understood(core: CoreFixture) -> None:
    core.decided()
    ids = [core.account(name, Platform(name)) for name in ("tiktok", "instagram", "youtube")]
    due = core.now() + 2 * HOUR
    result = ask(core, account_ids=ids, scheduled_at=due)
    assert (result.refused, result.warnings) == ([], [])
    assert [a.id for a in result.accounts] == ids
    assert result.kinds == ["video", "reel", "short"]
    assert (result.due_at, result.immediate) == (due, False)


def test_everything_that_is_wrong_is_told_at_once_and_for_each_account(core: CoreFixture) -> None:
    core.decided(facts={**GOOD_VIDEO, "duration": 4000.0})
    tiktok, instagram = core.account("tiktok"), core.account("instagram", Platform.INSTAGRAM)
    gone = core.account("gone")
    with core.context.database.begin() as c:
        deactivate(c, gone)
    result = ask(
        core,
        account_ids=[tiktok, instagram, gone, new_id()],
        scheduled_at=core.now() - HOUR,
        expires_at=core.now() - timedelta(minutes=1),
        tiktok={"title": "t"},
        music_url="https://example.com/x",
        pinterest={"board_id": "1"},
    )
    found = {(f.code, f.field) for f in result.refused}
    assert found >= {
        ("unknown_accounts", "accounts"),
        ("validation_failed", "scheduled_at"),
        ("validation_failed", "expires_at"),
        ("validation_failed", "tiktok"),
        ("validation_failed", "music_url"),
        ("validation_failed", "pinterest"),
        ("invalid_music_url", "music_url"),
    }
    judged = [f for f in result.refused if f.account is not None]
    assert {f.account.id for f in judged if f.account} == {tiktok, instagram}
    assert all(f.found == 4000.0 and f.limit and f.field == "media.url" for f in judged)
    assert result.due_at is None


def test_media_that_cannot_be_used_are_named(core: CoreFixture) -> None:
    core.account("one")
    from pipeline.broker.queues import REACHABILITY

    core.context.liveness.record_beat(REACHABILITY)
    core = core.with_settings(reachability={"wait": 0.1})
    result = ask(core, media={"type": "slideshow", "urls": ["https://media.example/1.jpg"]})
    assert [w.code for w in result.warnings] == ["REACHABILITY_PENDING"]
    assert result.kinds == ["photos"]


def test_a_repeat_and_a_conflict_are_told(core: CoreFixture) -> None:
    core.account("one")
    core.decided()
    post = core.accept(external_id="order-1", scheduled_at=core.now() + HOUR)
    request = core.request(external_id="order-1", scheduled_at=core.now() + HOUR)
    result = validate(core.context, core.caller, request)
    assert [(f.code, f.field) for f in result.refused] == [("create_failed", "external_id")]
    assert str(post.id) in result.refused[0].message
