"""What TikTok's guidelines ask: an app without audit posts privately only, and consent to branded content is stated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.contract import Draft
from adapters.errors import Rejected
from adapters.tiktok.adapter import TikTok
from tests.adapters.scripted_server import Reply, ScriptedServer
from tests.adapters.tiktok import examples
from tests.adapters.tiktok.drafts import account, photos, prepare_until_ready, video

Make = Callable[..., TikTok]
INFO = "/tiktok/v2/post/publish/creator_info/query/"
PRIVATE = examples.CREATOR_INFO.replace("PUBLIC_TO_EVERYONE", "FOLLOWER_OF_CREATOR")


@pytest.mark.parametrize(
    "draft", [video(), photos(), video(options={"privacy_level": "MUTUAL_FOLLOW_FRIENDS"})]
)
def test_an_unaudited_apps_public_post_is_refused_without_a_call(
    server: ScriptedServer, tiktok: Make, draft: Draft
) -> None:
    [problem] = tiktok(audited=False).problems(draft, account())
    assert (problem.severity, problem.field, problem.limit) == ("refuse", "tiktok.privacy_level", "SELF_ONLY")
    assert "Direct Post audit" in problem.message
    assert "SLIPWAY_TIKTOK__AUDITED" in problem.message
    assert server.requests == []
    assert tiktok().problems(draft, account()) == ()


@pytest.mark.parametrize(
    ("draft", "connection"),
    [
        (photos(privacy_level="SELF_ONLY"), "creator"),
        (photos(post_mode="MEDIA_UPLOAD"), "creator"),
        (photos(), "business"),
    ],
)
def test_a_private_post_a_draft_and_the_business_product_need_no_audit(
    tiktok: Make, draft: Draft, connection: str
) -> None:
    assert tiktok(audited=False).problems(draft, account(connection)) == ()


def test_a_public_account_of_an_unaudited_app_is_refused_before_the_post(
    server: ScriptedServer, tiktok: Make
) -> None:
    draft = photos(privacy_level="SELF_ONLY")
    server.on("POST", INFO, examples.CREATOR_INFO)
    with pytest.raises(Rejected) as caught:
        tiktok(audited=False).prepare(draft, account(), {})
    assert caught.value.code == "app_unaudited"
    assert "private" in (caught.value.next_action or "")
    assert server.paths == [INFO]


def test_a_private_account_of_an_unaudited_app_posts(server: ScriptedServer, tiktok: Make) -> None:
    server.on("POST", INFO, PRIVATE)
    ready = prepare_until_ready(lambda: tiktok(audited=False), photos(privacy_level="SELF_ONLY"), account())
    assert ready.checkpoint["allowed"]["privacy"][0] == "FOLLOWER_OF_CREATOR"


def test_tiktoks_own_refusal_says_what_the_operator_does(server: ScriptedServer, tiktok: Make) -> None:
    code = "unaudited_client_can_only_post_to_private_accounts"
    body = f'{{"data":{{}},"error":{{"code":"{code}","message":"Not audited.","log_id":"1"}}}}'
    server.on("POST", INFO, examples.CREATOR_INFO)
    server.on("POST", "/tiktok/v2/post/publish/content/init/", Reply(status=403, body=body))
    ready = prepare_until_ready(tiktok, photos(), account())
    with pytest.raises(Rejected) as caught:
        tiktok().finalize(photos(), account(), ready.checkpoint)
    assert caught.value.code == "app_unaudited"
    assert "SLIPWAY_TIKTOK__AUDITED=false" in (caught.value.next_action or "")
    assert caught.value.platform_message == "Not audited."


@pytest.mark.parametrize("connection", ["creator", "business"])
@pytest.mark.parametrize(
    "draft", [photos(is_branded_content=True), photos(is_branded_content=True, user_consent=False)]
)
def test_branded_content_without_stated_consent_is_warned_of(
    tiktok: Make, connection: str, draft: Draft
) -> None:
    [problem] = tiktok().problems(draft, account(connection))
    assert (problem.severity, problem.code) == ("warn", "CONSENT_NOT_STATED")
    stated = photos(is_branded_content=True, user_consent=True)
    assert tiktok().problems(stated, account(connection)) == ()
