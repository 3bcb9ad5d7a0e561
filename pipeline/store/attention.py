"""Matters that need an operator, in all workspaces or in some.

Each statement reads an index, and a bounded number of its rows. Some workspaces have no index of their own here. Theirs
are looked for among more rows, so that rows that others left do not hide them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.attention import ENDING, HELD, NOTICES, OVERDUE, Kind, Matter
from pipeline.domain.hold import INTENDED, LIMITS, Hold
from pipeline.domain.level import LEVEL
from pipeline.domain.post import IMMEDIATE
from pipeline.store.accounts.grants import GRANT_ENDS_AT
from pipeline.store.canaries import WORKER_LEVEL
from pipeline.store.database import rows
from pipeline.store.deliveries.holds import HELD_FOR, LATE_SINCE, quote
from pipeline.store.deliveries.selection import DISCARDED
from pipeline.store.health import CHECK_SECONDS, read_within

CAP = 10_000
"""Rows that one statement reads; beyond it a count says that there may be more."""
WIDE = 30_000
"""The same if only rows of some workspaces count."""
ROWS, POSTS, NEWEST = 50, 1000, 2000
"""Matters of one kind that are listed by account; posts that are counted for each account to reconnect, twice; failed
deliveries that are counted."""

_FULL = "(SELECT count(*) FROM sample) = :cap"
_CAPPED = f"{_FULL} AS is_capped"
_OWN, _OF_ACCOUNT = "{own}", "{own_account}"
"""Conditions on the workspace of ``d`` and of ``a``, filled in when the statement is executed."""
_WITHIN = "{of}.workspace_id = ANY (CAST(:within AS uuid[]))"
_ACCOUNT, _MORE, _MOST, _UNLISTED, _OF_ONE = "{account}", "{more}", "{most}", "{unlisted}", "{of_one}"
_BY_ACCOUNT: Mapping[str, str] = {
    "account": ", d.account_id",
    "more": """, (array_agg(d.post_id ORDER BY d.due_at))[:2] AS posts, max(d.error ->> 'platform_message') AS words,
        max(d.error ->> 'message') AS message, max(d.error ->> 'fault') AS fault""",
    "most": f" LIMIT {ROWS}",
    "unlisted": """ AND (d.reason <> 'reconnect' OR NOT EXISTS (
        SELECT FROM accounts a WHERE a.id = d.account_id AND a.status = 'reconnect'))""",
    "of_one": """,
       CASE WHEN count(DISTINCT account_id) = 1 THEN CAST(min(account_id::text) AS uuid) END AS account_id""",
}
"""What is added to the statements to list their matters by account; late ones have it only if it is a single one."""

_BLOCKED = f"""
WITH sample AS MATERIALIZED (
    SELECT d.id, d.generation, d.workspace_id, d.account_id, d.post_id, d.due_at, d.platform, d.reason, d.error,
           d.updated_at FROM post_deliveries d
    WHERE d.state = 'blocked' ORDER BY d.account_id LIMIT :cap
)
SELECT platform, reason, error ->> 'class' AS error_class, error ->> 'code' AS code, count(*) AS count,
       min(updated_at) AS oldest, {_CAPPED}{_ACCOUNT}{_MORE}
FROM sample d WHERE {_OWN} AND NOT {DISCARDED}{_UNLISTED}
GROUP BY 1, 2, 3, 4{_ACCOUNT} ORDER BY 5 DESC, 1, 2, 3, 4{_ACCOUNT}{_MOST}
"""
_DEAD_LETTERS = f"""
WITH walked AS MATERIALIZED (
    SELECT d.id, d.generation, d.post_id, d.workspace_id, d.account_id, d.due_at, d.state, d.platform, d.error,
           d.updated_at FROM post_deliveries d
    WHERE d.state IN ('failed', 'blocked') ORDER BY d.id DESC LIMIT :walk
), sample AS MATERIALIZED (SELECT * FROM walked d WHERE d.state = 'failed' AND {_OWN} LIMIT :cap)
SELECT platform, error ->> 'class' AS error_class, error ->> 'code' AS code, count(*) AS count,
       min(d.updated_at) AS oldest, {_FULL} OR (SELECT count(*) FROM walked) = :walk AS is_capped{_ACCOUNT}{_MORE}
