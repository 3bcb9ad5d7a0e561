"""Read moves in the order of their ids, without gaps, apart from the transactions that write them.

A move gets its id before its transaction commits, so a visible id does not prove that all smaller ones are visible. A
transaction locks ``moves`` for writing before it takes an id, and keeps the lock to its end. So once all transactions
that held the lock when an id had been given have ended, every smaller id is visible: that id is *proven*. Nothing is
waited for and nothing is skipped. (This needs a sequence of ids that sessions do not cache, which is the default.)

The export reads batches up to the proven id, each move with the known facts of its delivery. One transaction reads a
batch, hands it to its consumers and stores the position; if it dies, the next one reads the same batch. Rows are joined
as they are when they are read, a second or two after the move. Receipts read all visible moves, and account for moves
that are not proven yet; so do open pages, from a position in memory that begins with the export's. A client that reads
the moves of its workspace keeps its own position, and reads up to the proven id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection

from adapters.errors import RateLimited
from pipeline.domain.hold import INTENDED
from pipeline.store.auth.sessions import list_audiences
from pipeline.store.database import build, execute, read_all, read_column, read_number, require_row, row, rows
from pipeline.store.deliveries.history import Move
from pipeline.store.posts.options import REWRITTEN_DUE

NEWEST_MOVE = """
SELECT coalesce(pg_sequence_last_value(CAST(pg_get_serial_sequence('moves', 'id') AS regclass)), 0) AS id
"""
_WRITERS = """
SELECT DISTINCT virtualtransaction AS id FROM pg_locks
WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation = CAST('moves' AS regclass) AND mode = 'RowExclusiveLock' AND granted
"""


Reader = Literal["export", "receipts", "texts"]
"""The readers that store a position: what they make of the moves, and the position, are one transaction."""
_POSITION = "SELECT done, proven, seen, writers FROM move_progress WHERE reader = :reader"


@dataclass(frozen=True, kw_only=True, slots=True)
class Watermark:
    """How far moves are proven: up to ``proven``, and up to ``seen`` once none of ``writers`` writes any more."""

    proven: int
    seen: int
    writers: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Where a reader stands: everything up to ``done`` is read, and the watermark as it is now."""

    done: int
    watermark: Watermark


def lock_position(c: Connection, reader: Reader) -> Position | None:
    """Lock a reader's position until the transaction ends, and return it; None while another transaction reads.

    A later statement of the transaction sees all moves up to the proven id (READ COMMITTED).
    """
    found = row(c, f"{_POSITION} FOR UPDATE SKIP LOCKED", reader=reader)
    return None if found is None else Position(done=found.done, watermark=_compute_watermark(c, found))


def save_position(
    c: Connection, reader: Reader, done: int, watermark: Watermark, at: datetime | None = None
) -> None:
    """Store that everything up to an id is read. *at*: of the last move that was read."""
    execute(c, _SAVE, reader=reader, done=done, at=at, **asdict(watermark))


def _compute_watermark(c: Connection, before: Any) -> Watermark:
    """Return the proven id, and the writers that must end to prove the highest id given.

    ``before``: the watermark that was computed last, or the row of a position.
    """
    # in this order: a transaction with a smaller id than the one seen holds its lock already
    highest = read_number(c, NEWEST_MOVE)
    writers = read_column(c, _WRITERS)
    if not writers:
        return Watermark(proven=highest, seen=highest, writers=[])
    if set(before.writers).isdisjoint(writers):
        return Watermark(proven=before.seen, seen=highest, writers=writers)
    return Watermark(proven=before.proven, seen=before.seen, writers=before.writers)


_PEOPLE = "('edit', 'retry', 'decide', 'resume', 'restore')"
"""Movers that make a delivery go on after its time because a user did something."""

