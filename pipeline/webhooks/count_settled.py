"""Count what settled and how late it was, by workspace, platform, hour and day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from pipeline.domain.delivery import SETTLED, State
from pipeline.domain.histogram import label_bucket
from pipeline.store.moves.read import MoveFacts
from pipeline.store.rollups.settled_counts import (
    ALL_WORKSPACES,
    KEPT,
    LATENESS,
    Span,
    add_settled,
    find_start,
)


def count_settled(c: Connection, moves: Sequence[MoveFacts]) -> None:
    """Add a batch of moves to the counts of their hours and days."""
    add_settled(c, fold_settled(moves))


def fold_settled(moves: Sequence[MoveFacts]) -> Counter[Span]:
    """Return what the moves add. Spans that are not kept any more are left out."""
    return Counter(
        Span(workspace, minutes, find_start(m.at, minutes), m.platform, kind, label)
        for m in moves
        if m.changes_state
        for kind, label in _list_kinds(m)
        for minutes, kept in KEPT.items()
        if m.read_at - m.at < kept
        for workspace in (m.workspace_id, ALL_WORKSPACES)
    )


def _list_kinds(m: MoveFacts) -> Iterator[tuple[str, str]]:
    """Yield what the move counts as: the outcome with the class of its error, and the bucket of its lateness."""
    if m.target in SETTLED:
        yield m.target, m.error_class if m.target == State.FAILED else ""
    if m.counts_lateness and m.lateness is not None:
        yield LATENESS, label_bucket(m.lateness)
