"""Every post option reaches every platform that has it, as the sandbox's ledger shows."""

from __future__ import annotations

from typing import Any

from adapters.contract import Platform
from tests.flow.ledger import caption, slideshow
from tests.post_options import SECTIONS
from tests.stack import Stack

PINTEREST = {"title": "A mug", "link": "https://example.com/mug", "tags": ["mug"]}


def publish(stack: Stack, text: str, *platforms: Platform, **more: Any) -> dict[str, dict[str, Any]]:
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
    instagram = live["instagram"]["extra"]
    assert {name: instagram[name] for name in SECTIONS["instagram"]} == SECTIONS["instagram"]
    assert live["facebook"]["extra"]["title"] == "A mug"
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
