"""Build the request bodies of Facebook's endpoints. Pure, except that a chunk's form streams its source.

Sources: developers.facebook.com/docs/pages-api/posts and .../docs/video-api/guides/reels-publishing, both 2026-09-11;
.../docs/graph-api/reference/page/{photos,videos}, read 2026-11-24. ``is_ai_generated`` of reels, videos and stories of
videos, and ``thumb`` of videos only: facebook-business 26.0.3 (PyPI, 2026-11-04), adobjects/page.py,
``create_video_reel``, ``create_video`` and ``create_video_story``; the phase of ``thumb``: npm's
facebook-api-video-upload, which sends it with ``finish``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapters.contract import Draft, Media
from adapters.graph_stories import is_story
from adapters.http import SizedBody
from adapters.transport import build_form, get_size, open_range
from adapters.words import Words

FOLD = 110
"""Third party, on a phone: posttruncate.com/en/platform-limits, read 2026-12-01."""


def build_photo(media: Media) -> dict[str, Any]:
    """Return the body that creates an unpublished photo from the media's URL."""
    alt_text = {"alt_text_custom": media.alt_text} if media.alt_text else {}
    return {"url": media.url, "published": False, **alt_text}


def build_post(draft: Draft, photos: Sequence[str]) -> dict[str, Any]:
    """Return the body that creates a feed post over photos, or of text alone with a link if it has one.

    It is visible at once unless ``published`` is false.
    """
    body: dict[str, Any] = {"message": draft.caption}
    if photos:
        return {**body, "attached_media": [{"media_fbid": photo} for photo in photos]}
    return {**body, "link": draft.options["link"]} if draft.options.get("link") else body


def build_reel_finish(draft: Draft, video_id: str) -> dict[str, Any]:
    """Return the body that publishes an uploaded reel."""
    return {
        "upload_phase": "finish",
        "video_id": video_id,
        "video_state": "PUBLISHED",
        "description": draft.caption,
        **_build_options(draft),
    }


def build_story_finish(draft: Draft, video_id: str) -> dict[str, Any]:
    """Return the body that publishes an uploaded video as a story."""
    return {"upload_phase": "finish", "video_id": video_id, **_build_label(draft)}


def build_video_finish(draft: Draft, session: str) -> dict[str, Any]:
    """Return the body that publishes an uploaded video."""
    body = {"upload_phase": "finish", "upload_session_id": session, "description": draft.caption}
    return {**body, **_build_options(draft)}


def write_words(draft: Draft) -> Words:
    """Return text and title; a story has neither, and only videos have a title."""
    if is_story(draft):
        return Words(text="", length=0)
    title = str(draft.options.get("title") or "") if draft.kind == "video" else ""
    return Words(text=draft.caption, title=title, length=len(draft.caption), fold=FOLD)


def _build_options(draft: Draft) -> dict[str, Any]:
    title = {"title": str(draft.options["title"])} if draft.options.get("title") else {}
    return {**title, **_build_label(draft)}


def _build_label(draft: Draft) -> dict[str, bool]:
    return {"is_ai_generated": True} if draft.ai_generated else {}


def build_cover_form(fields: Mapping[str, Any], cover: Media) -> tuple[str, SizedBody]:
    """Return content type and body of the form that finishes a video with an image as its thumbnail.

    The image is read before the call is made: a source that breaks off must not leave the outcome unknown.
    """
    image = b"".join(open_range(cover, 0, get_size(cover)))
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    content_type = cover.facts.content_type if cover.facts else "application/octet-stream"
    return build_form(texts, "thumb", "thumb", content_type, iter([image]), len(image))


def build_chunk_form(session: str, start: int, chunk: Iterator[bytes], length: int) -> tuple[str, SizedBody]:
    """Return content type and streamed body of the form that transfers one chunk of *length* bytes."""
    fields = {"upload_phase": "transfer", "upload_session_id": session, "start_offset": str(start)}
    return build_form(
        fields, "video_file_chunk", "video_file_chunk", "application/octet-stream", chunk, length
    )
