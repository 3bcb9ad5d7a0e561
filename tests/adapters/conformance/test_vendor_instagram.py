"""Meta's own SDK, facebook-business, against the Instagram sandbox: containers, carousels, reels, quota, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from facebook_business.adobjects.iguser import IGUser  # type: ignore[import-untyped]
from facebook_business.exceptions import FacebookRequestError  # type: ignore[import-untyped]

from adapters.contract import Account
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.meta_sdk import open_sdk
from tests.adapters.conformance.post_cases import PHOTOS, POST_CASES, VIDEO

INSTAGRAM = next(s for s in POST_CASES if s.name == "instagram image, facebook_login")


@pytest.fixture
def account(environment: Environment) -> Account:
    return environment.create_account(INSTAGRAM)


@pytest.fixture
def user(environment: Environment, account: Account) -> Iterator[Any]:
    with open_sdk(environment, account) as api:
        yield IGUser(account.remote_id, api=api)


def _build_url(environment: Environment, name: str) -> str:
    return f"http://127.0.0.1:{environment.media_port}/media/{name}"


def _get_state(user: Any, container: str) -> str:
    path = (container,)
    answer = user.get_api_assured().call("GET", path, params={"fields": "status_code,status"})
    return str(answer.json()["status_code"])


def _publish(user: Any, container: str) -> str:
    assert _get_state(user, container) == "FINISHED"
    return str(user.create_media_publish(params={"creation_id": container})["id"])


def test_an_image(environment: Environment, account: Account, user: Any) -> None:
    made = user.create_media(
        params={"image_url": _build_url(environment, PHOTOS[0]), "caption": "By the SDK"}
    )
    assert environment.list_live(account) == []
    media = _publish(user, made["id"])
    [line] = environment.list_live(account)
    assert (line["remote_id"], line["caption"]) == (media, "By the SDK")
    assert _get_state(user, made["id"]) == "PUBLISHED"
    listed = user.get_media(fields=["id", "caption"])
    assert [(found["id"], found["caption"]) for found in listed] == [(media, "By the SDK")]


def test_a_carousel(environment: Environment, account: Account, user: Any) -> None:
    children = [
        user.create_media(params={"image_url": _build_url(environment, name), "is_carousel_item": True})["id"]
        for name in PHOTOS
    ]
    assert {_get_state(user, child) for child in children} == {"FINISHED"}
    parent = user.create_media(params={"media_type": "CAROUSEL", "children": children, "caption": "Several"})
    _publish(user, parent["id"])
    [line] = environment.list_live(account)
    assert (line["kind"], len(line["media"])) == ("carousel", len(PHOTOS))


def test_a_reel(environment: Environment, account: Account, user: Any) -> None:
    asked = {"media_type": "REELS", "video_url": _build_url(environment, VIDEO[0]), "caption": "r"}
    _publish(user, user.create_media(params=asked)["id"])
    [line] = environment.list_live(account)
    assert (line["kind"], line["caption"]) == ("reel", "r")


def test_the_quota(account: Account, user: Any) -> None:
    [limit] = user.get_content_publishing_limit(fields=["quota_usage", "config"])
    assert limit["quota_usage"] == 0
    assert limit["config"]["quota_duration"] == 86_400


def test_it_understands_our_refusals(environment: Environment, account: Account, user: Any) -> None:
    made = user.create_media(params={"image_url": _build_url(environment, PHOTOS[0])})
    _publish(user, made["id"])
    with pytest.raises(FacebookRequestError) as again:
        user.create_media_publish(params={"creation_id": made["id"]})
    assert (again.value.api_error_code(), again.value.api_error_subcode()) == (9007, 2207027)
    environment.control(
        "POST", "tokens", {"platform": "instagram", "remote_id": account.remote_id, "state": "expired"}
    )
    with pytest.raises(FacebookRequestError) as stale:
        user.create_media(params={"image_url": _build_url(environment, PHOTOS[0])})
    assert stale.value.api_error_code() == 190
