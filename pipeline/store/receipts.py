"""Receipts: append them to each workspace's hash chain, apart from publishing transactions, and read them.

A receipt is appended as soon as its move is visible; ``store/moves.py`` says up to which id all moves are.
Everything above that id is read again until then: nothing is waited for and nothing is skipped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.receipt import Head, content_sha256, issue
from pipeline.store.arrays import Records
from pipeline.store.database import build, execute, find_value, read_column, rows
from pipeline.store.moves import lock_position, save_position
from pipeline.store.posts.options import OWN_CAPTION, OWN_MEDIA, REWRITTEN, REWRITTEN_DUE
from pipeline.store.selection import where_given

_NEEDS_RECEIPT = "(m.target IN ('published', 'failed', 'cancelled') OR m.mover = 'decide')"
"""The moves ``m`` that may need a receipt: the condition of the index ``moves_last_word``."""

# LATERAL with LIMIT, and a subselect instead of NOT EXISTS: a plan cached while the tables are small would scan them
# when they have grown
_MOVES_WITHOUT_RECEIPT = f"""
WITH picked AS MATERIALIZED (
    SELECT m.* FROM moves m
    WHERE m.id > :done AND {_NEEDS_RECEIPT}
      AND (m.origin IS DISTINCT FROM m.target OR m.mover = 'urls')  -- a warning changes nothing
      AND (SELECT r.move_id FROM receipts r WHERE r.move_id = m.id) IS NULL
    ORDER BY m.id LIMIT :n
)
SELECT m.id AS move_id, d.workspace_id, m.target, m.mover, m.at, m.delivery_id, d.post_id, d.account_id, d.platform,
       a.remote_id AS account_remote_id, d.remote_id, d.url, d.delivered_as, d.published_at, tried.attempts,
       tried.armed_at, coalesce(before.due_at, own.due_at, p.due_at) AS due_at, before.content_sha256,
       {OWN_CAPTION} AS caption, {OWN_MEDIA} AS media,
       CASE WHEN (d.state, d.generation) = (m.target, m.generation) THEN d.error ELSE tried.error END AS error
FROM picked m
LEFT JOIN LATERAL (SELECT * FROM post_deliveries WHERE id = m.delivery_id LIMIT 1) d ON true
LEFT JOIN LATERAL (SELECT * FROM posts WHERE id = d.post_id LIMIT 1) p ON true
LEFT JOIN LATERAL (SELECT * FROM accounts WHERE id = d.account_id LIMIT 1) a ON true
LEFT JOIN LATERAL (  -- where accounts have times of their own
    SELECT d.due_at FROM post_deliveries o WHERE o.post_id = d.post_id AND o.own IS NOT NULL LIMIT 1) own ON true
LEFT JOIN LATERAL (  -- the last attempt at the time; for late proof, the attempt that was proven
    SELECT t.armed_at, CASE WHEN t.outcome = 'failed' THEN t.error END AS error,
           count(*) OVER () AS attempts
    FROM attempts t WHERE t.delivery_id = d.id AND t.fence <= m.fence
    ORDER BY coalesce(m.target = 'published'
                      AND t.late @> jsonb_build_array(jsonb_build_object('remote_id', d.remote_id)), false) DESC,
             t.n DESC LIMIT 1
) tried ON true
LEFT JOIN LATERAL (  -- the content at the time, if the post was edited since; of a live one: when it was armed
    SELECT coalesce({REWRITTEN} ->> 'content_sha256', w.content_sha256) AS content_sha256, {REWRITTEN_DUE} AS due_at
    FROM rewrites w
    WHERE w.post_id = d.post_id
      AND w.until > CASE WHEN m.target = 'published' THEN coalesce(tried.armed_at, m.at) ELSE m.at END
    ORDER BY w.until LIMIT 1
) before ON true
ORDER BY m.id
"""

_HEADS = """
SELECT workspace_id, sequence, hash, greatest(issued_at, clock_timestamp()) AS issued_at FROM receipt_heads
WHERE workspace_id = ANY(CAST(:ids AS uuid[])) ORDER BY workspace_id FOR UPDATE
"""
_LINES = Records("workspace_id uuid, sequence bigint, move_id bigint, issued_at timestamptz, line text")
_ADD_LINES = f"INSERT INTO receipts ({_LINES.columns}) SELECT * FROM {_LINES}"
_ENDS = Records("w uuid, s bigint, hash text, at timestamptz")
_ADVANCE_HEADS = f"""
UPDATE receipt_heads h SET sequence = x.s, hash = x.hash, issued_at = x.at FROM {_ENDS} WHERE h.workspace_id = x.w
"""


@dataclass(kw_only=True, slots=True)
class _Chain:
    """The end of one workspace's chain, under the lock of its row."""

    head: Head | None
    issued_at: datetime
    """The time of the receipts added now: never earlier than the head, even if the clock was set back."""


