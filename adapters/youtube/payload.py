"""What a draft is on YouTube: the video resource that is sent, the name it is found again by, and its link. Pure."""

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


def video(draft: Draft, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of ``videos.insert``. Privacy is always said: what holds without it depends on the channel."""
    return {
        "snippet": {
            "title": text.title(draft.caption),
            "description": text.description(draft.caption),
            "tags": list(text.tags(draft.caption)),
            "categoryId": str(options.get("category", "22")),
        },
        "status": {"privacyStatus": str(options.get("privacy", "public"))},
    }


def file_name(draft: Draft) -> str:
    """The file's name as YouTube is told it: a marker to find this very delivery again."""
    facts = draft.media[0].facts
    word = re.sub(r"[^A-Za-z0-9-]", "-", draft.delivery_id)
    return f"{MARKER}{word}{_EXTENSIONS.get(facts.content_type, '') if facts else ''}"


def is_short(draft: Draft) -> bool | None:
    """Whether it becomes a Short: square or vertical, at most three minutes. None when the facts do not tell."""
    facts = draft.media[0].facts
    if facts is None or facts.width is None or facts.height is None or facts.duration is None:
        return None
    return facts.width <= facts.height and facts.duration <= limits.SHORT_SECONDS


def link(draft: Draft, video_id: str) -> str:
    """The public page of the video."""
    return f"{SHORTS if is_short(draft) else WATCH}{video_id}"
