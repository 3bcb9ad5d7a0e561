"""Build texts, flags and request bodies of both products from a draft. Pure.

Bodies follow developers.tiktok.com/doc/content-posting-api-reference-{direct-post, upload-video, photo-post} and the
video/publish and photo/publish pages of business-api.tiktok.com/portal/docs, read 2026-11-24.
"""

from __future__ import annotations

from typing import Any

from adapters.contract import Draft
from adapters.limit import count_utf16_units, cut_text
from adapters.tiktok.checkpoint import AllowedSettings, UploadPlan, is_draft
from adapters.tiktok.limits import PHOTO_TEXT, PHOTO_TITLE, VIDEO_TEXT
from adapters.words import LinkedWord, Words

FOLD = 150
"""Third party, on a phone: toolshake.xyz/tool/caption-character-counter, 2026-04-18, read 2026-12-01."""
LINKED: frozenset[LinkedWord] = frozenset({"hashtag"})
"""Not documented; its app leaves addresses plain."""

DEFAULT_PRIVACY = "PUBLIC_TO_EVERYONE"
VOLUME = 50
"""Volume of sound and video, 0..100, as in TikTok's own app; the API's default of 0 publishes a silent video."""


def get_flag(draft: Draft, name: str) -> bool:
    """Return a yes-or-no setting of the post; absent and null mean no."""
    return bool(draft.options.get(name))


def is_public(draft: Draft) -> bool:
    """Return True if everyone may see the post: the lists of public posts include it."""
    return not is_draft(draft) and get_privacy_level(draft) == DEFAULT_PRIVACY


def get_privacy_level(draft: Draft) -> str:
    """Return the privacy level that the post asks for."""
    return str(draft.options.get("privacy_level") or DEFAULT_PRIVACY)


def build_description(draft: Draft) -> str:
    """Return the long text, hashtags included; for a video it is the only text."""
    return str(draft.options.get("description") or draft.caption)


def build_title(draft: Draft) -> str:
    """Return the short title of a photo post: the one requested, else the beginning of the caption."""
    asked = draft.options.get("title")
    return str(asked) if asked else cut_text(draft.caption, PHOTO_TITLE)


def write_words(draft: Draft) -> Words:
    """Return the words of the post; the draft of a video in the inbox has none."""
    is_video = draft.kind == "video"
    text = "" if is_video and is_draft(draft) else build_description(draft)
    title, most = ("", VIDEO_TEXT) if is_video else (build_title(draft), PHOTO_TEXT)
    return Words(text=text, title=title, length=count_utf16_units(text), most=most, fold=FOLD, linked=LINKED)


def list_urls(draft: Draft) -> list[str]:
    """Return the URLs that TikTok fetches, in order."""
    return [media.url for media in draft.media]


# --- creator ---------------------------------------------------------------------------------------------------------


def build_video_init(draft: Draft, allowed: AllowedSettings | None, plan: UploadPlan) -> dict[str, Any]:
    """Return the body of ``video/init`` with FILE_UPLOAD. What the account has switched off is sent as disabled.

    *allowed* is None for ``inbox/video/init``, which takes the source only.
    """
    source = {
        "source": "FILE_UPLOAD",
        "video_size": plan.size,
        "chunk_size": plan.chunk_size,
        "total_chunk_count": plan.chunks,
    }
    if allowed is None:
        return {"source_info": source}
    return {
        "post_info": {
            "title": build_description(draft),
            "privacy_level": get_privacy_level(draft),
            "disable_duet": allowed.duet_disabled or get_flag(draft, "disable_duet"),
            "disable_comment": allowed.comment_disabled or get_flag(draft, "disable_comment"),
            "disable_stitch": allowed.stitch_disabled or get_flag(draft, "disable_stitch"),
            "brand_content_toggle": get_flag(draft, "is_branded_content"),
            "brand_organic_toggle": get_flag(draft, "is_your_brand"),
            "is_aigc": draft.ai_generated,
            **_build_offset("video_cover_timestamp_ms", draft),
        },
        "source_info": source,
    }


