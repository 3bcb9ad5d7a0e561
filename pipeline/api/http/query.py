"""Unknown query parameters: one that resembles a known parameter is refused, the others are ignored and named."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from urllib.parse import quote, unquote_plus

from pipeline.api.posts.schema import build_invalid_payload
from pipeline.domain.validation_issue import build_issue, find_near

IGNORED_HEADER = b"x-ignored-parameters"
"""Response header with the names of the query parameters that had no effect."""
_OF_OFFSETS = frozenset({"page", "offset"})
"""Parameters that would return the first page for ever where pages have cursors."""
_MAX_NAME, _MAX_NAMES = 64, 20
"""Characters of a name, and names, in the header."""


def refuse_near_misses(query: bytes, known: Collection[str]) -> None:
    """Raise Refusal 422 for every unknown parameter that resembles one of *known*, or pages where cursors do."""
    issues = []
    for name in _list_unknown(query, known):
        if name in _OF_OFFSETS and "cursor" in known:
            message = "Pages have no number: send next_cursor of the previous answer as `cursor`."
            issues.append(build_issue((name,), message, "extra_forbidden"))
        elif near := find_near(name, known):
            message = f"There is no such query parameter; did you mean `{near}`?"
            issues.append(build_issue((name,), message, "extra_forbidden"))
    if issues:
        raise build_invalid_payload(issues)


def name_ignored(query: bytes, known: Collection[str]) -> bytes:
    """Return the value of `IGNORED_HEADER`: the names, percent-encoded and separated by commas; empty for none."""
    names = [quote(name[:_MAX_NAME], safe="[]$") for name in _list_unknown(query, known)]
    return ", ".join(names[:_MAX_NAMES]).encode()


def _list_unknown(query: bytes, known: Collection[str]) -> Iterator[str]:
    parts = query.decode("latin-1").split("&")
    names = dict.fromkeys(unquote_plus(part.partition("=")[0], errors="replace") for part in parts if part)
    return (name for name in names if name and name not in known)
