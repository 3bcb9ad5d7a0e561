"""Claims of checks: the next due one, shared fairly between workspaces and hosts; and rechecks of scheduled media.

What a workspace or host may have under way is counted by the process that claims (``limits/shared_slots.py``), for
its own slots only: a quarter of the slots of each process is a quarter of them all. How many files a host is asked for
at once is counted over all workers (``checks.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import MediaKind
from pipeline.domain.shares import Shares
from pipeline.store.checks.checks import COLUMNS, Check, list_full_hosts
from pipeline.store.database import build, execute, read_all, row
from pipeline.store.posts.pins import PINS
from pipeline.store.selection import walk_workspaces

CANDIDATES = 8
"""Checks that are considered, so that several processes that claim at once find one each."""

DEPTH, DEEP = 200, 5_000
"""Due checks of a workspace that are read to find one whose host is not full; DEEP: behind checks of hosts that have
all their slots taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedCheck:
    """A check under lease, and the workspace and host that it counts for. ``host`` of a music link: empty."""

    check: Check
    workspace_id: UUID
    host: str

    @property
    def slow(self) -> bool:
        """Return whether it needs more time than a first try gets."""
        return self.check.slow


@dataclass(frozen=True, kw_only=True, slots=True)
class HostLimit:
    """How many checks of a host may be under way over all workers, and how long one holds its slot at most."""

    slots: int
    hold: timedelta


_NAME = "substring(lower(url) from '//(?:[^/?#]*@)?([^/?#]*)')"
_HOST = f"CASE WHEN purpose = 'music' THEN '' ELSE coalesce(regexp_replace({_NAME}, '[.]?([:]443)?$', ''), '') END"
_IS_DUE = "verdict IS NULL AND next_at <= now() AND (lease_until IS NULL OR lease_until < now())"

_CLAIM = f"""
WITH RECURSIVE {walk_workspaces("checks", "verdict IS NULL")}, candidates AS (
    SELECT x.id, x.due_at, x.host, coalesce(r.n, 0) AS running,
           (SELECT count(*) FROM host_slots h WHERE h.host = x.host AND h.workspace_id = w.workspace_id) AS held,
           CASE WHEN x.is_full OR coalesce(r.n, 0) >= :share THEN 2 WHEN r.n IS NULL THEN 0 ELSE 1 END AS turn
    FROM w
    LEFT JOIN unnest(CAST(:workspaces AS uuid[]), CAST(:counts AS int[])) AS r (workspace_id, n)
      ON r.workspace_id = w.workspace_id
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(host), '{{}}') AS hosts
        FROM unnest(CAST(:closed_hosts AS text[]), CAST(:closed_workspaces AS uuid[])) AS f (host, workspace_id)
        WHERE f.workspace_id IS NULL OR f.workspace_id = w.workspace_id
    ) closed
    CROSS JOIN LATERAL (
        SELECT id, due_at, host, host = ANY(CAST(:full_hosts AS text[])) AS is_full
        FROM (SELECT id, due_at, {_HOST} AS host FROM checks
              WHERE workspace_id = w.workspace_id AND slow = :slow AND {_IS_DUE} ORDER BY due_at LIMIT :depth) first
        WHERE host <> ALL(closed.hosts)
        ORDER BY is_full, due_at LIMIT {CANDIDATES}
    ) x
    WHERE r.n IS NULL OR NOT :only_new
), picked AS (
    SELECT k.id, k.workspace_id, c.host, c.host <> ALL(CAST(:free_hosts AS text[])) AS needs_slot
    FROM candidates c JOIN checks k ON k.id = c.id
    WHERE {_IS_DUE} AND (c.turn = 0 OR NOT :only_new)
    ORDER BY c.turn, CASE WHEN c.turn = 2 THEN c.running END, c.held, c.due_at, k.id
    LIMIT 1 FOR UPDATE OF k SKIP LOCKED
), taken AS (
    INSERT INTO host_slots (host, slot, workspace_id, check_id, held_until)
    SELECT host, n, workspace_id, id, now() + :hold FROM picked, LATERAL (
        SELECT n FROM generate_series(1, :host_slots) n
        WHERE NOT EXISTS (SELECT FROM host_slots h WHERE h.host = picked.host AND h.slot = n)
        ORDER BY n LIMIT 1) free
    WHERE needs_slot AND (SELECT count(*) FILTER (WHERE h.workspace_id = picked.workspace_id) + count(*)
                          FROM host_slots h WHERE h.host = picked.host) < :host_slots
    ON CONFLICT DO NOTHING RETURNING check_id
), claimed AS (
    UPDATE checks k SET lease_until = now() + :lease, tries = tries + 1 FROM picked
    WHERE k.id = picked.id AND (NOT needs_slot OR EXISTS (SELECT FROM taken))
    RETURNING {", ".join(f"k.{name}" for name in COLUMNS.split(", "))}, k.workspace_id
)
SELECT claimed.*, picked.host FROM picked LEFT JOIN claimed ON true
"""


