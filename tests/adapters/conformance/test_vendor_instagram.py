"""facebook-business, Meta's own SDK, run against our Instagram: containers, carousels, reels, quota, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from facebook_business.adobjects.iguser import IGUser  # type: ignore[import-untyped]
from facebook_business.exceptions import FacebookRequestError  # type: ignore[import-untyped]

from adapters.contract import Account
from tests.adapters.conformance.environment import Ground
from tests.adapters.conformance.meta_sdk import sdk
from tests.adapters.conformance.subjects import EVERY, PHOTOS, VIDEO

INSTAGRAM = next(s for s in EVERY if s.name == "instagram image, facebook_login")


@pytest.fixture
def account(ground: Ground) -> Account:
    return ground.account(INSTAGRAM)


@pytest.fixture
def user(ground: Ground, account: Account) -> Iterator[Any]:
    with sdk(ground, account) as api:
        yield IGUser(account.remote_id, api=api)


def _url(ground: Ground, name: str) -> str:
    return f"http://127.0.0.1:{ground.media_port}/media/{name}"


def _state(user: Any, container: str) -> str:
    path = (container,)
    answer = user.get_api_assured().call("GET", path, params={"fields": "status_code,status"})
    return str(answer.json()["status_code"])


def _published(user: Any, container: str) -> str:
    assert _state(user, container) == "FINISHED"
    return str(user.create_media_publish(params={"creation_id": container})["id"])


def test_an_image(ground: Ground, account: Account, user: Any) -> None:
    made = user.create_media(params={"image_url": _url(ground, PHOTOS[0]), "caption": "By the SDK"})
    assert ground.live(account) == []
    media = _published(user, made["id"])
    [line] = ground.live(account)
    assert (line["remote_id"], line["caption"]) == (media, "By the SDK")
    assert _state(user, made["id"]) == "PUBLISHED"
    listed = user.get_media(fields=["id", "caption"])
    assert [(found["id"], found["caption"]) for found in listed] == [(media, "By the SDK")]


def test_a_carousel(ground: Ground, account: Account, user: Any) -> None:
    children = [
        user.create_media(params={"image_url": _url(ground, name), "is_carousel_item": True})["id"]
        for name in PHOTOS
    ]
    assert {_state(user, child) for child in children} == {"FINISHED"}
    parent = user.create_media(params={"media_type": "CAROUSEL", "children": children, "caption": "Several"})
    _published(user, parent["id"])
    [line] = ground.live(account)
    assert (line["kind"], len(line["media"])) == ("carousel", len(PHOTOS))


def test_a_reel(ground: Ground, account: Account, user: Any) -> None:
    asked = {"media_type": "REELS", "video_url": _url(ground, VIDEO[0]), "caption": "r"}
    _published(user, user.create_media(params=asked)["id"])
    [line] = ground.live(account)
    assert (line["kind"], line["caption"]) == ("reel", "r")


def test_the_quota(account: Account, user: Any) -> None:
    [told] = user.get_content_publishing_limit(fields=["quota_usage", "config"])
    assert told["quota_usage"] == 0
    assert told["config"]["quota_duration"] == 86_400


def test_it_understands_our_refusals(ground: Ground, account: Account, user: Any) -> None:
    made = user.create_media(params={"image_url": _url(ground, PHOTOS[0])})
    _published(user, made["id"])
    with pytest.raises(FacebookRequestError) as again:
        user.create_media_publish(params={"creation_id": made["id"]})
    assert (again.value.api_error_code(), again.value.api_error_subcode()) == (9007, 2207027)
    ground.control(
        "POST", "tokens", {"platform": "instagram", "remote_id": account.remote_id, "state": "expired"}
    )
    with pytest.raises(FacebookRequestError) as stale:
        user.create_media(params={"image_url": _url(ground, PHOTOS[0])})
    assert stale.value.api_error_code() == 190
