"""Build YouTube's title, description and tags from a caption. Pure.

The first line with text is the title, cut at a word; the whole caption is the description; its hashtags are the tags.
YouTube accepts no angle brackets, so they become typographic ones (U+2039, U+203A), and a warning reports it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from adapters.text import count_utf16_units
from adapters.youtube.limits import TAGS_CHARACTERS, TITLE_UNITS

_BRACKETS = str.maketrans({"<": "\u2039", ">": "\u203a"})
_HASHTAG = re.compile(r"(?<![\w&])#(\w+)")


def build_title(caption: str) -> str:
    """Return at most 100 UTF-16 units of the first line with text; empty without one."""
    lines = (_replace_controls(line).strip() for line in build_description(caption).splitlines())
    return _cut(next((line for line in lines if line), ""), TITLE_UNITS)


def build_description(caption: str) -> str:
    """Return the whole caption, without the characters that YouTube refuses."""
    return caption.translate(_BRACKETS)


def find_hashtags(caption: str) -> tuple[str, ...]:
    """Return every hashtag once, without its ``#``, in order."""
    found: dict[str, str] = {}
    for word in _HASHTAG.findall(caption):
        found.setdefault(unicodedata.normalize("NFC", word).casefold(), word)
    return tuple(found.values())


def build_tags(caption: str) -> tuple[str, ...]:
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


def _cut(text: str, limit: int) -> str:
    """Return at most *limit* UTF-16 units, cut after a whole word if there is one, never inside a character."""
    if count_utf16_units(text) <= limit:
        return text
    head = ""
    for character in text:
        if count_utf16_units(head) + count_utf16_units(character) > limit:
            break
        head += character
    if not text[len(head)].isspace():
        whole = head.rpartition(" ")[0].rstrip()
        head = whole or head
    return head.rstrip()
