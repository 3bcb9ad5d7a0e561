"""Cut text as TikTok counts it, in UTF-16 code units."""

from __future__ import annotations

from adapters.text import count_utf16_units


def cut_text(text: str, limit: int) -> str:
    """Return at most *limit* units of the text, cut after a whole word if there is one, never inside a character."""
    head = _take_units(text, limit)
    if len(head) < len(text) and not text[len(head)].isspace():
        before = next((head[:end] for end in range(len(head) - 1, 0, -1) if head[end].isspace()), "")
        head = before if before.strip() else head
    return head.rstrip() if len(head) < len(text) else head


def _take_units(text: str, limit: int) -> str:
    length = 0
    for index, character in enumerate(text):
        length += count_utf16_units(character)
        if length > limit:
            return text[:index]
    return text
