"""Build the bodies that create Instagram's media containers. Pure.

Sources: developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/media, v25.0 text of
2026-09-11, read 2026-11-24; ``is_ai_generated``, of a carousel on the parent only: the changelog of 2026-06-22, read
2026-11-27.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from adapters.contract import Account, Draft, Media, PlatformSettings
from adapters.graph_stories import is_story
from adapters.instagram.checkpoint import is_carousel
from adapters.instagram.limits import CAPTION_CHARACTERS
from adapters.words import LinkedWord, Words

FOLD = 125
"""Third party, on a phone: posttruncate.com/en/platform-limits, read 2026-12-01."""
LINKED: frozenset[LinkedWord] = frozenset({"hashtag"})
"""Not documented; its app leaves addresses plain."""


def is_byte_upload(draft: Draft, account: Account, settings: PlatformSettings) -> bool:
    """Return True if a video's bytes are sent by us: that needs the option, Facebook Login and a readable source."""
    media = draft.media[0]
    is_wanted = bool(settings.options.get("byte_upload")) and account.connection == "facebook_login"
    return is_wanted and media.stream is not None and media.facts is not None


def build_child(media: Media) -> dict[str, Any]:
    """Return the body of one carousel item; it takes no caption."""
    return {"is_carousel_item": True, **_build_source(media, video="VIDEO")}


def build_container(draft: Draft, children: Sequence[str], *, byte_upload: bool) -> dict[str, Any]:
    """Return the body of the container to publish: an image, a reel, a story, or a carousel over its children."""
    media = _build_media(draft, children, byte_upload=byte_upload)
    label = {"is_ai_generated": True} if draft.ai_generated else {}
    if is_story(draft):
        return {**media, **label}
    return {**media, "caption": draft.caption, **_build_options(draft), **label}


def write_words(draft: Draft) -> Words:
    """Return the caption; a story has none."""
    text = "" if is_story(draft) else draft.caption
    return Words(text=text, length=len(text), most=CAPTION_CHARACTERS, fold=FOLD, linked=LINKED)


def _build_options(draft: Draft) -> dict[str, Any]:
    names = ("collaborators", "location_id", *(("share_to_feed",) if draft.kind == "video" else ()))
    asked = {name: draft.options.get(name) for name in names}
    cover = {"cover_url": draft.cover_url, "thumb_offset": draft.cover_ms}
    asked |= cover if draft.kind == "video" else {}
    return {name: value for name, value in asked.items() if value not in (None, [])}


def _build_media(draft: Draft, children: Sequence[str], *, byte_upload: bool) -> dict[str, Any]:
    if is_carousel(draft):
        return {"media_type": "CAROUSEL", "children": ",".join(children)}
    media_type = "STORIES" if is_story(draft) else "REELS"
    if draft.media[0].kind == "video" and byte_upload:
        return {"media_type": media_type, "upload_type": "resumable"}
    if is_story(draft):
        return {
            "media_type": media_type,
            **_build_source(replace(draft.media[0], alt_text=None), video=media_type),
        }
    return _build_source(draft.media[0], video=media_type)


def _build_source(media: Media, *, video: str) -> dict[str, Any]:
    if media.kind == "image":
        return {"image_url": media.url, **({"alt_text": media.alt_text} if media.alt_text else {})}
    return {"media_type": video, "video_url": media.url}
