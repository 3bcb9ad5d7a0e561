"""A creator's photos: content/init is the visible call, for posts and for drafts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.contract import Pending, Ready
from adapters.http import HttpClient
from adapters.tiktok.adapter import TikTok
from tests.adapters.scripted_server import ScriptedServer
from tests.adapters.tiktok import examples
from tests.adapters.tiktok.drafts import CAPTION, account, photos, prepare_until_ready

Make = Callable[..., TikTok]
INFO = "/tiktok/v2/post/publish/creator_info/query/"
INIT = "/tiktok/v2/post/publish/content/init/"


@pytest.fixture
def scripted(server: ScriptedServer) -> ScriptedServer:
    server.on("POST", INFO, examples.CREATOR_INFO)
    server.on("POST", INIT, examples.PHOTO_INIT)
    return server


def test_direct_photos(scripted: ScriptedServer, tiktok: Make) -> None:
    draft, who, client = photos(auto_add_music=True, privacy_level="SELF_ONLY"), account(), HttpClient()
    ready = prepare_until_ready(tiktok, draft, who)
    assert scripted.paths == [INFO]

    done = tiktok(client).finalize(draft, who, ready.checkpoint)

    assert isinstance(done, Pending)
    assert done.checkpoint["publish_id"] == "p_pub_url~v2.123456789"
    assert [visible for _, _, visible in client.calls] == [True]
    assert scripted.requests[1].json() == {
        "media_type": "PHOTO",
        "post_mode": "DIRECT_POST",
        "post_info": {
            "title": CAPTION,
            "description": CAPTION,
            "privacy_level": "SELF_ONLY",
            "disable_comment": False,
            "auto_add_music": True,
            "brand_content_toggle": False,
            "brand_organic_toggle": False,
        },
        "source_info": {
            "source": "PULL_FROM_URL",
            "photo_images": ["https://cdn.example.com/1.jpg", "https://cdn.example.com/2.jpg"],
            "photo_cover_index": 0,
        },
    }


def test_a_draft_is_ready_at_once_and_carries_texts_only(scripted: ScriptedServer, tiktok: Make) -> None:
    draft, who = photos(post_mode="MEDIA_UPLOAD", title="T", description="D", is_your_brand=True), account()
    assert isinstance(tiktok().prepare(draft, who, {}), Ready)
    assert scripted.paths == []

    tiktok().finalize(draft, who, {})

    sent = scripted.requests[0].json()
    assert sent["post_mode"] == "MEDIA_UPLOAD"
    assert sent["post_info"] == {"title": "T", "description": "D"}


def test_title_is_the_captions_beginning_cut_at_a_word(scripted: ScriptedServer, tiktok: Make) -> None:
    caption = "word " * 17 + "🐈🐈🐈 #cat"  # the cats end at unit 91
    draft, who = photos(caption=caption), account()
    tiktok().finalize(draft, who, prepare_until_ready(tiktok, draft, who).checkpoint)
    info = scripted.requests[1].json()["post_info"]
    assert info["title"] == ("word " * 17).rstrip()
    assert info["description"] == caption
