"""Measure and compare text as platforms do."""

from __future__ import annotations

import unicodedata


def count_utf16_units(text: str) -> int:
    """Return the number of UTF-16 code units of *text*; an emoji counts as two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def split_words(text: str | None) -> list[str]:
    """Return the words of *text*: two texts with the same words are equal, however a platform spaces them."""
    return unicodedata.normalize("NFC", text or "").split()
