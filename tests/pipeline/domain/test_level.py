"""The lowest level that understands a post, and a row of the table for each thing that can be sent or can hold."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.api.posts.schema import OptionsBody, PostBody, Slideshow, Video
from pipeline.domain.hold import Hold
from pipeline.domain.level import LEVEL, LEVELS, find_level, lower_level
from pipeline.store.posts.options import PLATFORMS

VIDEO = {"type": "video", "url": "https://cdn.example.com/mug.mp4"}


def list_sent_fields() -> set[str]:
    """Return every field of a post's body and each option of its sections, as the table names them."""
    body: type[OptionsBody] = PostBody
    plain = body.model_fields.keys() - body.option_models.keys() - {"media"}
    media = Video.model_fields.keys() | Slideshow.model_fields.keys()
    sections = {
        f"{section}.{name}" for section, model in body.option_models.items() for name in model.model_fields
    }
    return {*plain, *sections, *(f"media.{name}" for name in media)}


def test_the_table_has_a_row_for_each_field_option_and_hold_and_no_other() -> None:
    """A field without a row is sent by workers that do not know it: raise LEVEL and add it there."""
    assert set(PostBody.option_models) == set(PLATFORMS)
    assert set(LEVELS) == {*list_sent_fields(), *(f"hold.{hold}" for hold in Hold)}
    assert set(LEVELS.values()) == set(range(1, LEVEL + 1))


@pytest.mark.parametrize(
    ("media", "options", "ai_generated", "level"),
    [
        ({}, {}, False, 1),
        ({"duration_sec": 3.0}, {"tiktok": {"title": "Mug", "privacy_level": "SELF_ONLY"}}, False, 1),
        ({}, {"pinterest": {"board_id": "1"}}, False, 1),
        ({}, {"youtube": {}}, False, 1),
        ({}, {"youtube": {"privacy": "private"}}, False, 2),
        ({}, {"linkedin": {"visibility": "CONNECTIONS"}}, False, 2),
        ({"alt_texts": ["A mug"]}, {}, False, 2),
        ({"cover": 1.5}, {}, False, 3),
        ({"fit": "pad"}, {}, False, 2),
        ({}, {}, True, 3),
        ({}, {"threads": {"reply_control": "everyone"}}, False, LEVEL),
    ],
)
def test_the_newest_thing_in_a_post_decides(
    media: dict[str, Any], options: dict[str, Any], *, ai_generated: bool, level: int
) -> None:
    assert find_level(VIDEO | media, options, ai_generated=ai_generated) == level


def test_a_hold_raises_the_level_of_what_it_holds() -> None:
    assert find_level(VIDEO, {}, holds=[Hold.PAUSED]) == 1
    assert find_level(VIDEO, {}, holds=["of a later version"]) == LEVEL


def test_a_process_can_lower_its_level_and_not_raise_it() -> None:
    assert [lower_level(most) for most in (0, 1, LEVEL, LEVEL + 1)] == [LEVEL, 1, LEVEL, LEVEL]
