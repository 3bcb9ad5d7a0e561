"""The timeline of a delivery: its moves and attempts, as sentences, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.store.dashboard.post_history import History
from pipeline.store.deliveries.attempts import AttemptFacts
from pipeline.store.deliveries.inspection import MoveFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One event. ``details``: sentences, some of them a platform's words."""

    at: datetime
    title: str
    state: str | None = None
    """The state that it came to."""
    details: tuple[str, ...] = ()


def build_timeline(history: History) -> list[Entry]:
    """Return the events of a delivery, newest first; of the same moment, the later one first."""
    entries = [
        *map(_describe_move, history.moves),
        *(entry for attempt in history.attempts for entry in _describe_attempt(attempt)),
    ]
    entries.reverse()  # the sort keeps the order of entries of one moment
    return sorted(entries, key=lambda entry: entry.at, reverse=True)


def describe_error(error: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the sentences of a classified error: ours, the platform's own words, and what to do."""
    if not error:
        return ()
    code = " ".join(str(error[name]) for name in ("class", "code", "platform_code") if error.get(name))
    words = error.get("platform_message")
    found = (f"{error.get('message') or 'Failed.'} ({code})", words and f"The platform's words: {words}")
    return tuple(text for text in (*found, error.get("next_action")) if text)


def _describe_move(move: MoveFacts) -> Entry:
    came = f"From {move.origin}" if move.origin else "Created"
    return Entry(
        at=move.at,
        title=f"{came} by {move.mover}",
        state=move.target,
        details=(move.why,) if move.why else (),
    )


def _describe_attempt(attempt: AttemptFacts) -> Iterator[Entry]:
    yield Entry(at=attempt.opened_at, title=f"Attempt {attempt.n} opened")
    if attempt.armed_at is not None:
        yield Entry(at=attempt.armed_at, title=f"Attempt {attempt.n} armed: the visible call may happen")
    late = tuple(f"Arrived after the claim was lost: {_describe_late(one)}" for one in attempt.late or ())
    if attempt.closed_at is not None:
        remote = (f"Post {attempt.remote_id}",) if attempt.remote_id else ()
        yield Entry(
            at=attempt.closed_at,
            title=f"Attempt {attempt.n} closed: {attempt.outcome}",
            details=(*remote, *describe_error(attempt.error), *late),
        )
    elif late:
        yield Entry(at=attempt.armed_at or attempt.opened_at, title=f"Attempt {attempt.n}", details=late)


def _describe_late(late: Mapping[str, Any]) -> str:
    if late.get("remote_id"):
        return f"post {late['remote_id']}"
    return " ".join(describe_error(late)) if late.get("message") else ", ".join(sorted(late))
