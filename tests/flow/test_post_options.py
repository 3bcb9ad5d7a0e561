"""Every post option reaches every platform that has it, as the sandbox's ledger shows."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import requests

from adapters.contract import Platform
from tests.flow.ledger import caption, slideshow
from tests.post_options import SECTIONS
from tests.stack import Stack, until

PINTEREST = {"title": "A mug", "link": "https://example.com/mug", "tags": ["mug"]}


def publish(stack: Stack, text: str, *platforms: str, **more: Any) -> dict[str, dict[str, Any]]:
    """Publish a post and return its lines in the sandbox's ledger, by platform."""
    before = len(stack.ledger())
    stack.await_status(stack.create_post(text, *platforms, **more), "posted", 100)
    lines = {line["platform"]: line for line in stack.ledger()[before:]}
    assert sorted(lines) == sorted(platforms)
    return lines


def test_a_video_goes_to_all_six_with_every_option(stack: Stack) -> None:
    text = caption()
    live = publish(stack, text, *Platform, ai_generated=True, pinterest=PINTEREST, **SECTIONS)
    youtube = live["youtube"]["extra"]
    assert live["youtube"]["caption"] == "A mug"
    assert youtube["description"] == text
    assert {name: youtube[name] for name in ("tags", "privacy", "category", "made_for_kids")} == {
        "tags": ["home decor", "mug"],
        "privacy": "unlisted",
        "category": "26",
        "made_for_kids": False,
    }
    assert youtube["notify"] is False
    instagram = live["instagram"]["extra"]
    assert {**{name: instagram.get(name) for name in SECTIONS["instagram"]}, "placement": "feed"} == SECTIONS[
        "instagram"
    ]
    assert live["facebook"]["extra"]["title"] == "A mug"
    assert live["facebook"]["extra"]["is_ai_generated"] is True
    linkedin = live["linkedin"]["extra"]["body"]
    assert linkedin["visibility"] == "CONNECTIONS"
    assert linkedin["content"]["media"]["title"] == "A mug"
    assert live["pinterest"]["extra"]["title"] == "A mug"
    assert (youtube["ai_generated"], instagram["is_ai_generated"]) == (True, True)
    assert live["tiktok"]["extra"]["is_aigc"] is True


def test_a_carousel_carries_the_options_of_images(stack: Stack) -> None:
    platforms = [platform for platform in Platform if platform is not Platform.YOUTUBE]
    sections = {name: section for name, section in SECTIONS.items() if name != "youtube"}
    media = {**slideshow(stack, 3), "alt_texts": ["A mug", None, "Two mugs"]}
    live = publish(
        stack,
        caption(),
        *platforms,
        media=media,
        pinterest=PINTEREST,
        ai_generated=True,
        **sections,
    )
    instagram = live["instagram"]["extra"]
    assert (instagram["collaborators"], instagram["location_id"]) == (["ann"], "112")
    assert "share_to_feed" not in instagram
    assert instagram["is_ai_generated"] is True
    assert live["linkedin"]["extra"]["body"]["visibility"] == "CONNECTIONS"
    assert instagram["alt_texts"] == ["A mug", None, "Two mugs"]
    assert live["facebook"]["extra"]["alt_texts"] == ["A mug", "", "Two mugs"]
    assert live["pinterest"]["extra"]["alt_text"] == "A mug"
    images = live["linkedin"]["extra"]["body"]["content"]["multiImage"]["images"]
    assert [image.get("altText") for image in images] == ["A mug", None, "Two mugs"]


def test_the_cover_of_a_video_is_an_image(stack: Stack) -> None:
    media = {"type": "video", "url": stack.media("sample.mp4"), "cover": stack.media("sample-1.jpg")}
    live = publish(stack, caption(), *Platform, media=media)
    assert live["instagram"]["extra"]["cover_url"] == media["cover"]
    assert live["pinterest"]["extra"]["cover"] == media["cover"]
    assert "video_cover_timestamp_ms" not in live["tiktok"]["extra"]
    expected = sha256(requests.get(media["cover"], timeout=30).content).hexdigest()
    assert live["linkedin"]["extra"]["thumbnail"] == expected
    until(
        lambda: read_thumbnail(stack, live["youtube"]["remote_id"]).endswith(f"/{expected}.jpg") or None, 60
    )


