"""A request held to every rule at once; nothing of it is stored."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.contract import Platform
from pipeline.actions.validate import Validated, validate
from pipeline.domain.post_kind import KINDS, Form, form_of, kind_of
from pipeline.store.accounts.connections import deactivate
from pipeline.store.database import new_id
from tests.pipeline.core_fixture import GOOD_VIDEO, House
from tests.pipeline.store.ledger import HOUR


def ask(house: House, **given: object) -> Validated:
    before = house.posts()
    told = validate(house.context, house.caller, house.request(**given))
    assert house.posts() == before
    return told


def test_a_good_request_is_told_how_it_was_understood(house: House) -> None:
    house.decided()
    ids = [house.account(name, Platform(name)) for name in ("tiktok", "instagram", "youtube")]
    due = house.now() + 2 * HOUR
    told = ask(house, account_ids=ids, scheduled_at=due)
    assert (told.refused, told.warnings) == ([], [])
    assert [a.id for a in told.accounts] == ids
    assert told.kinds == ["video", "reel", "short"]
    assert (told.due_at, told.immediate) == (due, False)


def test_everything_that_is_wrong_is_told_at_once_and_for_each_account(house: House) -> None:
    house.decided(facts={**GOOD_VIDEO, "duration": 4000.0})
    tiktok, instagram = house.account("tiktok"), house.account("instagram", Platform.INSTAGRAM)
    gone = house.account("gone")
    with house.context.database.begin() as c:
        deactivate(c, gone)
    told = ask(
        house,
        account_ids=[tiktok, instagram, gone, new_id()],
        scheduled_at=house.now() - HOUR,
        expires_at=house.now() - timedelta(minutes=1),
        tiktok={"title": "t"},
        music_url="https://example.com/x",
        pinterest={"board_id": "1"},
    )
    found = {(f.code, f.field) for f in told.refused}
    assert found >= {
        ("unknown_accounts", "accounts"),
        ("validation_failed", "scheduled_at"),
        ("validation_failed", "expires_at"),
        ("validation_failed", "tiktok"),
        ("validation_failed", "music_url"),
        ("validation_failed", "pinterest"),
        ("invalid_music_url", "music_url"),
    }
    judged = [f for f in told.refused if f.account is not None]
    assert {f.account.id for f in judged if f.account} == {tiktok, instagram}
    assert all(f.found == 4000.0 and f.limit and f.field == "media.url" for f in judged)
    assert told.due_at is None


def test_media_that_cannot_be_used_are_named(house: House) -> None:
    house.account("one")
    from pipeline.queues import REACHABILITY

    house.context.liveness.beat(REACHABILITY)
    house = house.with_settings(reachability={"wait": 0.1})
    told = ask(house, media={"type": "slideshow", "urls": ["https://media.example/1.jpg"]})
    assert [w.code for w in told.warnings] == ["REACHABILITY_PENDING"]
    assert told.kinds == ["photos"]


def test_a_repeat_and_a_conflict_are_told(house: House) -> None:
    house.account("one")
    house.decided()
    post = house.accept(external_id="order-1", scheduled_at=house.now() + HOUR)
    request = house.request(external_id="order-1", scheduled_at=house.now() + HOUR)
    told = validate(house.context, house.caller, request)
    assert [(f.code, f.field) for f in told.refused] == [("create_failed", "external_id")]
    assert str(post.id) in told.refused[0].message


@pytest.mark.parametrize("platform", Platform)
def test_every_platform_has_a_word_for_what_it_takes(platform: Platform) -> None:
    assert KINDS[platform][Form.VIDEO]
    assert kind_of(platform, form_of("slideshow", 1), draft=False) == KINDS[platform].get(Form.IMAGE)
    assert kind_of(platform, form_of("slideshow", 2), draft=False) == KINDS[platform].get(Form.IMAGES)
    draft = kind_of(platform, Form.IMAGES, draft=True)
    assert (draft == "inbox_draft") is (platform is Platform.TIKTOK)
