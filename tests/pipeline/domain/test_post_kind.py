"""What a post becomes at each platform, by the platform's own capabilities."""

from __future__ import annotations

import pytest

from adapters.contract import Platform, PostForm
from adapters.registry import ADAPTERS
from pipeline.domain.post import find_form, find_kind

KINDS = {platform: adapter.capabilities.post_kinds for platform, adapter in ADAPTERS.items()}


@pytest.mark.parametrize(
    ("media_type", "count", "form"),
    [
        ("video", 1, PostForm.VIDEO),
        ("slideshow", 1, PostForm.IMAGE),
        ("slideshow", 2, PostForm.IMAGES),
        ("slideshow", 35, PostForm.IMAGES),
    ],
)
def test_the_form_of_media_is_video_one_image_or_several(media_type: str, count: int, form: PostForm) -> None:
    assert find_form(media_type, count) is form


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("form", PostForm)
def test_a_kind_is_the_platforms_own_unless_it_is_a_draft(platform: Platform, form: PostForm) -> None:
    can = ADAPTERS[platform].capabilities
    assert find_kind(can, form, is_inbox_draft=False) == KINDS[platform].get(form)
    assert find_kind(can, form, is_inbox_draft=True) == "inbox_draft"


def test_only_tiktok_keeps_a_draft_in_an_inbox() -> None:
    asked = {"post_mode": "MEDIA_UPLOAD"}
    models = {platform: adapter.post_options for platform, adapter in ADAPTERS.items()}
    drafts = {platform for platform, model in models.items() if model and model.is_inbox_draft(asked)}
    assert drafts == {Platform.TIKTOK}
    tiktok = models[Platform.TIKTOK]
    assert tiktok is not None
    assert not tiktok.is_inbox_draft({"post_mode": "DIRECT_POST"})
    assert tiktok.is_inbox_draft({"deliver_as": "inbox", "disable_duet": True})


def test_a_story_is_a_kind_of_its_own_where_a_platform_has_stories() -> None:
    models = {platform: adapter.post_options for platform, adapter in ADAPTERS.items()}
    asked = {p: model.find_kind({"placement": "story"}) for p, model in models.items() if model}
    assert {p for p, kind in asked.items() if kind == "story"} == {Platform.INSTAGRAM, Platform.FACEBOOK}
    can = ADAPTERS[Platform.INSTAGRAM].capabilities
    assert find_kind(can, PostForm.VIDEO, is_inbox_draft=False, asked="story") == "story"


def test_every_platform_takes_videos_and_all_but_youtube_take_images() -> None:
    assert all(kinds[PostForm.VIDEO] for kinds in KINDS.values())
    assert {p for p, kinds in KINDS.items() if PostForm.IMAGE not in kinds} == {Platform.YOUTUBE}
    assert {p for p, kinds in KINDS.items() if PostForm.IMAGES not in kinds} == {Platform.YOUTUBE}