def test_the_cover_of_a_video_is_a_moment_of_it(stack: Stack) -> None:
    media = {"type": "video", "url": stack.media("sample.mp4"), "cover": 1.5}
    live = publish(stack, caption(), "tiktok", "instagram", "pinterest", media=media)
    assert live["tiktok"]["extra"]["video_cover_timestamp_ms"] == 1500
    assert live["instagram"]["extra"]["thumb_offset"] == 1500
    assert live["pinterest"]["extra"]["cover"] == 1, "Pinterest takes whole seconds"


def test_a_thumbnail_that_is_refused_is_a_warning_of_a_live_post(stack: Stack) -> None:
    stack.accounts["youtube"] = stack.connect("youtube", f"{stack.owner}x", options={"no_thumbnails": True})
    media = {"type": "video", "url": stack.media("sample.mp4"), "cover": stack.media("sample-1.jpg")}
    post = stack.create_post(caption(), "youtube", media=media)
    stack.await_state(post, "published", "youtube", 60)
    state = until(lambda: found if (found := stack.state(post, "youtube")).get("warnings") else None, 60)
    [warning] = state["warnings"]
    assert (warning["code"], warning["field"]) == ("COVER_NOT_SET", "media.cover")
    assert "phone number" in warning["message"]
    assert (state["status"], state["error"]) == ("posted", None)


def test_a_video_joins_a_playlist_and_one_that_is_not_there_is_a_warning(stack: Stack) -> None:
    stack.accounts["youtube"] = stack.connect("youtube", f"{stack.owner}y", options={"playlists": ["PLmugs"]})
    post = stack.create_post(caption(), "youtube", youtube={"playlist_id": "PLother"})
    stack.await_state(post, "published", "youtube", 60)
    state = until(lambda: found if (found := stack.state(post, "youtube")).get("warnings") else None, 60)
    [warning] = state["warnings"]
    assert (warning["code"], warning["field"]) == ("PLAYLIST_NOT_SET", "youtube.playlist_id")
    assert (state["status"], state["error"]) == ("posted", None)
    live = publish(stack, caption(), "youtube", youtube={"playlist_id": "PLmugs"})
    video = live["youtube"]["remote_id"]
    until(lambda: video in list_playlist(stack, f"{stack.owner}y", "PLmugs") or None, 60)


def test_a_video_becomes_a_story_and_a_draft(stack: Stack) -> None:
    story = {"placement": "story"}
    live = publish(stack, caption(), "instagram", "facebook", instagram=story, facebook=story)
    assert {line["kind"] for line in live.values()} == {"story"}
    live = publish(stack, caption(), "facebook", media=slideshow(stack, 1), facebook=story)
    assert live["facebook"]["kind"] == "story"
    post = stack.create_post(caption(), "tiktok", tiktok={"deliver_as": "inbox"})
    state = stack.await_state(post, "published")
    assert (state["published_url"], state["delivered_as"]) == (None, "inbox_draft")


def test_a_cover_that_is_not_there_is_refused(stack: Stack) -> None:
    media = {"type": "video", "url": stack.media("sample.mp4"), "cover": stack.media("nothing.jpg")}
    refused = stack.post(caption=caption(), media=media, accounts=[{"id": str(stack.accounts["youtube"])}])
    assert (refused.status_code, refused.json()["error_code"]) == (400, "media_unreachable")
    assert "media.cover" in refused.json()["message"]


def list_playlist(stack: Stack, username: str, playlist: str) -> list[str]:
    """Return the ids of a playlist's videos, as YouTube's API shows them to the channel."""
    body = {"platform": "youtube", "username": username, "options": {"playlists": [playlist]}}
    token = stack.control("POST", "accounts", body)["access_token"]
    answer = requests.get(
        f"{stack.sandbox}/youtube/youtube/v3/playlistItems",
        params={"part": "contentDetails", "playlistId": playlist},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    return [item["contentDetails"]["videoId"] for item in answer.json()["items"]]


def read_thumbnail(stack: Stack, video_id: str) -> str:
    """Return the URL of a video's thumbnail, as YouTube's API shows it."""
    body = {"platform": "youtube", "username": stack.owner, "options": {}}
    token = stack.control("POST", "accounts", body)["access_token"]
    answer = requests.get(
        f"{stack.sandbox}/youtube/youtube/v3/videos",
        params={"part": "snippet", "id": video_id},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    url: str = answer.json()["items"][0]["snippet"]["thumbnails"]["default"]["url"]
    return url
