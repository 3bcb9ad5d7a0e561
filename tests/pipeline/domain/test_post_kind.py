from __future__ import annotations

import pytest

from adapters.contract import Platform
from pipeline.domain.post_kind import KINDS, Form, form_of, kind_of


@pytest.mark.parametrize(
    ("media_type", "count", "form"),
    [
        ("video", 1, Form.VIDEO),
        ("slideshow", 1, Form.IMAGE),
        ("slideshow", 2, Form.IMAGES),
        ("slideshow", 35, Form.IMAGES),
    ],
)
def test_the_form_of_media_is_video_one_image_or_several(media_type: str, count: int, form: Form) -> None:
    assert form_of(media_type, count) is form


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("form", Form)
def test_only_tiktok_keeps_a_draft_in_an_inbox(platform: Platform, form: Form) -> None:
    assert kind_of(platform, form, draft=False) == KINDS[platform].get(form)
    drafted = "inbox_draft" if platform is Platform.TIKTOK else KINDS[platform].get(form)
    assert kind_of(platform, form, draft=True) == drafted


def test_youtube_has_nothing_for_images() -> None:
    assert kind_of(Platform.YOUTUBE, Form.IMAGE, draft=False) is None
    assert kind_of(Platform.YOUTUBE, Form.VIDEO, draft=False) == "short"
