"""What a post becomes at each platform: the words an answer uses to say how a request was understood."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from adapters.contract import Platform


class Form(StrEnum):
    """What of a post the platforms tell apart."""

    VIDEO = "video"
    IMAGE = "image"
    IMAGES = "images"


P, F = Platform, Form
KINDS: Mapping[Platform, Mapping[Form, str]] = {
    P.TIKTOK: {F.VIDEO: "video", F.IMAGE: "photos", F.IMAGES: "photos"},
    P.INSTAGRAM: {F.VIDEO: "reel", F.IMAGE: "image", F.IMAGES: "carousel"},
    P.YOUTUBE: {F.VIDEO: "short"},
    P.PINTEREST: {F.VIDEO: "video_pin", F.IMAGE: "pin", F.IMAGES: "carousel_pin"},
    P.LINKEDIN: {F.VIDEO: "video", F.IMAGE: "image", F.IMAGES: "multi_image"},
    P.FACEBOOK: {F.VIDEO: "reel_or_video", F.IMAGE: "photo", F.IMAGES: "multi_photo"},
}
"""A Facebook video is a reel where the file fits one, else a video: known once it was probed."""


def kind_of(platform: Platform, form: Form, *, draft: bool) -> str | None:
    """The platform's kind of post; None where it has none for this. ``draft``: it is left in TikTok's inbox."""
    if draft and platform is Platform.TIKTOK:
        return "inbox_draft"
    return KINDS[platform].get(form)


def form_of(media_type: str, count: int) -> Form:
    """The form of a request's media."""
    if media_type == "video":
        return Form.VIDEO
    return Form.IMAGE if count == 1 else Form.IMAGES
