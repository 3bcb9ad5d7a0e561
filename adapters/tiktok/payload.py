"""What a draft becomes at TikTok: texts, flags and request bodies for both products. Pure.

Bodies follow developers.tiktok.com/doc/content-posting-api-reference-{direct-post, photo-post} and the video/publish
and photo/publish pages of business-api.tiktok.com/portal/docs, read 2026-11-24.
"""

from __future__ import annotations

from typing import Any

from adapters.contract import Draft
from adapters.tiktok.creator_info import Allowed
from adapters.tiktok.limits import TEXT
from adapters.tiktok.text import cut
from adapters.tiktok.upload import Plan

DEFAULT_PRIVACY = "PUBLIC_TO_EVERYONE"
VOLUME = 50
"""Both volumes, 0..100, as in TikTok's own app; the API's default of 0 would publish a silent video."""


def option(draft: Draft, name: str) -> bool:
    """A yes-or-no setting of the post; absent and null mean no."""
    return bool(draft.options.get(name))


def is_draft(draft: Draft) -> bool:
    """Whether the post goes to the account's inbox, to be finished by a person in the app."""
    return draft.options.get("post_mode") == "MEDIA_UPLOAD"


def is_public(draft: Draft) -> bool:
    """Whether the post will be seen by everyone, and so turn up in the lists of public posts."""
    return not is_draft(draft) and privacy(draft) == DEFAULT_PRIVACY


def privacy(draft: Draft) -> str:
    """The privacy level the post asks for."""
    return str(draft.options.get("privacy_level") or DEFAULT_PRIVACY)


def description(draft: Draft) -> str:
    """The long text, hashtags included: of a video the only one."""
    return str(draft.options.get("description") or draft.caption)


def title(draft: Draft) -> str:
    """The short title over a photo post: the one asked for, else the beginning of the caption."""
    asked = draft.options.get("title")
    return str(asked) if asked else cut(draft.caption, TEXT["creator"].photo_title)


def urls(draft: Draft) -> list[str]:
    """The addresses TikTok is to fetch from, in order."""
    return [media.url for media in draft.media]


# --- creator ---------------------------------------------------------------------------------------------------------


def video_init(draft: Draft, allowed: Allowed, plan: Plan) -> dict[str, Any]:
    """``video/init`` with FILE_UPLOAD. What the creator's settings forbid is sent as forbidden."""
    return {
        "post_info": {
            "title": description(draft),
            "privacy_level": privacy(draft),
            "disable_duet": allowed.duet_disabled or option(draft, "disable_duet"),
            "disable_comment": allowed.comment_disabled or option(draft, "disable_comment"),
            "disable_stitch": allowed.stitch_disabled or option(draft, "disable_stitch"),
            "brand_content_toggle": option(draft, "is_branded_content"),
            "brand_organic_toggle": option(draft, "is_your_brand"),
        },
        "source_info": {
            "source": "FILE_UPLOAD",
            "video_size": plan.size,
            "chunk_size": plan.chunk_size,
            "total_chunk_count": plan.chunks,
        },
    }


def photo_init(draft: Draft, allowed: Allowed | None) -> dict[str, Any]:
    """``content/init``: it starts the publish. A draft takes texts only; ``allowed`` is None just there."""
    info: dict[str, Any] = {"title": title(draft), "description": description(draft)}
    if allowed is not None:
        info |= {
            "privacy_level": privacy(draft),
            "disable_comment": allowed.comment_disabled or option(draft, "disable_comment"),
            "auto_add_music": option(draft, "auto_add_music"),
            "brand_content_toggle": option(draft, "is_branded_content"),
            "brand_organic_toggle": option(draft, "is_your_brand"),
        }
    return {
        "media_type": "PHOTO",
        "post_mode": "DIRECT_POST" if allowed is not None else "MEDIA_UPLOAD",
        "post_info": info,
        "source_info": {"source": "PULL_FROM_URL", "photo_images": urls(draft), "photo_cover_index": 0},
    }


# --- business --------------------------------------------------------------------------------------------------------


def business_video(draft: Draft, business_id: str, allowed: Allowed, sound_id: str | None) -> dict[str, Any]:
    """``video/publish``: public by nature, it has no privacy field."""
    info: dict[str, Any] = {
        "caption": description(draft),
        "is_brand_organic": option(draft, "is_your_brand"),
        "is_branded_content": option(draft, "is_branded_content"),
        "disable_comment": allowed.comment_disabled or option(draft, "disable_comment"),
        "disable_duet": allowed.duet_disabled or option(draft, "disable_duet"),
        "disable_stitch": allowed.stitch_disabled or option(draft, "disable_stitch"),
    }
    if sound_id is not None:
        info["music_sound_info"] = {
            "music_sound_id": sound_id,
            "music_sound_volume": VOLUME,
            "video_original_sound_volume": VOLUME,
        }
    return {"business_id": business_id, "video_url": draft.media[0].url, "post_info": info}


def business_photo(
    draft: Draft, business_id: str, allowed: Allowed | None, sound_id: str | None
) -> dict[str, Any]:
    """``photo/publish``. A draft takes texts only; ``allowed`` is None just there."""
    info: dict[str, Any] = {"title": title(draft), "caption": description(draft)}
    if allowed is None:
        info["is_draft"] = True
    else:
        info |= {
            "privacy_level": privacy(draft),
            "auto_add_music": sound_id is None and option(draft, "auto_add_music"),
            "is_brand_organic": option(draft, "is_your_brand"),
            "is_branded_content": option(draft, "is_branded_content"),
            "disable_comment": allowed.comment_disabled or option(draft, "disable_comment"),
        }
        if sound_id is not None:
            info["music_sound_info"] = {"music_sound_id": sound_id}
    return {
        "business_id": business_id,
        "photo_images": urls(draft),
        "photo_cover_index": 0,
        "post_info": info,
    }


# --- after it is out -------------------------------------------------------------------------------------------------


def permalink(draft: Draft, username: str, post_id: str) -> str:
    """The address people see; TikTok leads any handle, even an outdated one, to the post by its id."""
    kind = "video" if draft.kind == "video" else "photo"
    return f"https://www.tiktok.com/@{username.removeprefix('@')}/{kind}/{post_id}"