FROM sample d JOIN posts p ON p.id = d.post_id
WHERE p.deleted_at IS NULL AND NOT {DISCARDED}
GROUP BY 1, 2, 3{_ACCOUNT} ORDER BY 4 DESC, 1, 2, 3{_ACCOUNT}{_MOST}
"""
"""The newest: the oldest may be many that were left, and a new cause must not hide behind them."""
_UNKNOWN = f"""
WITH sample AS MATERIALIZED (
    SELECT d.workspace_id, d.account_id, d.post_id, d.due_at, d.platform, d.state, d.error, d.armed_at
    FROM post_deliveries d
    WHERE d.state IN ('preparing', 'processing', 'unknown') ORDER BY d.next_at LIMIT :cap
)
SELECT platform, count(*) AS count, min(armed_at) AS oldest, {_CAPPED}{_ACCOUNT}{_MORE}
FROM sample d WHERE state = 'unknown' AND {_OWN} GROUP BY 1{_ACCOUNT} ORDER BY 2 DESC, 1{_ACCOUNT}{_MOST}
"""
_RECONNECT = f"""
WITH sample AS MATERIALIZED (
    SELECT a.id, a.platform FROM accounts a WHERE a.status = 'reconnect' AND {_OF_ACCOUNT} LIMIT :cap
)
SELECT a.platform, count(*) AS count, min(w.since) AS oldest, {_CAPPED}
FROM sample a LEFT JOIN LATERAL (
    SELECT min(d.updated_at) AS since FROM (
        SELECT updated_at FROM post_deliveries WHERE account_id = a.id AND state = 'blocked' LIMIT 100) d) w ON true
GROUP BY 1 ORDER BY 2 DESC, 1
"""
_WITHDRAWN = f"""
WITH sample AS MATERIALIZED (
    SELECT a.id, a.platform FROM accounts a WHERE a.status = 'reconnect' AND {_OF_ACCOUNT} LIMIT :rows
)
SELECT a.platform, a.id AS account_id, w.* FROM sample a CROSS JOIN LATERAL (
    SELECT count(*) AS count, count(*) >= :most AS is_capped, min(due_at) AS due_at, min(since) AS oldest,
           min(due_at) FILTER (WHERE due_at > now()) AS next_due,
           coalesce((array_agg(post_id ORDER BY due_at))[:2], ARRAY[]::uuid[]) AS posts
    FROM (
        (SELECT due_at, post_id, updated_at AS since FROM post_deliveries
         WHERE account_id = a.id AND state = 'blocked' AND reason = 'reconnect' LIMIT :most)
        UNION ALL
        (SELECT due_at, post_id, NULL FROM post_deliveries
         WHERE account_id = a.id AND state IN ('accepted', 'scheduled', 'retrying') ORDER BY due_at LIMIT :most)) d) w
ORDER BY w.due_at, a.id
"""
"""Accounts to reconnect, and the posts that wait for each: ones that are blocked for it, and ones whose time comes."""
_LATE_COLUMNS = f"""d.platform, d.workspace_id, d.account_id, d.state, d.held_for, d.level, d.due_at, d.next_at,
    {LATE_SINCE} AS since,
    (SELECT h.delivery_id FROM paused_deliveries h WHERE h.delivery_id = d.id) AS delivery_id,
    (SELECT v.post_id FROM approvals v WHERE v.post_id = d.post_id AND v.digest IS NULL) AS post_id"""
"""The ids only of a delivery that is paused by itself, and of a post that waits for an approval: the others of an
account are counted together."""
_DUE = f"""d.due_at <= now() - CAST(:overdue AS interval) AND d.armed_at IS NULL
    AND (d.due_at > now() - CAST(:held AS interval) AND d.next_at > now() AND d.held_for IN ({quote(LIMITS)}))
        IS NOT TRUE"""
"""Without deliveries that a limit holds for less than a day: they are not listed and may be more than the sample."""
_LATE = f"""
WITH sample AS MATERIALIZED (
    (SELECT late.* FROM accounts a CROSS JOIN LATERAL (
         SELECT {_LATE_COLUMNS} FROM post_deliveries d
         WHERE d.account_id = a.id AND d.state IN ('accepted', 'scheduled', 'retrying') AND {_DUE}
         ORDER BY d.due_at LIMIT :cap) late
     WHERE {_OF_ACCOUNT} LIMIT :cap)
    UNION ALL
    (SELECT {_LATE_COLUMNS} FROM post_deliveries d WHERE d.state IN ('queued', 'publishing') AND {_DUE} LIMIT :cap)
), held AS (
    SELECT d.*, {HELD_FOR} AS reason FROM (
        SELECT platform, workspace_id, account_id, state, held_for, level,
               since <= now() - CAST(:held AS interval) AS is_held, delivery_id AS id, post_id, min(due_at) AS due_at,
               min(next_at) AS next_at, min(since) AS since, count(*) AS count
        FROM sample d WHERE {_OWN} AND since <= now() - CAST(:overdue AS interval)
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, next_at > now(),
                 next_at <= now() - interval '{IMMEDIATE.total_seconds()} seconds'
    ) d
)
SELECT CASE WHEN is_held THEN '{Kind.HELD}' ELSE '{Kind.OVERDUE}' END AS kind, platform, state, reason,
       sum(count)::bigint AS count, min(since) AS oldest,
       (SELECT count(*) FROM sample) >= :cap AS is_capped{_OF_ONE}