def claim_next_check(
    c: Connection, lease: timedelta, shares: Shares, hosts: HostLimit, *, slow: bool
) -> ClaimedCheck | None:
    """Claim the undecided check that is due next, or return None if there is none for these shares.

    Workspaces with nothing under way come first, then workspaces below their share, last workspaces that have it, with
    the fewest under way first. Among equals, the one with the fewest slots of the host over all workers comes first: a
    backlog of one workspace keeps no other from a host that both use. Then the order is that of due times. Checks of
    hosts without a free slot, or where the workspace has its share, are passed over. Claims at the same time take the
    same slot, the lowest free one, so that only one of them counts what there was before it.
    """
    while True:
        closed = list_full_hosts(c, hosts.slots)
        values = {
            "lease": lease,
            "slow": slow,
            "workspaces": list(shares.running),
            "counts": list(shares.running.values()),
            "full_hosts": list(shares.full_hosts),
            "closed_hosts": [host for host, _ in closed],
            "closed_workspaces": [workspace for _, workspace in closed],
            "free_hosts": list(shares.free_hosts),
            "share": shares.share,
            "only_new": shares.only_new,
            "hold": hosts.hold,
            "host_slots": hosts.slots,
        }
        found = row(c, _CLAIM, **values, depth=DEPTH)
        if found is None and closed:
            found = row(c, _CLAIM, **values, depth=DEEP)
        if found is None:
            return None
        if found.workspace_id is not None:  # else another claim took the slot, or the share of the workspace
            return build(ClaimedCheck, found, check=build(Check, found), host=found.host or "")


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaToRecheck:
    """One media URL of one post, with the size and ETag its check found."""

    post_id: UUID
    workspace_id: UUID
    url: str
    purpose: MediaKind
    bytes: int | None
    etag: str | None


def claim_rechecks(c: Connection, limit: int) -> list[MediaToRecheck]:
    """Claim the posts that come within a day, and again within 15 minutes, of their time: each is rechecked twice."""
    return read_all(
        c,
        MediaToRecheck,
        f"""WITH due AS (
               SELECT p.id FROM posts p
               WHERE p.status = 'scheduled' AND p.deleted_at IS NULL
                 AND ((p.due_at BETWEEN now() + interval '15 minutes' AND now() + interval '1 day'
                       AND p.created_at < p.due_at - interval '1 day' AND p.rechecked_at IS NULL)
                   OR (p.due_at BETWEEN now() AND now() + interval '15 minutes'
                       AND p.created_at < p.due_at - interval '20 minutes'
                       AND (p.rechecked_at IS NULL OR p.rechecked_at < p.due_at - interval '15 minutes')))
               ORDER BY p.due_at LIMIT :n FOR UPDATE SKIP LOCKED
           ), taken AS (
               UPDATE posts p SET rechecked_at = now() FROM due WHERE p.id = due.id RETURNING p.id, p.workspace_id
           )
           SELECT DISTINCT t.id AS post_id, t.workspace_id, k.url, k.purpose, (k.facts ->> 'bytes')::bigint AS bytes,
                  k.facts ->> 'etag' AS etag
           FROM taken t JOIN {PINS} pin ON pin.post_id = t.id JOIN checks k ON k.id = pin.check_id
           WHERE k.purpose <> 'music'""",
        n=limit,
    )


def record_warning(c: Connection, post: UUID, text: str) -> None:
    """Record a warning in the history of each of the post's deliveries."""
    sql = """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
             SELECT id, 'recheck', state, state, generation, fence, :why FROM post_deliveries WHERE post_id = :post"""
    execute(c, sql, post=post, why=text[:500])
