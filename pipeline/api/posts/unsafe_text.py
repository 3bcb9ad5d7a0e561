"""What no field may hold, wherever it stands: found in one walk before anything is read from the body."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pipeline.api.posts.validation_issue import MOST, issue

WIDEST = 100
"""Members of one object or array; no field of ours takes half as many, and each would cost an issue."""

_SURROGATE = re.compile("[\ud800-\udfff]")

Path = tuple[str | int, ...]


def hostile(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Issues for NUL (PostgreSQL's text cannot hold it), lone surrogates (UTF-8 cannot) and absurdly wide values."""
    return list(islice(_walk(body, ()), MOST))


def harmless(raw: bytes) -> bool:
    """Whether the bytes alone show that ``hostile`` finds nothing in the JSON they spell.

    NUL and halves of surrogate pairs get through JSON and UTF-8 only as escapes, and every member but the first of an
    object or array comes after a comma.
    """
    return b"\\u" not in raw and raw.count(b",") < WIDEST


def _walk(value: Any, path: Path) -> Iterator[dict[str, Any]]:
    if isinstance(value, str):
        if fault := _fault(value):
            yield issue(path, f"It holds {fault}.", "string_unicode")
    elif isinstance(value, dict | list):
        if len(value) > WIDEST:
            yield issue(
                path, f"It has {len(value):,} members; {WIDEST} are the most that is read.", "too_long"
            )
            return
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(name, str) and (fault := _fault(name)):
                yield issue(path, f"One of its keys holds {fault}.", "string_unicode")
            yield from _walk(inner, (*path, name))


def _fault(text: str) -> str | None:
    if "\0" in text:
        return "a NUL character (\\u0000)"
    if not text.isascii() and _SURROGATE.search(text):
        return "half of a surrogate pair (\\ud800 to \\udfff), which is no character"
    return None