FROM held WHERE reason IS NULL
   OR reason NOT IN ({quote(LIMITS | {Hold.APPROVAL})}) AND (is_held OR reason NOT IN ({quote(INTENDED)}))
GROUP BY is_held, 2, 3, 4 ORDER BY is_held DESC, 2, 3, 4
"""
"""Late as ``slipway_oldest_overdue_seconds`` counts it: since the time of a limit ended, and without intended delays.

Grouped before their holds are derived, which are the same for all of a group.
"""
_NEWER_WORKER = f"""
WITH sample AS MATERIALIZED (
    SELECT d.* FROM unnest(CAST(:platforms AS text[])) AS p (platform), LATERAL (
        SELECT * FROM post_deliveries WHERE platform = p.platform AND state IN ('scheduled', 'retrying')
        ORDER BY next_at LIMIT :cap) d
    WHERE {WORKER_LEVEL.format(of="p")} < :level
)
SELECT platform, count(*) AS count, min(created_at) AS oldest, {_CAPPED}
FROM sample d WHERE {HELD_FOR} = '{Hold.NEWER_WORKER}' AND {_OWN} GROUP BY 1 ORDER BY 2 DESC, 1
"""
"""Deliveries that are due the soonest, and only where workers are older than this code."""
_GRANTS = f"""
WITH sample AS MATERIALIZED (
    SELECT workspace_id, id AS account_id, platform, {GRANT_ENDS_AT} AS ends_at FROM accounts
    WHERE status = 'active' AND least(expires_at, refresh_expires_at) <= now() + CAST(:ending AS interval)
    ORDER BY least(expires_at, refresh_expires_at) LIMIT :cap
)
SELECT platform, count(*) AS count, min(ends_at) AS oldest, {_CAPPED}{_ACCOUNT}
FROM sample d WHERE ends_at <= now() + CAST(:ending AS interval) AND {_OWN}
GROUP BY 1{_ACCOUNT} ORDER BY 2 DESC, 3, 1{_ACCOUNT}{_MOST}
"""
_PAUSES = f"""
SELECT CASE WHEN is_lock THEN 'lock' ELSE scope END AS reason, count(*) AS count, min(since) AS oldest FROM pauses p
WHERE {{concerns}} GROUP BY 1
UNION ALL
SELECT 'delivery', count(*), min(h.since) FROM paused_deliveries h JOIN post_deliveries d ON d.id = h.delivery_id
WHERE d.state NOT IN ('published', 'cancelled') AND {_OWN} HAVING count(*) > 0 ORDER BY 1
"""
_APPROVALS = f"""
WITH sample AS MATERIALIZED (
    SELECT workspace_id, post_id, changed_at FROM approvals WHERE digest IS NULL LIMIT :cap
)
SELECT count(*) AS count, min(d.changed_at) AS oldest, {_CAPPED}
FROM sample d JOIN posts p ON p.id = d.post_id
WHERE p.deleted_at IS NULL AND p.status IN ('scheduled', 'pending', 'retry') AND {_OWN} HAVING count(*) > 0
"""
"""Posts that wait for an approval, without drafts."""
_CONCERNS = f"""(scope IN ('all', 'platform') OR scope = 'workspace' AND target = ANY (CAST(:within AS text[]))
    OR scope = 'account' AND EXISTS (
        SELECT FROM accounts a WHERE a.id::text = p.target AND {_WITHIN.format(of="a")}))"""
"""Pauses of everything and of a platform hold posts of every workspace."""
_WEBHOOKS = f"""
WITH sample AS MATERIALIZED (
    SELECT workspace_id, CASE WHEN form = 'event' THEN paused_why ELSE '{NOTICES}' END AS reason, paused_at
    FROM webhooks WHERE deleted_at IS NULL AND paused_at IS NOT NULL AND paused_why <> 'person' LIMIT :cap
)
SELECT reason, count(*) AS count, min(paused_at) AS oldest, {_CAPPED}
FROM sample d WHERE {_OWN} GROUP BY 1 ORDER BY 2 DESC, 1
"""
_DELETIONS = f"""
SELECT state AS reason, count(*) AS count, min(moved_at) AS oldest
FROM (SELECT id AS workspace_id, state, moved_at FROM deletions WHERE state IN ('closing', 'erasing', 'failed')) d
WHERE moved_at < now() - interval '1 hour' AND {_OWN} GROUP BY 1 ORDER BY 1
"""
_RESTORE = "SELECT held_why AS reason, held_at AS oldest FROM mark WHERE held_at IS NOT NULL"
_ALARMS = """SELECT kind AS reason, sum(n)::bigint AS count, min(first_at) AS oldest FROM alarms
             WHERE hour > now() - interval '1 day' GROUP BY 1 ORDER BY 2 DESC, 1"""
_SILENT_QUEUES = """SELECT queue AS reason, taken_at AS oldest FROM canaries
                    WHERE queue = ANY(CAST(:queues AS text[])) AND taken_at < now() - CAST(:silent AS interval)
                    ORDER BY taken_at"""


def read_matters(
    c: Connection,
    *,
    queues: Collection[str],
    silent: timedelta,
    within: Collection[UUID] | None = None,
    kinds: Collection[Kind] = tuple(Kind),
    by_account: bool = False,
) -> Iterator[Matter]:
    """Yield every matter that needs an operator as it is read, the most urgent kind first; inside a transaction.

    *silent*: how long nothing may have been taken from one of the *queues*. *within*: only what concerns these
    workspaces, which a restore, a silent queue, an alarm and a pause of everything or of a platform always do. A kind
    that takes longer than ``CHECK_SECONDS`` is named in a matter of its own. *by_account*: accounts and deliveries
    of each are listed one by one, ``ROWS`` of a kind; what is blocked for an account to reconnect counts as its.
    """
    ours: dict[str, Any] = {} if within is None else {"within": list(within)}
    wide = {**ours, "cap": CAP if within is None else WIDE}
    newest = {**ours, "cap": NEWEST, "walk": CAP} if by_account else {**ours, "cap": CAP, "walk": wide["cap"]}
    reads: Mapping[Kind, tuple[str, Mapping[str, Any]]] = {
        Kind.RESTORE: (_RESTORE, {}),
        Kind.SILENT_QUEUE: (_SILENT_QUEUES, {"queues": list(queues), "silent": silent}),
        Kind.NEWER_WORKER: (_NEWER_WORKER, {**wide, "platforms": list(Platform), "level": LEVEL}),
        Kind.ALARM: (_ALARMS, {}),
        Kind.UNKNOWN: (_UNKNOWN, wide),
        Kind.BLOCKED: (_BLOCKED, wide),
        Kind.RECONNECT: (_WITHDRAWN, {**ours, "rows": ROWS, "most": POSTS})
        if by_account
        else (_RECONNECT, {**ours, "cap": CAP}),
        Kind.PAUSED: (_PAUSES, ours),
        Kind.APPROVAL: (_APPROVALS, wide),
        Kind.OVERDUE: (_LATE, {**ours, "overdue": OVERDUE, "held": HELD, "cap": CAP}),  # and HELD
        Kind.DEAD_LETTERS: (_DEAD_LETTERS, newest),
        Kind.GRANT_ENDING: (_GRANTS, {**wide, "ending": ENDING}),
        Kind.WEBHOOK_PAUSED: (_WEBHOOKS, wide),
        Kind.DELETION: (_DELETIONS, ours),
    }
    for kind in (kind for kind in reads if kind in kinds):
        sql, values = reads[kind]
        yield from _read(c, kind, restrict(sql, within, by_account=by_account), values)


def restrict(sql: str, within: Collection[UUID] | None, *, by_account: bool = False) -> str:
    """Return a statement with the conditions on its workspaces; None: of all, so without."""
    conditions = {"own": _WITHIN.format(of="d"), "own_account": _WITHIN.format(of="a"), "concerns": _CONCERNS}
    chosen = conditions if within is not None else dict.fromkeys(conditions, "true")
    return sql.format_map({**(_BY_ACCOUNT if by_account else dict.fromkeys(_BY_ACCOUNT, "")), **chosen})


def _read(c: Connection, kind: Kind, sql: str, values: Mapping[str, Any]) -> Iterator[Matter]:
    found = read_within(c, lambda c: rows(c, sql, **values), timedelta(seconds=CHECK_SECONDS))
    if found is None:
        yield Matter(kind=Kind.UNREAD, reason=kind)
    for r in found or ():
        fields = {"kind": kind, **r._mapping}
        yield Matter(**{**fields, "kind": Kind(fields["kind"])})
