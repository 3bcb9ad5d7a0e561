"""Accounts of TikTok for Business: settings, the publish call, status, the list of public posts."""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from datetime import datetime
from typing import Any

import pytest

from adapters.contract import CannotTell, Draft, Ended, LookResult, Pending, Published, Ready
from adapters.errors import (
    Rejected,
    Unavailable,
)
from adapters.http import HttpClient
from adapters.tiktok.adapter import TikTok
from tests.adapters.drafts import ARMED, through_json
from tests.adapters.scripted_server import ScriptedServer
from tests.adapters.tiktok import examples
from tests.adapters.tiktok.drafts import CAPTION, TOKEN, account, photos, prepare_until_ready, video

Make = Callable[..., TikTok]
ROOT = "/tiktok-business/open_api/v1.3"
SETTINGS = f"{ROOT}/business/video/settings/"
VIDEO = f"{ROOT}/business/video/publish/"
PHOTO = f"{ROOT}/business/photo/publish/"
STATUS = f"{ROOT}/business/publish/status/"
LIST = f"{ROOT}/business/video/list/"
SHARED = {"publish_id": "v_pub_url~v1.2345123456789123456"}


@pytest.fixture
def scripted(server: ScriptedServer) -> ScriptedServer:
    server.on("GET", SETTINGS, examples.BUSINESS_SETTINGS)
    server.on("POST", VIDEO, examples.BUSINESS_VIDEO)
    server.on("POST", PHOTO, examples.BUSINESS_PHOTO)
    return server


def test_video(scripted: ScriptedServer, tiktok: Make) -> None:
    draft, who, client = video(options={"is_branded_content": True}), account("business"), HttpClient()
    first = tiktok().prepare(draft, who, {})
    assert isinstance(first, Ready)

    done = tiktok(client).finalize(draft, who, through_json(first.checkpoint))

    assert isinstance(done, Pending)
    assert done.checkpoint["publish_id"] == "v_pub_url~v1.2345123456789123456"
    assert [visible for _, _, visible in client.calls] == [True]
    asked, sent = scripted.requests
    assert asked.query == {"business_id": "-000eHWs"}
    assert asked.headers["Access-Token"] == TOKEN
    assert "Authorization" not in sent.headers
    assert sent.json() == {
        "business_id": "-000eHWs",
        "video_url": "https://cdn.example.com/v.mp4",
        "post_info": {
            "caption": CAPTION,
            "is_brand_organic": False,
            "is_branded_content": True,
            "disable_comment": False,
            "disable_duet": False,
            "disable_stitch": True,  # switched off by the account, so it is always sent as disabled
            "is_ai_generated": False,
        },
    }


def test_photos(scripted: ScriptedServer, tiktok: Make) -> None:
    draft, who = photos(privacy_level="SELF_ONLY", auto_add_music=True, title="T"), account("business")
    tiktok().finalize(draft, who, prepare_until_ready(tiktok, draft, who).checkpoint)
    assert scripted.requests[-1].json() == {
        "business_id": "-000eHWs",
        "photo_images": ["https://cdn.example.com/1.jpg", "https://cdn.example.com/2.jpg"],
        "photo_cover_index": 0,
        "post_info": {
            "title": "T",
            "caption": CAPTION,
            "privacy_level": "SELF_ONLY",
            "auto_add_music": True,
            "is_brand_organic": False,
            "is_branded_content": False,
            "disable_comment": False,
        },
    }


def test_a_draft_needs_no_settings_and_carries_texts_only(scripted: ScriptedServer, tiktok: Make) -> None:
    draft, who = photos(post_mode="MEDIA_UPLOAD", privacy_level="SELF_ONLY"), account("business")
    assert isinstance(tiktok().prepare(draft, who, {}), Ready)
    tiktok().finalize(draft, who, {})
    assert scripted.paths == [PHOTO]
    assert scripted.requests[0].json()["post_info"] == {
        "title": CAPTION,
        "caption": CAPTION,
        "is_draft": True,
    }


