"""The data of events: a post's deliveries around a move, and occurrences of accounts, imports and approvals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import SETTLED, Reason, State
from pipeline.domain.post import NO_TIME
from pipeline.domain.webhook import SCHEDULING
from pipeline.store.database import build, read_all, rows
from pipeline.store.moves import MoveFacts
from pipeline.store.posts.views import SCHEDULED_AT


@dataclass(frozen=True, kw_only=True, slots=True)
class EventDelivery:
    """The data of one delivery in an event, in addition to its state."""

    id: UUID
    account_id: UUID
    platform: str
    url: str | None
    delivered_as: str | None
    published_at: datetime | None
    state: State
    """The state when the event is made."""
    reason: Reason | None
    error: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EventPost:
    """The data of a post in an event, and all of its deliveries."""

    id: UUID
    external_id: str | None
    scheduled_at: datetime
    deliveries: Mapping[UUID, EventDelivery]

    @property
    def accounts(self) -> set[UUID]:
        """Every account that the post ever targeted."""
        return {d.account_id for d in self.deliveries.values()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """The moves of a post in one transaction: each delivery's state before and after them, and the movers."""

    before: Mapping[UUID, State]
    after: Mapping[UUID, State]
    movers: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Occurrence:
    """An occurrence of an account, an import or an approval. ``details``: of its row."""

    kind: str
    workspace_id: UUID
    subject: UUID
    state: str
    at: datetime
    key_id: UUID | None
    details: Mapping[str, Any]


_POSTS = f"""
SELECT i.id AS post_id, p.external_id, p.scheduled_at, d.id, d.account_id, d.platform, d.url, d.delivered_as,
       d.published_at, d.state, d.reason, d.error
FROM unnest(CAST(:ids AS uuid[])) AS i (id)
JOIN LATERAL (SELECT *, {SCHEDULED_AT} FROM posts p WHERE id = i.id LIMIT 1) p ON true
JOIN LATERAL (SELECT * FROM post_deliveries WHERE post_id = i.id OFFSET 0) d ON true ORDER BY d.id
"""


def read_event_posts(c: Connection, posts: Collection[UUID]) -> dict[UUID, EventPost]:
    """Return these posts with their deliveries."""
    found: dict[UUID, list[Any]] = defaultdict(list)
    for r in rows(c, _POSTS, ids=list(posts)):
        found[r.post_id].append(r)
    return {post: _to_post(some) for post, some in found.items()}


def _to_post(some: Sequence[Any]) -> EventPost:
    deliveries = {r.id: build(EventDelivery, r) for r in some}
    return build(EventPost, some[0], id=some[0].post_id, deliveries=deliveries)


_WORD = f"""SELECT target, target = '{State.CANCELLED}' AND e.generation IS NOT DISTINCT FROM d.removed_generation
           AS is_removed FROM moves e WHERE e.delivery_id = d.id"""
_TURNS = f"""
SELECT m.id AS move, d.id AS delivery, b.target AS before, b.is_removed AS was_removed, a.target AS after, a.is_removed,
       span.movers
FROM unnest(CAST(:moves AS bigint[]), CAST(:deliveries AS uuid[]), CAST(:posts AS uuid[]))
    AS m (id, delivery_id, post_id)
JOIN LATERAL (SELECT xmin AS transaction FROM moves o WHERE o.delivery_id = m.delivery_id AND o.id = m.id) own ON true
JOIN LATERAL (
    SELECT min(g.id) AS first, max(g.id) AS last, array_agg(DISTINCT g.mover) AS movers, max(g.id) FILTER (
               WHERE g.mover = ANY(CAST(:movers AS text[]))
                 OR g.target = ANY(CAST(:settled AS text[])) AND g.origin IS DISTINCT FROM g.target) AS turning
    FROM (SELECT id FROM post_deliveries WHERE post_id = m.post_id OFFSET 0) d
    CROSS JOIN LATERAL (SELECT * FROM moves WHERE delivery_id = d.id AND xmin = own.transaction OFFSET 0) g
) span ON span.turning = m.id
JOIN LATERAL (SELECT * FROM post_deliveries WHERE post_id = m.post_id OFFSET 0) d ON true
LEFT JOIN LATERAL ({_WORD} AND e.id < span.first ORDER BY e.id DESC LIMIT 1) b ON true
LEFT JOIN LATERAL ({_WORD} AND e.id <= span.last ORDER BY e.id DESC LIMIT 1) a ON true
"""
"""Only the last turning move of its transaction in its post has rows: one transaction changes a post's status once.

OFFSET 0 keeps each part an index lookup of its own, in whatever order the planner would join them.
"""


