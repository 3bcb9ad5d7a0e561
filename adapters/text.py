"""Measure text as platforms do."""

from __future__ import annotations


def count_utf16_units(text: str) -> int:
    """Return the number of UTF-16 code units of *text*; an emoji counts as two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
