"""A caption becomes YouTube's title, description and tags. Pure.

The first line that says something is the title, cut at a word; the whole caption is the description; its hashtags
are the tags. YouTube takes no angle brackets, so those become typographic ones (U+2039, U+203A),
and a warning says so.
"""

from __future__ import annotations

import re
import unicodedata

from adapters.youtube.limits import TAGS_CHARACTERS, TITLE_UNITS

_BRACKETS = str.maketrans({"<": "\u2039", ">": "\u203a"})
_HASHTAG = re.compile(r"(?<![\w&])#(\w+)")


def units(text: str) -> int:
    """How many UTF-16 code units the text takes."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def title(caption: str) -> str:
    """At most 100 units of the first line that says something; empty when none does."""
    lines = (_printable(line).strip() for line in description(caption).splitlines())
    return _cut(next((line for line in lines if line), ""), TITLE_UNITS)


def description(caption: str) -> str:
    """The whole caption, without what YouTube refuses."""
    return caption.translate(_BRACKETS)


def hashtags(caption: str) -> tuple[str, ...]:
    """Every hashtag once, without its ``#``, in order."""
    found: dict[str, str] = {}
    for word in _HASHTAG.findall(caption):
        found.setdefault(unicodedata.normalize("NFC", word).casefold(), word)
    return tuple(found.values())


def tags(caption: str) -> tuple[str, ...]:
    """The hashtags that fit into 500 characters, commas between them included."""
    kept: list[str] = []
    length = 0
    for tag in hashtags(caption):
        length += units(tag) + (1 if kept else 0)
        if length > TAGS_CHARACTERS:
            break
        kept.append(tag)
    return tuple(kept)


def _printable(line: str) -> str:
    return "".join(" " if unicodedata.category(character) == "Cc" else character for character in line)


def _cut(text: str, limit: int) -> str:
    """At most ``limit`` units, ending after a whole word where there is one, never inside a character."""
    if units(text) <= limit:
        return text
    head = ""
    for character in text:
        if units(head) + units(character) > limit:
            break
        head += character
    if not text[len(head)].isspace():
        whole = head.rpartition(" ")[0].rstrip()
        head = whole or head
    return head.rstrip()
