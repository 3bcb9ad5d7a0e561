"""Build what YouTube receives for a draft: the video resource and the file name; and the video's link. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapters.contract import Draft
from adapters.youtube import limits, text

MARKER = "slipway-"
_EXTENSIONS = {"video/mp4": ".mp4", "video/quicktime": ".mov", "video/webm": ".webm", "video/x-m4v": ".m4v"}
WATCH = "https://www.youtube.com/watch?v="
SHORTS = "https://www.youtube.com/shorts/"


def build_video(draft: Draft, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of ``videos.insert``; *options* are the operator's defaults.

    Privacy is always sent: its default depends on the channel.
    """
    return {
        "snippet": {
            "title": build_title(draft),
            "description": text.build_description(draft.caption),
            "tags": build_tags(draft),
            "categoryId": str(draft.options.get("category") or options.get("category", "22")),
        },
        "status": {
            "privacyStatus": str(draft.options.get("privacy") or options.get("privacy", "public")),
            **_build_declarations(draft),
        },
    }


def build_title(draft: Draft) -> str:
    """Return the title that the request asks for, else the caption's first line with text."""
    return text.build_title(str(draft.options.get("title") or "")) or text.build_title(draft.caption)


def build_tags(draft: Draft) -> list[str]:
    """Return the tags that the request asks for, else the caption's hashtags as far as they fit."""
    asked = draft.options.get("tags")
    if asked is None:
        return list(text.build_tags(draft.caption))
    return [text.build_description(str(tag)) for tag in asked]


def _build_declarations(draft: Draft) -> dict[str, bool]:
    asked = draft.options.get("made_for_kids")
    for_kids = {} if asked is None else {"selfDeclaredMadeForKids": bool(asked)}
    return {**for_kids, **({"containsSyntheticMedia": True} if draft.ai_generated else {})}


def build_file_name(draft: Draft) -> str:
    """Return the file name sent to YouTube: a marker by which ``look`` finds this delivery."""
    facts = draft.media[0].facts
    name = re.sub(r"[^A-Za-z0-9-]", "-", draft.delivery_id)
    return f"{MARKER}{name}{_EXTENSIONS.get(facts.content_type, '') if facts else ''}"


def is_short(draft: Draft) -> bool | None:
    """Return whether YouTube makes it a Short: square or vertical, at most three minutes. None: facts are missing."""
    facts = draft.media[0].facts
    if facts is None or facts.width is None or facts.height is None or facts.duration is None:
        return None
    return facts.width <= facts.height and facts.duration <= limits.SHORT_SECONDS


def build_link(draft: Draft, video_id: str) -> str:
    """Return the URL of the video's public page."""
    return f"{SHORTS if is_short(draft) else WATCH}{video_id}"