def test_a_private_account_cannot_post_a_public_video(scripted: ScriptedServer, tiktok: Make) -> None:
    scripted.on(
        "GET", SETTINGS, examples.BUSINESS_SETTINGS.replace("PUBLIC_TO_EVERYONE", "FOLLOWER_OF_CREATOR")
    )
    with pytest.raises(Rejected) as refusal:
        tiktok().prepare(video(), account("business"), {})
    assert refusal.value.code == "privacy_not_allowed"


# --- look ------------------------------------------------------------------------------------------------------------


def look(
    tiktok: Make,
    draft: Draft,
    checkpoint: dict[str, Any],
    taken: Container[str] = frozenset(),
    armed_at: datetime | None = ARMED,
) -> LookResult:
    client = HttpClient()
    seen = tiktok(client).look(draft, account("business"), checkpoint, armed_at, taken)
    assert all(method == "GET" and not visible for method, _, visible in client.calls)
    return seen


def test_complete_with_an_id(server: ScriptedServer, tiktok: Make) -> None:
    server.on("GET", STATUS, examples.BUSINESS_STATUS)
    assert look(tiktok, video(), SHARED) == Published(
        remote_id="7212345678901234567", url="https://www.tiktok.com/@casa/video/7212345678901234567"
    )
    assert server.requests[0].query == {"business_id": "-000eHWs", **SHARED}


def test_failed_is_final_though_the_envelope_is_fine(server: ScriptedServer, tiktok: Make) -> None:
    server.on("GET", STATUS, examples.business_status("FAILED", "video_pull_failed"))
    seen = look(tiktok, video(), SHARED)
    assert isinstance(seen, Ended)
    assert isinstance(seen.error, Unavailable)


@pytest.mark.parametrize(
    ("draft", "checkpoint", "kind"),
    [
        (video(), {}, Pending),
        (photos(post_mode="MEDIA_UPLOAD"), {}, Ready),
    ],
)
def test_what_was_never_armed_is_never_published(
    server: ScriptedServer, tiktok: Make, draft: Draft, checkpoint: dict[str, Any], kind: type[LookResult]
) -> None:
    assert isinstance(look(tiktok, draft, checkpoint, armed_at=None), kind)
    assert server.requests == []


def item(number: int, *, after: float = 5, **changes: Any) -> dict[str, Any]:
    return {
        "item_id": str(7_212_345_678_901_234_000 + number),
        "create_time": str(int(ARMED.timestamp() + after)),
        "caption": CAPTION,
        "share_url": f"https://www.tiktok.com/@casa/video/{number}",
        "media_type": "VIDEO",
        **changes,
    }


def page(*items: dict[str, Any], cursor: int = 0, has_more: bool = False) -> str:
    data = {"videos": items, "cursor": cursor, "has_more": has_more}
    return json.dumps({"code": 0, "message": "OK", "request_id": "2026", "data": data})


def test_exactly_one_post_that_fits_is_ours(server: ScriptedServer, tiktok: Make) -> None:
    photo, other = item(2, media_type="PHOTO"), item(3, caption="Me and me casa")
    server.on("GET", LIST, page(photo, other, cursor=7, has_more=True), page(item(1), item(4, after=-61)))
    assert look(tiktok, video(), {}) == Published(
        remote_id="7212345678901234001", url="https://www.tiktok.com/@casa/video/1", is_searched=True
    )
    first, second = server.requests
    assert first.query == {
        "business_id": "-000eHWs",
        "fields": '["item_id","create_time","caption","share_url","media_type"]',
        "max_count": "20",
    }
    assert second.query["cursor"] == "7"


@pytest.mark.parametrize(
    ("items", "taken"),
    [
        ([], ()),
        ([item(1), item(2)], ()),
        ([item(1)], ("7212345678901234001",)),
        ([item(1, after=-61)], ()),
        ([item(1, media_type="PHOTO")], ()),
    ],
    ids=["none", "two", "another's", "too old", "another kind"],
)
def test_anything_else_proves_nothing(
    server: ScriptedServer, tiktok: Make, items: list[dict[str, Any]], taken: tuple[str, ...]
) -> None:
    server.on("GET", LIST, page(*items))
    assert isinstance(look(tiktok, video(), {}, frozenset(taken)), CannotTell)