def is_turning(m: MoveFacts) -> bool:
    """Return True if the move may change the status of its post, or sends the post again."""
    return m.mover in SCHEDULING or (m.changes_state and m.target in SETTLED)


def read_turns(c: Connection, moves: Sequence[MoveFacts]) -> dict[int, Turn]:
    """Return the turns that the turning ones of these moves end, by the id of the move.

    Accounts that an edit removed are left out.
    """
    turning = [m for m in moves if is_turning(m)]
    found: dict[int, list[Any]] = defaultdict(list)
    for r in rows(
        c,
        _TURNS,
        moves=[m.id for m in turning],
        deliveries=[m.delivery_id for m in turning],
        posts=[m.post_id for m in turning],
        movers=list(SCHEDULING),
        settled=list(SETTLED),
    ):
        found[r.move].append(r)
    return {
        move: Turn(
            before={r.delivery: State(r.before) for r in some if r.before and not r.was_removed},
            after={r.delivery: State(r.after) for r in some if r.after and not r.is_removed},
            movers=frozenset(some[0].movers),
        )
        for move, some in found.items()
    }


def read_earlier_holds(c: Connection, moves: Sequence[MoveFacts]) -> dict[int, str]:
    """Return what held the delivery of each move that is a hold, when a worker last had it before; by the move's id."""
    moves = [m for m in moves if m.held_for is not None]
    found = rows(
        c,
        """SELECT m.id, substring(e.why FROM '^held: ([a-z_]+)$') AS held_for
           FROM unnest(CAST(:moves AS bigint[]), CAST(:deliveries AS uuid[])) AS m (id, delivery_id)
           JOIN LATERAL (SELECT why FROM moves e WHERE e.delivery_id = m.delivery_id AND e.id < m.id
                           AND e.origin = 'publishing' ORDER BY e.id DESC LIMIT 1) e ON true""",
        moves=[m.id for m in moves],
        deliveries=[m.delivery_id for m in moves],
    )
    return {r.id: r.held_for for r in found if r.held_for is not None}


def take_occurrences(c: Connection, limit: int) -> list[Occurrence]:
    """Delete and return occurrences, the oldest first."""
    return read_all(
        c,
        Occurrence,
        f"""WITH taken AS (
               DELETE FROM occurrences WHERE n IN (SELECT n FROM occurrences ORDER BY n LIMIT :limit) RETURNING *)
           SELECT t.kind, t.workspace_id, t.subject, t.state, t.at, i.key_id, jsonb_build_object(
                      'platform', a.platform, 'username', a.username, 'error', a.error, 'name', i.name, 'rows', i.rows,
                      'accepted', i.accepted, 'duplicate', i.duplicate, 'rejected', i.rejected, 'result', i.result,
                      'external_id', p.external_id, 'scheduled_at', nullif(p.due_at, '{NO_TIME}'),
                      'accounts', p.accounts) AS details
           FROM taken t LEFT JOIN accounts a ON a.id = t.subject LEFT JOIN imports i ON i.id = t.subject
           LEFT JOIN LATERAL (
               SELECT external_id, due_at,
                      ARRAY(SELECT account_id FROM post_deliveries WHERE post_id = o.id) AS accounts
               FROM posts o WHERE o.id = t.subject) p ON true
           ORDER BY t.n""",
        limit=limit,
    )
