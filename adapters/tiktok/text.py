"""Measures and cuts text the way TikTok counts it: in UTF-16 code units, so an emoji is two."""

from __future__ import annotations


def units(text: str) -> int:
    """How many UTF-16 code units the text takes."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int) -> str:
    """At most ``limit`` units of the text, cut after a whole word where there is one, never inside a character."""
    head = _fitting(text, limit)
    if len(head) < len(text) and not text[len(head)].isspace():
        before = next((head[:end] for end in range(len(head) - 1, 0, -1) if head[end].isspace()), "")
        head = before if before.strip() else head
    return head.rstrip() if len(head) < len(text) else head


def _fitting(text: str, limit: int) -> str:
    length = 0
    for index, character in enumerate(text):
        length += units(character)
        if length > limit:
            return text[:index]
    return text
