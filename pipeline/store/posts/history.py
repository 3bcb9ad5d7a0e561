"""The history of a post beside the audit rows of its own: what jobs did to it, where it came from, and names.

A steering job is one audit row for all of its posts. Its receipts say which posts it acted on, and the rewrites which
time each had before. What else rewrote the post (an import that updates it) is known by the rewrite alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.audit import AuditRow
from pipeline.store.database import build, require_row, rows

MOST_ROWS = 20_000
"""Rows of an import among which that of a post is looked for."""
OTHERS = "others"
"""The name of the actor of a change that is known by the rewrite of the post alone."""

_SHARED = """
WITH edits AS MATERIALIZED (
    SELECT until, due_at AS earlier,
           coalesce(lag(due_at) OVER (ORDER BY until DESC), (SELECT due_at FROM posts WHERE id = :post)) AS later
    FROM (SELECT until, due_at FROM rewrites WHERE post_id = :post ORDER BY until DESC LIMIT :n) w
), turns AS (
    SELECT job_id, max(settled_at) AS at, jsonb_object_agg(delivery_id, outcome) AS deliveries FROM steering_receipts
    WHERE post_id = :post AND outcome = 'done' AND settled_at IS NOT NULL GROUP BY job_id ORDER BY 2 DESC LIMIT :n
), jobs AS MATERIALIZED (  -- a dead letter has an audit row of its own
    SELECT a.id, t.at, a.actor_kind, a.actor_name, a.actor_id, a.address, a.request_id, a.verb, a.workspace_id,
           e.until, e.earlier, e.later, t.deliveries, a.after #>> '{arguments,why}' AS why, j.posts
    FROM turns t JOIN steering_jobs j ON j.id = t.job_id
    CROSS JOIN LATERAL (SELECT * FROM audit WHERE subject = CAST(t.job_id AS text) AND kind = 'steering job'
                        AND verb NOT IN ('stop', 'replay', 'discard') ORDER BY at, id LIMIT 1) a
    LEFT JOIN LATERAL (SELECT * FROM edits WHERE until <= t.at AND (
                           a.verb = 'reschedule' OR a.after ->> 'undone' IN ('reschedule', 'cancel'))
                       ORDER BY until DESC LIMIT 1) e ON true
)
SELECT id, at, actor_kind, actor_name, actor_id, address, request_id,
       CASE verb WHEN 'reschedule' THEN 'edit' ELSE verb END AS verb, workspace_id,
       jsonb_build_object('scheduled_at', earlier) AS before,
       jsonb_build_object('scheduled_at', later, 'posts', posts, 'why', why,
                          'deliveries', CASE WHEN verb NOT IN ('reschedule', 'undo') THEN deliveries END) AS after
FROM jobs
UNION ALL
SELECT 0, until, 'system', :others, NULL, NULL, NULL, 'edit', NULL,
       jsonb_build_object('scheduled_at', earlier), jsonb_build_object('scheduled_at', later)
FROM edits e WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.until = e.until) AND NOT EXISTS (
    SELECT FROM audit WHERE subject = CAST(:post AS text) AND kind = 'post' AND verb IN ('edit', 'undo')
      AND at BETWEEN e.until - interval '1 minute' AND e.until)
"""


def list_shared_changes(c: Connection, post: UUID, limit: int) -> list[AuditRow]:
    """Return what was done to a post together with others, up to *limit* of each kind, as if it were its own rows."""
    found = rows(c, _SHARED, post=post, n=limit, others=OTHERS)
    return [build(AuditRow, r, kind="post", subject=str(post)) for r in found]


@dataclass(frozen=True, kw_only=True, slots=True)
class PostOrigin:
    """Where a post came from: a key, or a file and its row; neither: a page or the command line."""

    key: str | None
    import_id: UUID | None
    file: str | None
    row: int | None


def find_origin(c: Connection, post: UUID) -> PostOrigin:
    """Return where a post came from. Raises LookupError."""
    found = require_row(
        c,
        f"There is no post {post}.",
        """SELECT k.name AS key, p.import_id, i.name AS file, (
               SELECT number FROM import_rows r
               WHERE r.import_id = i.id AND r.post_id = p.id AND i.rows <= :most LIMIT 1) AS row
           FROM posts p LEFT JOIN keys k ON k.id = p.key_id LEFT JOIN imports i ON i.id = p.import_id
           WHERE p.id = :post""",
        post=post,
        most=MOST_ROWS,
    )
    return build(PostOrigin, found)


_NAMED: Mapping[str, str] = {
    "posts": "CASE WHEN deleted_at IS NULL THEN left(caption, 200) END",
    "deliveries": "platform",
    "accounts": "platform || ' ' || username",
    "imports": "name",
    "steering_jobs": "CAST(posts AS text)",
    "users": "login",
    "keys": "name",
}
"""Table -> what a row of it is called."""
_NAMES = " UNION ALL ".join(
    f"SELECT CAST(id AS text) AS id, {name} AS name FROM {table} WHERE id = ANY (CAST(:ids AS uuid[]))"
    for table, name in _NAMED.items()
)


def read_names(c: Connection, ids: Collection[UUID], keys: Collection[str]) -> dict[str, str]:
    """Return what things are called, by id as text: of a steering job how many posts it has. *keys*: public ids."""
    sql = f"{_NAMES} UNION ALL SELECT public_id, name FROM keys WHERE public_id = ANY (CAST(:keys AS text[]))"
    return {r.id: r.name for r in rows(c, sql, ids=list(ids), keys=list(keys)) if r.name is not None}
