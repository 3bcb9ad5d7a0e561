"""What TikTok's options mean when they are absent."""

from __future__ import annotations

from typing import Any

from adapters.contract import Draft
from adapters.tiktok import payload
from adapters.tiktok.adapter import TikTokOptions
from adapters.tiktok.checkpoint import AllowedSettings, UploadPlan, is_draft
from adapters.tiktok.problems import find_problems
from tests.adapters.tiktok.drafts import photos, video

ALLOWED = AllowedSettings(
    asked_at=0,
    privacy=("PUBLIC_TO_EVERYONE", "SELF_ONLY"),
    comment_disabled=False,
    duet_disabled=False,
    stitch_disabled=False,
    longest=600,
)


def build(clip: Draft, pictures: Draft) -> list[Any]:
    """Return everything that is sent for a video and a slideshow."""
    plan = UploadPlan.for_size(1_000_000)
    return [
        payload.build_video_init(clip, ALLOWED, plan),
        payload.build_photo_init(pictures, None if is_draft(pictures) else ALLOWED),
        payload.build_business_video(clip, "b", ALLOWED, None),
        payload.build_business_photo(pictures, "b", ALLOWED, None),
        payload.is_public(clip),
    ]


def test_the_declared_defaults_are_what_is_sent_for_absent_fields() -> None:
    """Requests with and without them are equal, so they have to be published alike."""
    defaults = dict(TikTokOptions.defaults)
    assert defaults.keys() == TikTokOptions.model_fields.keys() - {"title", "description", "deliver_as"}
    assert build(video(options=defaults), photos(**defaults)) == build(video(), photos())
    for connection in ("creator", "business"):
        assert find_problems(video(options=defaults), connection) == find_problems(video(), connection)
        assert find_problems(photos(**defaults), connection) == find_problems(photos(), connection)
