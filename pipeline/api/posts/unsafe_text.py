"""Find text that no field may hold, anywhere in a body: NUL, lone surrogates, and very long objects or arrays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pipeline.domain.validation_issue import MAX_ISSUES, build_issue

MAX_MEMBERS = 100
"""Members of one object or array: over twice what any field allows. Without a limit, each could cost an issue."""

_SURROGATE = re.compile("[\ud800-\udfff]")

Path = tuple[str | int, ...]


def find_unsafe_text(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an issue for each NUL (PostgreSQL refuses it), lone surrogate (UTF-8 does) and over-long container."""
    return list(islice(_walk(body, ()), MAX_ISSUES))


def is_safe_text(raw: bytes) -> bool:
    """Return True if the bytes alone show that ``find_unsafe_text`` would find nothing in this JSON.

    NUL and lone surrogates pass JSON and UTF-8 only as escapes, and every member of an object or array but the first
    follows a comma.
    """
    return b"\\u" not in raw and raw.count(b",") < MAX_MEMBERS


def _walk(value: Any, path: Path) -> Iterator[dict[str, Any]]:
    if isinstance(value, str):
        if fault := _fault(value):
            yield build_issue(path, f"It holds {fault}.", "string_unicode")
    elif isinstance(value, dict | list):
        if len(value) > MAX_MEMBERS:
            yield build_issue(
                path, f"It has {len(value):,} members; at most {MAX_MEMBERS} are allowed.", "too_long"
            )
            return
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(name, str) and (fault := _fault(name)):
                yield build_issue(path, f"One of its keys holds {fault}.", "string_unicode")
            yield from _walk(inner, (*path, name))


def _fault(text: str) -> str | None:
    if "\0" in text:
        return "a NUL character (\\u0000)"
    if not text.isascii() and _SURROGATE.search(text):
        return "a lone surrogate (\\ud800 to \\udfff), which is not a character"
    return None