def add_receipts(c: Connection, limit: int) -> int:
    """Append up to ``limit`` receipts and return how many. Zero while another transaction appends the same moves."""
    position = lock_position(c, "receipts")
    if position is None:
        return 0
    # a later snapshot than that of the locks: it sees the moves of all transactions that had ended by then
    found = rows(c, _MOVES_WITHOUT_RECEIPT, done=position.done, n=limit)
    _add(c, [r for r in found if r.workspace_id is not None])
    proven = position.watermark.proven
    done = proven if len(found) < limit else min(proven, found[-1].move_id)
    save_position(c, "receipts", done, position.watermark)
    return len(found)


def _add(c: Connection, found: Sequence[Any]) -> None:
    chains = _lock_chains(c, {r.workspace_id for r in found})
    lines = []
    for r in found:
        chain = chains[r.workspace_id]
        line, chain.head = issue(r.workspace_id, chain.head, {"issued_at": chain.issued_at, **_to_facts(r)})
        lines.append((r.workspace_id, chain.head.sequence, r.move_id, chain.issued_at, line))
    if not lines:
        return
    execute(c, _ADD_LINES, **_LINES.bind(lines))
    ends = [(w, x.head.sequence, x.head.hash, x.issued_at) for w, x in chains.items() if x.head]
    execute(c, _ADVANCE_HEADS, **_ENDS.bind(ends))


def _lock_chains(c: Connection, workspaces: Iterable[UUID]) -> dict[UUID, _Chain]:
    ids = sorted(workspaces)
    sql = """INSERT INTO receipt_heads (workspace_id) SELECT unnest(CAST(:ids AS uuid[])) ON CONFLICT DO NOTHING"""
    execute(c, sql, ids=ids)
    return {
        r.workspace_id: _Chain(
            head=Head(sequence=r.sequence, hash=r.hash) if r.sequence else None,
            issued_at=r.issued_at,
        )
        for r in rows(c, _HEADS, ids=ids)
    }


def _to_facts(r: Any) -> Mapping[str, Any]:
    live = r.target == "published"
    error = (r.error if r.target == "failed" else None) or {}
    return {
        "outcome": r.target if r.target in _OUTCOMES else "again",
        "mover": r.mover,
        "at": r.at,
        "delivery": r.delivery_id,
        "post": r.post_id,
        "account": r.account_id,
        "platform": r.platform,
        "account_remote_id": r.account_remote_id,
        "content_sha256": r.content_sha256 or content_sha256(r.caption, r.media),
        "due_at": r.due_at,
        "armed_at": r.armed_at,
        "attempts": r.attempts or 0,
        "published_at": r.published_at if live else None,
        "remote_id": r.remote_id if live else None,
        "url": r.url if live else None,
        "delivered_as": r.delivered_as if live else None,
        "error_code": error.get("code"),
        "error_message": error.get("message"),
        "platform_message": error.get("platform_message"),
    }


_OUTCOMES = frozenset({"published", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkspaceHead:
    """The last receipt of a workspace."""

    workspace_id: UUID
    workspace: str
    head: Head
    issued_at: datetime


def list_heads(c: Connection, workspace: UUID | None = None) -> list[WorkspaceHead]:
    """Return the heads of all workspaces with receipts, by name, or of one."""
    chosen = where_given({"w": "h.workspace_id = :w"}, w=workspace)
    found = rows(
        c,
        f"""SELECT h.workspace_id, coalesce(w.name, '') AS workspace, h.sequence, h.hash, h.issued_at
           FROM receipt_heads h LEFT JOIN workspaces w ON w.id = h.workspace_id
           WHERE h.sequence > 0 AND {chosen}
           ORDER BY workspace, h.workspace_id""",
        **chosen.values,
    )
    return [build(WorkspaceHead, r, head=build(Head, r)) for r in found]


def list_lines(c: Connection, workspace: UUID, first: int, last: int) -> list[str]:
    """Return the lines of receipts ``first`` to ``last``, both inclusive."""
    sql = """SELECT line FROM receipts WHERE workspace_id = :w AND sequence BETWEEN :first AND :last
             ORDER BY sequence"""
    return read_column(c, sql, w=workspace, first=first, last=last)


def find_first_since(c: Connection, workspace: UUID, head: Head, instant: datetime) -> int:
    """Return the sequence of the first receipt issued at this time or later; the head's plus one when there is none.

    By bisection: sequence numbers have no gaps, and times never decrease.
    """

    def issued_at(sequence: int) -> datetime:
        sql = "SELECT issued_at FROM receipts WHERE workspace_id = :w AND sequence = :s"
        return find_value(c, datetime, sql, w=workspace, s=sequence) or datetime.max.replace(tzinfo=UTC)

    return 1 + bisect_left(range(1, head.sequence + 1), instant, key=issued_at)