_INTENDED = [f"held: {hold}" for hold in sorted(INTENDED)]
# LATERAL with LIMIT: each part is one index lookup, in whatever order the planner joins them
_FACTS = f"""
SELECT m.id, m.at, m.mover, m.origin, m.target, m.generation, m.fence, m.why, m.delivery_id, d.post_id, d.workspace_id,
       d.account_id, d.platform, d.due_at, p.source, p.request_id,
       CASE WHEN is_last THEN d.reason END AS reason, substring(m.why FROM '^held: ([a-z_]+)$') AS held_for,
       CASE WHEN is_last THEN d.error ELSE tried.error END AS error,
       m.mover = 'ingest' AND NOT EXISTS (
           SELECT FROM post_deliveries o WHERE o.post_id = d.post_id AND o.id < d.id AND o.created_at = p.created_at
       ) AS is_post,
       greatest(0, extract(epoch FROM tried.armed_at - due.at) - processed.seconds)::float AS lateness,
       coalesce(counts_lateness, false) AS counts_lateness, now() AS read_at
FROM picked m
LEFT JOIN LATERAL (SELECT * FROM post_deliveries WHERE id = m.delivery_id LIMIT 1) d ON true
LEFT JOIN LATERAL (SELECT * FROM posts WHERE id = d.post_id LIMIT 1) p ON true
LEFT JOIN LATERAL (
    SELECT (d.state, d.generation, d.fence) = (m.target, m.generation, m.fence) AS is_last) now_is ON true
LEFT JOIN LATERAL (  -- the first armed attempt; the error is that of the last one before the move
    SELECT min(t.armed_at) AS armed_at, (array_agg(t.error ORDER BY t.n DESC))[1] AS error
    FROM attempts t WHERE t.delivery_id = d.id AND t.fence <= m.fence
      AND (m.origin = 'publishing' OR m.target IN ('published', 'failed', 'blocked', 'unknown'))) tried ON true
LEFT JOIN LATERAL (
    SELECT coalesce((SELECT {REWRITTEN_DUE} FROM rewrites w WHERE w.post_id = d.post_id AND w.until > tried.armed_at
                     ORDER BY w.until LIMIT 1), d.due_at) AS at WHERE tried.armed_at IS NOT NULL) due ON true
LEFT JOIN LATERAL (  -- how long the platform processed it between the due time and the visible call
    SELECT coalesce(sum(extract(epoch FROM greatest(e.at, due.at))
                        * (CASE WHEN e.origin = 'preparing' THEN 1 ELSE -1 END)), 0) AS seconds
    FROM moves e WHERE e.delivery_id = m.delivery_id AND e.id < m.id AND e.at <= tried.armed_at
      AND (e.origin = 'preparing') <> (e.target = 'preparing')) processed ON true
LEFT JOIN LATERAL (
    -- the first move since then; the delay was not intended: no earlier one, no limit past the due time, no user, no
    -- pause that outlived it
    SELECT tried.armed_at <= m.at AND NOT EXISTS (
        SELECT FROM moves e WHERE e.delivery_id = m.delivery_id AND e.id < m.id AND (
            e.origin = 'publishing' AND e.at >= tried.armed_at
            OR e.origin = 'publishing' AND e.target = 'scheduled' AND e.at > due.at AND e.why = ANY (:intended)
            OR e.target = 'retrying' AND e.at > due.at AND e.why LIKE '{RateLimited.__name__}:%'
            OR e.mover IN {_PEOPLE} AND e.at > due.at))
    AND NOT EXISTS (
        SELECT FROM seen_pauses s WHERE s.seen_at > due.at AND s.since < tried.armed_at AND (s.scope, s.target) IN
            (('all', ''), ('platform', d.platform), ('workspace', d.workspace_id::text),
             ('account', d.account_id::text), ('delivery', d.id::text))) AS counts_lateness
    WHERE m.origin = 'publishing' AND tried.armed_at IS NOT NULL) late ON true
ORDER BY m.id
"""
_RANGE = "m.id + 0 > :done AND m.id + 0 <= :until"
_MOVES = f"WITH picked AS MATERIALIZED (SELECT * FROM moves m WHERE {_RANGE}) {_FACTS}"
_WORKSPACE_MOVES = f"""
WITH picked AS MATERIALIZED (
    SELECT m.* FROM moves m
    JOIN LATERAL (SELECT workspace_id FROM post_deliveries WHERE id = m.delivery_id LIMIT 1) o
        ON o.workspace_id = :workspace
    WHERE {_RANGE} ORDER BY m.id LIMIT :n)
{_FACTS}"""
_SAVE = """
UPDATE move_progress SET done = :done, proven = :proven, seen = :seen, writers = :writers,
    seen_at = CASE WHEN :writers = '{}'::text[] OR :writers <> writers THEN now() ELSE seen_at END,
    exported_at = CASE WHEN :done < :proven THEN greatest(exported_at, CAST(:at AS timestamptz))
                       WHEN :writers = '{}'::text[] THEN now()
                       WHEN :writers <> writers THEN seen_at ELSE exported_at END
WHERE reader = :reader
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveFacts(Move):
    """One move, with the facts of its delivery that were known when the move was read.

    ``reason`` and ``error`` are None where the delivery has moved on since and they are not known any more.
    """

    id: int
    delivery_id: UUID
    post_id: UUID
    workspace_id: UUID
    account_id: UUID
    platform: str
    source: str
    request_id: str | None
    """The id of the request that made the post."""
    due_at: datetime
    reason: str | None
    held_for: str | None
    """The reason why a worker put it back."""
    error: Mapping[str, Any] | None
    is_post: bool
    """True if it stands for the acceptance of its post, as one of the moves of a new post does."""
    lateness: float | None
    """Seconds from the due time to the first arm, less the platform's processing, on results; None: not armed."""
    counts_lateness: bool
    """True if it is the first move after that arm, and the delay was not intended."""
    read_at: datetime
    """The database's time when the move was read."""

    @property
    def changes_state(self) -> bool:
        """Return True unless the move only adds something to its delivery, such as a URL."""
        return self.origin != self.target

    @property
    def error_class(self) -> str:
        """The class of the error; empty if there is none."""
        return str((self.error or {}).get("class") or "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Consecutive moves, oldest first, and the position after them."""

    moves: Sequence[MoveFacts]
    done: int
    left: int
    """How many ids of moves after it are proven."""
    watermark: Watermark


def read_batch(c: Connection, limit: int) -> Batch | None:
    """Return the next moves, with ids of a span of ``limit``; None while another transaction exports.

    The caller passes the batch to its consumers and then to ``save_batch``, in the same transaction.
    """
    position = lock_position(c, "export")
    if position is None:
        return None
    # a plan made while the tables are small would be kept, and read all of them when they have grown
    row(c, "SELECT set_config('enable_seqscan', 'off', true)")
    watermark = position.watermark
    # a later snapshot than that of the locks: it sees the moves of all transactions that had ended by then
    done = min(watermark.proven, position.done + limit)
    found = rows(c, _MOVES, done=position.done, until=done, intended=_INTENDED)
    moves = [build(MoveFacts, r) for r in found if r.workspace_id is not None]
    return Batch(moves=moves, done=done, left=watermark.proven - done, watermark=watermark)


SPAN = 5000
"""Ids of moves among which those of one workspace are looked for at once."""


def read_workspace_moves(c: Connection, workspace: UUID, after: int | None, limit: int) -> Batch:
    """Return the next moves of a workspace after an id, at most *limit*; *after* None: among the last ``SPAN`` ids.

    Any workspace may have some of what is left. The caller opens a transaction of READ COMMITTED, as of ``read_live``.
    """
    stored = require_row(c, "The row of move_progress is missing.", _POSITION, reader="export")
    watermark = _compute_watermark(c, stored)
    start = max(0, watermark.proven - SPAN) if after is None else after
    row(c, "SELECT set_config('enable_seqscan', 'off', true)")
    until = min(watermark.proven, start + SPAN)
    asked = {"done": start, "until": until, "workspace": workspace, "n": limit, "intended": _INTENDED}
    moves = read_all(c, MoveFacts, _WORKSPACE_MOVES, **asked)
    done = moves[-1].id if len(moves) == limit else max(start, until)
    return Batch(moves=moves, done=done, left=max(0, watermark.proven - done), watermark=watermark)


def save_batch(c: Connection, batch: Batch) -> None:
    """Store that everything up to the end of the batch is exported."""
    at = batch.moves[-1].at if batch.moves else None
    save_position(c, "export", batch.done, batch.watermark, at)


def record_pauses(c: Connection) -> None:
    """Record which pauses are in force now, so that what they held is not taken for late; forget old ones."""
    execute(
        c,
        """INSERT INTO seen_pauses (scope, target, since, seen_at)
           SELECT scope, target, since, clock_timestamp() FROM pauses ORDER BY scope, target
           ON CONFLICT (scope, target, since) DO UPDATE SET seen_at = excluded.seen_at""",
    )
    execute(c, "DELETE FROM seen_pauses WHERE seen_at < now() - interval '30 days'")


LIMIT = 2000
"""Moves that are read at once; of more, a page learns only that there are some."""

# as in _MOVES: the sum leads to the index by blocks, LATERAL with LIMIT to one lookup each
_LIVE_MOVES = """
SELECT m.id, m.origin, m.target, d.workspace_id, d.post_id
FROM (SELECT id, origin, target, delivery_id FROM moves WHERE id + 0 > :proven LIMIT :n) m
LEFT JOIN LATERAL (SELECT workspace_id, post_id FROM deliveries WHERE id = m.delivery_id LIMIT 1) d ON true
"""


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
    exported = require_row(c, "The row of move_progress is missing.", _POSITION, reader="export")
    start: Any = before or exported
    highest = read_number(c, NEWEST_MOVE)
    watermark, moves = build(Watermark, start) if before is None else before, list[LiveMove]()
    if highest > start.proven:
        watermark = _compute_watermark(c, start)
        row(c, "SELECT set_config('enable_seqscan', 'off', true)")
        moves = read_all(c, LiveMove, _LIVE_MOVES, proven=start.proven, n=LIMIT + 1)
    return Reading(
        watermark=watermark,
        last=highest,
        moves=moves[:LIMIT],
        is_cut=len(moves) > LIMIT,
        counted=exported.done,
        audiences=list_audiences(c, sessions),
    )
