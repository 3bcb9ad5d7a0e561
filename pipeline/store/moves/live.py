"""Read moves for pages that are open: each as soon as it is visible, without gaps, from a position in memory.

A move is read again until its id is proven (``read.py``), because one with a smaller id may turn up until then.
Nothing is stored: a process that starts takes the position of the export of moves, which is a second or two old.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.auth.sessions import list_audiences
from pipeline.store.database import row, rows
from pipeline.store.moves.read import compute_watermark

LIMIT = 2000
"""Moves that are read at once; of more, a page learns only that there are some."""

_PROGRESS = "SELECT proven, seen, writers, done AS counted FROM move_progress"
_LAST = "SELECT coalesce(pg_sequence_last_value(CAST(pg_get_serial_sequence('moves', 'id') AS regclass)), 0) AS id"
# as in read.py: the sum leads to the index by blocks, LATERAL with LIMIT to one lookup each
_MOVES = """
SELECT m.id, m.origin, m.target, d.workspace_id, d.post_id
FROM (SELECT id, origin, target, delivery_id FROM moves WHERE id + 0 > :proven LIMIT :n) m
LEFT JOIN LATERAL (SELECT workspace_id, post_id FROM deliveries WHERE id = m.delivery_id LIMIT 1) d ON true
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watermark:
    """How far moves are proven; the fields are those of ``move_progress``."""

    proven: int
    seen: int
    writers: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveMove:
    """One move; no workspace and post where its delivery cannot be seen yet."""

    id: int
    origin: str | None
    target: str
    workspace_id: UUID | None
    post_id: UUID | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The data visible beyond the watermark that the reading began with."""

    watermark: Watermark
    last: int
    """The highest id given so far, or more than any that is visible."""
    moves: Sequence[LiveMove]
    is_cut: bool
    """There are more than ``LIMIT``."""
    counted: int
    """Moves up to this id are in the counters and rollups."""
    audiences: Mapping[UUID, Collection[UUID] | None]
    """The sessions that are still valid -> the workspaces of their users; None: all."""


def read_live(c: Connection, before: Watermark | None, sessions: Collection[UUID]) -> Reading:
    """Read the moves beyond a watermark, and which of these sessions are valid. *before* None: begin here.

    The caller opens a transaction of READ COMMITTED: the moves are read by a later snapshot than the watermark.
    """
    progress = row(c, _PROGRESS)
    if progress is None:
        raise LookupError("The row of move_progress is missing.")
    start: Any = before or progress
    last = row(c, _LAST)
    highest = start.proven if last is None else last.id
    watermark, moves = Watermark(proven=start.proven, seen=start.seen, writers=start.writers), []
    if highest > start.proven:
        watermark = Watermark(**compute_watermark(c, start))
        row(c, "SELECT set_config('enable_seqscan', 'off', true)")
        moves = rows(c, _MOVES, proven=start.proven, n=LIMIT + 1)
    return Reading(
        watermark=watermark,
        last=highest,
        moves=[LiveMove(**m._mapping) for m in moves[:LIMIT]],
        is_cut=len(moves) > LIMIT,
        counted=progress.counted,
        audiences=list_audiences(c, sessions),
    )
