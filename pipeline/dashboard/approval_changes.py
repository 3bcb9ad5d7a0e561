"""What has changed in a post since it was approved last, from its history."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from pipeline.dashboard.history import HistoryEntry
from pipeline.store.audit import AuditRow

KEPT, GONE, NEW = "kept", "gone", "new"
_EDITS = frozenset({"edit", "undo"})
_PIECES = re.compile(r"\s+|\S+")
_LONGEST = 4000
"""Characters of texts that are compared word by word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangesSince:
    """What changed since an approval. ``row``: all fields but the caption, as if they were one change."""

    approved: AuditRow
    row: AuditRow
    caption: Sequence[tuple[str, str]]
    """Pieces of the caption: kept, gone or new; empty: it is the same, or was too long to be kept."""


def find_changes(entries: Sequence[HistoryEntry], caption: str) -> ChangesSince | None:
    """Return what changed since the last approval, from the lines of a history, newest first; None: nothing did."""
    changes = [one.row for one in entries if one.row is not None]
    last = next((n for n, row in enumerate(changes) if row.verb == "approve"), None)
    if last is None:
        return None
    edits = [row for row in reversed(changes[:last]) if row.verb in _EDITS]
    if not edits:
        return None
    joined = _join(edits)
    earlier = joined.before.get("caption")
    return ChangesSince(
        approved=changes[last],
        row=replace(joined, before=_drop(joined.before), after=_drop(joined.after)),
        caption=list(compare_words(earlier, caption)) if isinstance(earlier, str) else (),
    )


def _drop(side: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in side.items() if name != "caption"}


def _join(edits: Sequence[AuditRow]) -> AuditRow:
    """Return changes, the oldest first, as one: of each field the first value before, and the last after."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for row in edits:
        _fill(before, row.before)
        for name, value in row.after.items():
            is_nested = isinstance(value, Mapping) and isinstance(after.get(name), Mapping)
            after[name] = {**after[name], **value} if is_nested else value
    return replace(edits[-1], before=before, after=after)


def _fill(before: dict[str, Any], side: Mapping[str, Any]) -> None:
    for name, value in side.items():
        if isinstance(value, Mapping) and isinstance(before.get(name), Mapping):
            before[name] = {**value, **before[name]}
        else:
            before.setdefault(name, value)


def compare_words(old: str, new: str) -> Iterator[tuple[str, str]]:
    """Yield the pieces of both texts in order, each as kept, gone or new."""
    if max(len(old), len(new)) > _LONGEST:
        yield from ((GONE, old), (NEW, new))
        return
    a, b = _PIECES.findall(old), _PIECES.findall(new)
    for tag, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            yield KEPT, "".join(b[b1:b2])
            continue
        yield from (
            (kind, text) for kind, text in ((GONE, "".join(a[a1:a2])), (NEW, "".join(b[b1:b2]))) if text
        )
