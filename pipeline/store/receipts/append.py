"""Receipts: finding moves that have none yet, and adding them to their workspaces' chains. Never while publishing.

Ids of moves are given before their transactions end, so the highest one that is seen proves nothing of smaller ones.
What can still turn up is known from who holds a lock for writing on ``moves``: it is taken before the id, and kept to
the end. Until all who held it when an id was seen are gone, everything from the last proven id on is looked at again;
nothing waits for them, and nothing is passed over. (The sequence of the ids must not be cached by session: it is not.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.receipt import Head, content_sha256, issue
from pipeline.store.database import row, rows

_LAST_WORD = "(m.target IN ('published', 'failed', 'cancelled') OR m.mover = 'decide')"
"""Of the moves ``m`` those that may need a receipt: the condition of the index ``moves_last_word``."""

_PROGRESS = "SELECT done, proven, seen, writers FROM receipt_progress FOR UPDATE SKIP LOCKED"
_SEEN = f"SELECT coalesce(max(m.id), 0) AS id FROM moves m WHERE {_LAST_WORD}"
_WRITERS = """
SELECT DISTINCT virtualtransaction AS id FROM pg_locks
WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation = CAST('moves' AS regclass) AND mode = 'RowExclusiveLock' AND granted
"""

# LATERAL and LIMIT, and a value instead of NOT EXISTS: a plan made while the tables were small would read them whole
# when they have grown
_WITHOUT = f"""
WITH picked AS MATERIALIZED (
    SELECT m.* FROM moves m
    WHERE m.id > :done AND {_LAST_WORD}
      AND (m.origin IS DISTINCT FROM m.target OR m.mover = 'urls')  -- else nothing was said anew
      AND (SELECT r.move_id FROM receipts r WHERE r.move_id = m.id) IS NULL
    ORDER BY m.id LIMIT :n
)
SELECT m.id AS move_id, d.workspace_id, m.target, m.mover, m.at, m.delivery_id, d.post_id, d.account_id, d.platform,
       a.remote_id AS account_remote_id, d.remote_id, d.url, d.delivered_as, d.published_at, tried.attempts,
       tried.armed_at, coalesce(before.due_at, p.due_at) AS due_at, before.content_sha256, p.caption, p.media,
       CASE WHEN (d.state, d.generation) = (m.target, m.generation) THEN d.error ->> 'code' ELSE tried.code END AS code
FROM picked m
LEFT JOIN LATERAL (SELECT * FROM deliveries WHERE id = m.delivery_id LIMIT 1) d ON true
LEFT JOIN LATERAL (SELECT * FROM posts WHERE id = d.post_id LIMIT 1) p ON true
LEFT JOIN LATERAL (SELECT * FROM accounts WHERE id = d.account_id LIMIT 1) a ON true
LEFT JOIN LATERAL (  -- the last attempt by then; of what was proven late, the one that proof was found of
    SELECT t.armed_at, CASE WHEN t.outcome = 'failed' THEN t.error ->> 'code' END AS code,
           count(*) OVER () AS attempts
    FROM attempts t WHERE t.delivery_id = d.id AND t.fence <= m.fence
    ORDER BY coalesce(m.target = 'published'
                      AND t.late @> jsonb_build_array(jsonb_build_object('remote_id', d.remote_id)), false) DESC,
             t.n DESC LIMIT 1
) tried ON true
LEFT JOIN LATERAL (  -- what the post said then, if it was edited since; of what is live: when it was armed
    SELECT w.content_sha256, w.due_at FROM rewrites w
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
_ADD = """
INSERT INTO receipts (workspace_id, sequence, move_id, issued_at, line)
SELECT * FROM unnest(CAST(:w AS uuid[]), CAST(:s AS bigint[]), CAST(:m AS bigint[]), CAST(:at AS timestamptz[]),
                     CAST(:lines AS text[]))
RETURNING sequence
"""
_GROW = """
UPDATE receipt_heads h SET sequence = x.s, hash = x.hash, issued_at = x.at
FROM unnest(CAST(:w AS uuid[]), CAST(:s AS bigint[]), CAST(:h AS text[]), CAST(:at AS timestamptz[]))
     AS x (w, s, hash, at) WHERE h.workspace_id = x.w RETURNING h.sequence
"""


@dataclass(kw_only=True, slots=True)
class _Chain:
    """The end of one workspace's chain, held under its row's lock."""

    head: Head | None
    issued_at: datetime
    """Of what is added now: a clock that was set back does not set the chain back."""


def add_receipts(c: Connection, limit: int) -> int:
    """Adds up to ``limit`` receipts; how many. Zero while somebody else does it: the two would find the same moves."""
    progress = row(c, _PROGRESS)
    if progress is None:
        return 0
    watched = _watched(c, progress)
    found = rows(c, _WITHOUT, done=progress.done, n=limit)  # sees all who were gone when the locks were read
    _add(c, [r for r in found if r.workspace_id is not None])
    done = watched["proven"] if len(found) < limit else min(watched["proven"], found[-1].move_id)
    row(
        c,
        """UPDATE receipt_progress SET done = :done, proven = :proven, seen = :seen, writers = :writers
           RETURNING done""",
        done=done,
        **watched,
    )
    return len(found)


def _watched(c: Connection, before: Any) -> Mapping[str, Any]:
    """How far nothing can turn up any more, and whom to wait for to know it of more."""
    # in this order: whoever holds a smaller id than the one that is seen holds its lock already
    seen = row(c, _SEEN)
    writers = [r.id for r in rows(c, _WRITERS)]
    highest: int = 0 if seen is None else seen.id
    if not writers:
        return {"proven": highest, "seen": highest, "writers": []}
    if set(before.writers).isdisjoint(writers):
        return {"proven": before.seen, "seen": highest, "writers": writers}
    return {"proven": before.proven, "seen": before.seen, "writers": before.writers}


def _add(c: Connection, found: Sequence[Any]) -> None:
    chains = _chains(c, {r.workspace_id for r in found})
    lines = []
    for r in found:
        chain = chains[r.workspace_id]
        line, chain.head = issue(r.workspace_id, chain.head, {"issued_at": chain.issued_at, **_facts(r)})
        lines.append((r.workspace_id, chain.head.sequence, r.move_id, chain.issued_at, line))
    if not lines:
        return
    w, s, m, at, text = (list(column) for column in zip(*lines, strict=True))
    rows(c, _ADD, w=w, s=s, m=m, at=at, lines=text)
    ends = [(w, x.head.sequence, x.head.hash, x.issued_at) for w, x in chains.items() if x.head]
    w, s, h, at = (list(column) for column in zip(*ends, strict=True))
    rows(c, _GROW, w=w, s=s, h=h, at=at)


def _chains(c: Connection, workspaces: Iterable[UUID]) -> dict[UUID, _Chain]:
    ids = sorted(workspaces)
    rows(
        c,
        """INSERT INTO receipt_heads (workspace_id) SELECT unnest(CAST(:ids AS uuid[])) ON CONFLICT DO NOTHING
           RETURNING workspace_id""",
        ids=ids,
    )
    return {
        r.workspace_id: _Chain(
            head=Head(sequence=r.sequence, hash=r.hash) if r.sequence else None,
            issued_at=r.issued_at,
        )
        for r in rows(c, _HEADS, ids=ids)
    }


def _facts(r: Any) -> Mapping[str, Any]:
    live = r.target == "published"
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
        "error_code": r.code if r.target == "failed" else None,
    }


_OUTCOMES = frozenset({"published", "failed", "cancelled"})
