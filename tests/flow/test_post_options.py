"""Every post option reaches every platform that has it, as the sandbox's ledger shows.

Kinds of posts, and what becomes of covers, playlists, stories and drafts: tests/adapters/conformance.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import requests

from adapters.contract import Platform
from tests.flow.ledger import caption, sample, slideshow, upload
from tests.post_options import SECTIONS
from tests.stack import Stack, until

PINTEREST = {"title": "A mug", "link": "https://example.com/mug", "tags": ["mug"]}
IMAGES = tuple(platform for platform in Platform if platform is not Platform.YOUTUBE)
"""The platforms that take images."""


def publish(stack: Stack, text: str, *platforms: str, **more: Any) -> dict[str, dict[str, Any]]:
    """Publish a post, live once on each platform, and return its lines in the sandbox's ledger, by platform."""
    before, mine = len(stack.ledger()), {stack.remote[platform] for platform in platforms}
    stack.await_status(stack.create_post(text, *platforms, **more), "posted", 100)
    lines = [line for line in stack.ledger()[before:] if line["account"] in mine]
    assert sorted(line["platform"] for line in lines) == sorted(platforms)
    return {line["platform"]: line for line in lines}


def test_an_uploaded_video_goes_to_all_six_with_every_option_and_a_cover(stack: Stack) -> None:
    text, cover = caption(), stack.media("sample-1.jpg")
    url = upload(stack, "video/mp4", sample(stack, "sample.mp4"))
    media = {"type": "video", "url": url, "cover": cover}
    live = publish(stack, text, *Platform, media=media, ai_generated=True, pinterest=PINTEREST, **SECTIONS)
    youtube, instagram = live["youtube"]["extra"], live["instagram"]["extra"]
    assert live["youtube"]["caption"] == "A mug"
    assert youtube["description"] == text
    assert {name: youtube[name] for name in ("tags", "privacy", "category", "made_for_kids")} == {
        "tags": ["home decor", "mug"],
        "privacy": "unlisted",
        "category": "26",
        "made_for_kids": False,
    }
    assert youtube["notify"] is False
    assert {**{name: instagram.get(name) for name in SECTIONS["instagram"]}, "placement": "feed"} == SECTIONS[
        "instagram"
    ]
    assert live["facebook"]["extra"]["title"] == "A mug"
    assert live["facebook"]["extra"]["is_ai_generated"] is True
    linkedin = live["linkedin"]["extra"]
    assert linkedin["body"]["visibility"] == "CONNECTIONS"
    assert linkedin["body"]["content"]["media"]["title"] == "A mug"
    assert live["pinterest"]["extra"]["title"] == "A mug"
    assert (youtube["ai_generated"], instagram["is_ai_generated"]) == (True, True)
    assert live["tiktok"]["extra"]["is_aigc"] is True

    assert instagram["cover_url"] == live["pinterest"]["extra"]["cover"] == cover
    assert "video_cover_timestamp_ms" not in live["tiktok"]["extra"]
    expected = sha256(sample(stack, "sample-1.jpg")).hexdigest()
    assert linkedin["thumbnail"] == expected
    until(lambda: read_thumbnail(stack, live["youtube"]["remote_id"]).endswith(f"/{expected}.jpg"), 60)


def test_a_carousel_of_uploads_carries_the_options_of_images(stack: Stack) -> None:
    sections = {name: section for name, section in SECTIONS.items() if name != "youtube"}
    urls = [upload(stack, "image/jpeg", sample(stack, f"sample-{n}.jpg")) for n in (1, 2, 3)]
    media = {**slideshow(stack), "urls": urls, "alt_texts": ["A mug", None, "Two mugs"]}
    more = {"media": media, "pinterest": PINTEREST, "ai_generated": True, **sections}
    live = publish(stack, caption(), *IMAGES, **more)
    assert (live["instagram"]["kind"], live["tiktok"]["kind"]) == ("carousel", "photos")
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