def build_photo_init(draft: Draft, allowed: AllowedSettings | None) -> dict[str, Any]:
    """Return the body of ``content/init``. *allowed* is None for an inbox draft, which carries texts only."""
    info: dict[str, Any] = {"title": build_title(draft), "description": build_description(draft)}
    if allowed is not None:
        info |= {
            "privacy_level": get_privacy_level(draft),
            "disable_comment": allowed.comment_disabled or get_flag(draft, "disable_comment"),
            "auto_add_music": get_flag(draft, "auto_add_music"),
            "brand_content_toggle": get_flag(draft, "is_branded_content"),
            "brand_organic_toggle": get_flag(draft, "is_your_brand"),
        }
    return {
        "media_type": "PHOTO",
        "post_mode": "DIRECT_POST" if allowed is not None else "MEDIA_UPLOAD",
        "post_info": info,
        "source_info": {"source": "PULL_FROM_URL", "photo_images": list_urls(draft), "photo_cover_index": 0},
    }


# --- business --------------------------------------------------------------------------------------------------------


def build_business_video(
    draft: Draft, business_id: str, allowed: AllowedSettings | None, sound_id: str | None
) -> dict[str, Any]:
    """Return the body of ``video/publish``. Such videos are always public: there is no privacy field.

    *allowed* is None for an inbox draft, of which TikTok ignores every other field.
    """
    source = {"business_id": business_id, "video_url": draft.media[0].url}
    if allowed is None:
        return {**source, "post_info": {"upload_to_draft": True}}
    info: dict[str, Any] = {
        "caption": build_description(draft),
        "is_brand_organic": get_flag(draft, "is_your_brand"),
        "is_branded_content": get_flag(draft, "is_branded_content"),
        "disable_comment": allowed.comment_disabled or get_flag(draft, "disable_comment"),
        "disable_duet": allowed.duet_disabled or get_flag(draft, "disable_duet"),
        "disable_stitch": allowed.stitch_disabled or get_flag(draft, "disable_stitch"),
        "is_ai_generated": draft.ai_generated,
        **_build_offset("thumbnail_offset", draft),
    }
    if sound_id is not None:
        info["music_sound_info"] = {
            "music_sound_id": sound_id,
            "music_sound_volume": VOLUME,
            "video_original_sound_volume": VOLUME,
        }
    body = {**source, "post_info": info}
    thumbnail = draft.cover_url
    return {**body, "custom_thumbnail_url": thumbnail} if thumbnail else body


def build_business_photo(
    draft: Draft, business_id: str, allowed: AllowedSettings | None, sound_id: str | None
) -> dict[str, Any]:
    """Return the body of ``photo/publish``. *allowed* is None for an inbox draft, which carries texts only."""
    info: dict[str, Any] = {"title": build_title(draft), "caption": build_description(draft)}
    if allowed is None:
        info["is_draft"] = True
    else:
        info |= {
            "privacy_level": get_privacy_level(draft),
            "auto_add_music": sound_id is None and get_flag(draft, "auto_add_music"),
            "is_brand_organic": get_flag(draft, "is_your_brand"),
            "is_branded_content": get_flag(draft, "is_branded_content"),
            "disable_comment": allowed.comment_disabled or get_flag(draft, "disable_comment"),
        }
        if sound_id is not None:
            info["music_sound_info"] = {"music_sound_id": sound_id}
    return {
        "business_id": business_id,
        "photo_images": list_urls(draft),
        "photo_cover_index": 0,
        "post_info": info,
    }


def _build_offset(name: str, draft: Draft) -> dict[str, int]:
    offset = draft.cover_ms
    return {} if offset is None else {name: offset}


# --- the published post ----------------------------------------------------------------------------------------------


def build_link(draft: Draft, username: str, post_id: str) -> str:
    """Return the post's public URL. TikTok finds the post by its id, even with an outdated handle."""
    kind = "video" if draft.kind == "video" else "photo"
    return f"https://www.tiktok.com/@{username.removeprefix('@')}/{kind}/{post_id}"
