"""Build the request bodies of Facebook's endpoints. Pure, except that a chunk's form streams its source.

Sources: developers.facebook.com/docs/pages-api/posts and .../docs/video-api/guides/reels-publishing, both 2026-09-11;
.../docs/graph-api/reference/page/{photos,videos}, read 2026-11-24.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from adapters.contract import Draft, Media
from adapters.http import SizedBody


def build_photo(media: Media) -> dict[str, Any]:
    """Return the body that creates an unpublished photo from the media's URL."""
    alt_text = {"alt_text_custom": media.alt_text} if media.alt_text else {}
    return {"url": media.url, "published": False, **alt_text}


def build_post(draft: Draft, photos: Sequence[str]) -> dict[str, Any]:
    """Return the body that creates a feed post over photos; visible at once unless ``published`` is false."""
    return {"message": draft.caption, "attached_media": [{"media_fbid": photo} for photo in photos]}


def build_unpublished_post(draft: Draft, photos: Sequence[str]) -> dict[str, Any]:
    """Return the body that creates an unpublished feed post over photos."""
    return {**build_post(draft, photos), "published": False}


def build_reel_finish(draft: Draft, video_id: str) -> dict[str, Any]:
    """Return the body that publishes an uploaded reel."""
    return {
        "upload_phase": "finish",
        "video_id": video_id,
        "video_state": "PUBLISHED",
        "description": draft.caption,
        **_build_title(draft),
    }


def build_video_finish(draft: Draft, session: str) -> dict[str, Any]:
    """Return the body that publishes an uploaded video."""
    body = {"upload_phase": "finish", "upload_session_id": session, "description": draft.caption}
    return {**body, **_build_title(draft)}


def _build_title(draft: Draft) -> dict[str, str]:
    title = draft.options.get("title")
    return {"title": str(title)} if title else {}


def build_chunk_form(session: str, start: int, chunk: Iterator[bytes], length: int) -> tuple[str, SizedBody]:
    """Return content type and streamed body of the form that transfers one chunk of *length* bytes."""
    fields = {"upload_phase": "transfer", "upload_session_id": session, "start_offset": str(start)}
    boundary = secrets.token_hex(16)
    head = _build_fields(boundary, fields) + _build_file_header(boundary)
    tail = f"\r\n--{boundary}--\r\n".encode()
    body = SizedBody(chain([head], chunk, [tail]), len(head) + length + len(tail))
    return f"multipart/form-data; boundary={boundary}", body


def _build_fields(boundary: str, fields: Mapping[str, str]) -> bytes:
    parts = [
        f"--{boundary}\r\nContent-Disposition: form-data; name={json.dumps(name)}\r\n\r\n{value}\r\n"
        for name, value in fields.items()
    ]
    return "".join(parts).encode()


def _build_file_header(boundary: str) -> bytes:
    disposition = 'form-data; name="video_file_chunk"; filename="chunk"'
    header = f"Content-Disposition: {disposition}\r\nContent-Type: application/octet-stream"
    return f"--{boundary}\r\n{header}\r\n\r\n".encode()
