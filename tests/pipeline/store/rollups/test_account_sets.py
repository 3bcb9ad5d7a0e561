"""Servers of the release before read totals by sets of accounts: the triggers keep them exact until the tables go."""
# ruff: noqa: S608  statements of this file are put together from its own parts; values are always bound

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from pipeline.store.database import Database, row, rows
from tests.pipeline.store.ledger import HOUR, Ledger, together
from tests.pipeline.store.upgraded_database import Upgraded

DAY = timedelta(days=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STATUSES = ("scheduled", "pending", "posted", "failed")

_TOTALS = """
SELECT workspace_id, accounts, at, status, sum(n) AS n FROM (
    SELECT workspace_id, accounts, starts_at AS at, status, n FROM account_set_deltas
    UNION ALL SELECT workspace_id, accounts, starts_at, status, n
    FROM account_set_spans s JOIN account_sets a ON a.id = s.set_id WHERE minutes = 10) x
GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0"""
_BY_ROWS = """
SELECT workspace_id, accounts, date_bin('10 minutes', created_at, timestamptz 'epoch') AS at, status, count(*) AS n
FROM posts p JOIN (SELECT post_id, array_agg(account_id ORDER BY account_id) AS accounts FROM deliveries
                   GROUP BY post_id) d ON d.post_id = p.id
WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4"""
_STORE = """
WITH made AS (
    INSERT INTO posts (id, workspace_id, caption, media, due_at, status, created_at)
    SELECT gen_random_uuid(), %(w)s, 'x', '{}', now() + %(due)s, %(status)s, at
    FROM unnest(%(times)s::timestamptz[]) AS at RETURNING *)
INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at, created_at)
SELECT gen_random_uuid(), made.id, workspace_id, a, 'tiktok', 'failed', due_at, due_at, created_at
FROM made, unnest(%(accounts)s::uuid[]) AS a"""
_ADD = """
INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at)
SELECT gen_random_uuid(), id, workspace_id, a, 'tiktok', 'failed', due_at, due_at
FROM (SELECT * FROM posts WHERE workspace_id = %(w)s ORDER BY id LIMIT %(n)s) p, unnest(%(accounts)s::uuid[]) AS a
WHERE NOT EXISTS (SELECT FROM deliveries WHERE post_id = p.id AND account_id = a)"""
_SOME = "WHERE id IN (SELECT id FROM posts WHERE workspace_id = %(w)s ORDER BY id LIMIT %(n)s)"
_CHANGES = (
    f"UPDATE posts SET deleted_at = now() {_SOME}",
    f"UPDATE posts SET deleted_at = NULL {_SOME}",
    f"""WITH p AS (UPDATE posts SET created_at = created_at + interval '61 minutes' {_SOME} RETURNING id)
        UPDATE deliveries SET created_at = created_at + interval '61 minutes' WHERE post_id IN (SELECT id FROM p)""",
    f"UPDATE posts SET due_at = now() {_SOME}",
    *(f"UPDATE posts SET status = '{status}' {_SOME}" for status in STATUSES),
)


def store(c: sa.Connection, workspace: UUID, accounts: list[UUID], status: str = "scheduled") -> None:
    times = [NOON + n * timedelta(minutes=40) for n in range(6)]
    values = {"w": workspace, "times": times, "accounts": accounts, "status": status, "due": DAY}
    c.exec_driver_sql(_STORE, values)


def change(c: sa.Connection, workspace: UUID, accounts: list[UUID]) -> None:
    """Every kind of change, each of a few posts; one adds accounts."""
    for n, sql in enumerate(_CHANGES):
        c.exec_driver_sql(sql, {"w": workspace, "n": 2 + n})
    c.exec_driver_sql(_ADD, {"w": workspace, "accounts": accounts, "n": 3})


def totals(c: sa.Connection, sql: str, workspace: UUID) -> set[tuple[Any, ...]]:
    found = rows(c, f"SELECT * FROM ({sql}) x WHERE workspace_id = :w", w=workspace)
    return {(tuple(r.accounts), r.at, r.status, int(r.n)) for r in found}


def test_an_edit_that_adds_accounts_while_the_post_moves_on_is_counted_once(shared: Ledger) -> None:
    """An edit locks the post, as ``actions.read`` does: settling waits for it, or the edit waits for settling."""
    workspace = shared.workspace()
    first, *more = [shared.account(workspace) for _ in range(9)]
    made = [shared.post([first], due=HOUR).id for _ in range(4)]
    done = threading.Event()

    def add() -> None:
        for account in more:
            for post in made:
                with shared.database.begin() as c:
                    row(c, "SELECT id FROM posts WHERE id = :id FOR UPDATE", id=post)
                    row(
                        c,
                        """INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at,
                                                   next_at)
                           SELECT gen_random_uuid(), id, workspace_id, :a, 'tiktok', 'failed', due_at, due_at
                           FROM posts WHERE id = :id RETURNING id""",
                        id=post,
                        a=account,
                    )

    def move() -> None:
        n = 0
        while not done.is_set():
            n += 1
            with shared.database.begin() as c:
                row(
                    c,
                    "UPDATE posts SET status = :s WHERE id = :id RETURNING id",
                    id=made[n % 4],
                    s=STATUSES[n % 3],
                )

    def added() -> None:
        add()
        done.set()

    together(added, move, move)
    with shared.database.begin() as c:
        assert totals(c, _TOTALS, workspace) == totals(c, _BY_ROWS, workspace)


def test_posts_of_before_the_migration_are_counted_once(empty_database_url: str) -> None:
    upgraded = Upgraded(empty_database_url, "0013")
    workspace, accounts = upgraded.workspace, [UUID(int=n + 1) for n in range(4)]
    with upgraded.engine.begin() as c:
        c.exec_driver_sql(
            """INSERT INTO accounts (id, workspace_id, platform, connection, remote_id, username, display_name,
                                     credentials)
               SELECT a, %(w)s, 'tiktok', 'creator', a::text, 'x', 'x', '' FROM unnest(%(a)s::uuid[]) AS a""",
            {"w": workspace, "a": accounts},
        )
        store(c, workspace, accounts[:1])
        store(c, workspace, [accounts[1], accounts[0]])
        change(c, workspace, accounts[1:3])
    upgraded.to("0014")
    with upgraded.engine.begin() as c:
        change(c, workspace, accounts[2:])
        store(c, workspace, accounts)
    with upgraded.engine.connect() as writer:  # its transaction is open while the rows are counted
        store(writer, workspace, accounts[:2])
        change(writer, workspace, accounts)
        upgraded.to("0015")
        writer.commit()
    upgraded.to("head")
    upgraded.engine.dispose()
    database = Database(empty_database_url)
    with database.begin() as c:
        change(c, workspace, accounts[1:])
        assert totals(c, _TOTALS, workspace) == totals(c, _BY_ROWS, workspace)
    database.close()
