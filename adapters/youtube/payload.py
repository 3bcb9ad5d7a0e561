"""Build what YouTube receives for a draft: the video resource and the file name; and the video's link. Pure.

The caption's first line with text is the title, cut at a word; the whole caption is the description; its hashtags are
the tags. YouTube accepts no angle brackets, so they become typographic ones (U+2039, U+203A), and a warning reports it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.contract import Draft
from adapters.limit import count_utf16_units, cut_text
from adapters.words import Words
from adapters.youtube import limits
from adapters.youtube.limits import TAGS_CHARACTERS, TITLE_UNITS

_BRACKETS = str.maketrans({"<": "\u2039", ">": "\u203a"})
_HASHTAG = re.compile(r"(?<![\w&])#(\w+)")


def cut_title(caption: str) -> str:
    """Return at most 100 UTF-16 units of the first line with text; empty without one."""
    lines = (_replace_controls(line).strip() for line in build_description(caption).splitlines())
    return cut_text(next((line for line in lines if line), ""), TITLE_UNITS)


def build_description(caption: str) -> str:
    """Return the whole caption, without the characters that YouTube refuses."""
    return caption.translate(_BRACKETS)


def find_hashtags(caption: str) -> tuple[str, ...]:
    """Return every hashtag once, without its ``#``, in order."""
    found: dict[str, str] = {}
    for word in _HASHTAG.findall(caption):
        found.setdefault(unicodedata.normalize("NFC", word).casefold(), word)
    return tuple(found.values())


def find_tags(caption: str) -> tuple[str, ...]:
    """Return the first hashtags that fit into 500 characters, commas between them included."""
    kept: list[str] = []
    length = 0
    for tag in find_hashtags(caption):
        length += count_utf16_units(tag) + (1 if kept else 0)
        if length > TAGS_CHARACTERS:
            break
        kept.append(tag)
    return tuple(kept)


def count_tag_characters(tags: Sequence[str]) -> int:
    """Return the length of tags as YouTube counts it: with commas between them and quotes around tags with spaces."""
    quotes = sum(2 for tag in tags if " " in tag)
    return sum(map(count_utf16_units, tags)) + quotes + max(0, len(tags) - 1)


def _replace_controls(line: str) -> str:
    return "".join(" " if unicodedata.category(character) == "Cc" else character for character in line)


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
            "description": build_description(draft.caption),
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
    return cut_title(str(draft.options.get("title") or "")) or cut_title(draft.caption)


def build_tags(draft: Draft) -> list[str]:
    """Return the tags that the request asks for, else the caption's hashtags as far as they fit."""
    asked = draft.options.get("tags")
    if asked is None:
        return list(find_tags(draft.caption))
    return [build_description(str(tag)) for tag in asked]


def write_words(draft: Draft) -> Words:
    """Return title, description and tags of the video."""
    text = build_description(draft.caption)
    size = len(text.encode("utf-8", "surrogatepass"))
    tags = tuple(build_tags(draft))
    return Words(text=text, title=build_title(draft), tags=tags, length=size, most=limits.DESCRIPTION_BYTES)


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
