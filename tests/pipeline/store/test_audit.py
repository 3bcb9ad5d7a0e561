"""The audit table: rows are only ever added, read by keyset, and expire only where a setting says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pipeline.domain.audit import Actor
from pipeline.store.audit import (
    AuditFilter,
    AuditRow,
    build_query,
    delete_expired,
    list_changes,
    record_change,
)
from pipeline.store.database import new_id, row, rows
from tests.actors import TESTER
from tests.pipeline.store.ledger import Ledger
from tests.pipeline.store.plans import count_read

KEY = Actor(kind="key", name="slw_live_0", id=UUID(int=5), address="198.51.100.7", request_id="r-1")
EVERYTHING = AuditFilter()


def record(ledger: Ledger, actor: Actor | None = TESTER, subject: Any = "s", **more: Any) -> None:
    ledger.do(record_change, actor, "edit", "post", subject, **more)


def listed(ledger: Ledger, chosen: AuditFilter = EVERYTHING, limit: int = 100, **more: Any) -> list[AuditRow]:
    return ledger.do(list_changes, chosen, limit=limit, **more)


def grow_old(ledger: Ledger, number: int, age: timedelta, workspace: UUID | None = None) -> None:
    """Add rows of that age, as if they had been written then."""
    ledger.do(
        rows,
        """INSERT INTO audit (at, actor_kind, actor_name, verb, kind, subject, workspace_id, before, after)
           SELECT now() - CAST(:age AS interval), 'user', 'old', 'edit', 'post', 'old-' || n, :w, '{}', '{}'
           FROM generate_series(1, :number) n RETURNING id""",
        age=age,
        number=number,
        w=workspace,
    )


def test_a_row_says_who_from_where_what_before_and_after(ledger: Ledger) -> None:
    workspace, post, due = new_id(), new_id(), datetime(2027, 1, 1, tzinfo=UTC)
    record(
        ledger,
        KEY,
        post,
        workspace=workspace,
        before={"due": due, "caption": "a", "same": 1},
        after={"due": due + timedelta(hours=1), "caption": "b", "same": 1, "account": post},
    )
    [found] = listed(ledger)
    assert (found.actor_kind, found.actor_name, found.actor_id) == ("key", "slw_live_0", UUID(int=5))
    assert (found.address, found.request_id) == ("198.51.100.7", "r-1")
    assert (found.verb, found.kind, found.subject, found.workspace_id) == (
        "edit",
        "post",
        str(post),
        workspace,
    )
    assert found.before == {"caption": "a", "due": "2027-01-01T00:00:00Z"}
    assert found.after == {"account": str(post), "caption": "b", "due": "2027-01-01T01:00:00Z"}
    assert abs(found.at - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_change_that_is_rolled_back_leaves_no_row(ledger: Ledger) -> None:
    def change() -> None:
        with ledger.database.begin() as c:
            record_change(c, TESTER, "edit", "post", "s")
            row(c, "SELECT 1 / 0")

    with pytest.raises(DBAPIError, match="division by zero"):
        change()
    assert listed(ledger) == []


def test_a_worker_that_carries_out_what_was_recorded_adds_nothing(ledger: Ledger) -> None:
    record(ledger, None)
    assert listed(ledger) == []


@pytest.mark.parametrize("sql", ["UPDATE audit SET actor_name = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
def test_nothing_is_changed_or_removed(ledger: Ledger, sql: str) -> None:
    record(ledger)
    with pytest.raises(DBAPIError, match="only ever added"), ledger.database.begin() as c:
        row(c, sql)
    assert len(listed(ledger)) == 1


def test_rows_expire_at_the_age_that_is_given_and_no_others(ledger: Ledger) -> None:
    grow_old(ledger, 3, timedelta(days=31))
    grow_old(ledger, 1, timedelta(days=29))
    record(ledger)
    with ledger.database.begin() as c:
        assert delete_expired(c, timedelta(days=30), 2) == 2
        assert delete_expired(c, timedelta(days=30), 2) == 1
        assert delete_expired(c, timedelta(days=30), 2) == 0
    assert [one.actor_name for one in listed(ledger)] == ["old", "a test"]

    def delete_all() -> None:
        with ledger.database.begin() as c:
            delete_expired(c, timedelta(days=30), 2)
            row(c, "DELETE FROM audit RETURNING id")

    with pytest.raises(DBAPIError, match="only ever added"):
        delete_all()
    assert len(listed(ledger)) == 2, "the permission is of rows of that age, and of one transaction"


def test_pages_by_keyset_hold_each_row_once_in_both_directions(ledger: Ledger) -> None:
    grow_old(ledger, 5, timedelta(days=1))  # of one transaction: all of the same time
    record(ledger)
    for newest_first in (False, True):
        found: list[AuditRow] = []
        while page := listed(
            ledger,
            limit=2,
            after=(found[-1].at, found[-1].id) if found else None,
            newest_first=newest_first,
        ):
            found += page
        ids = [one.id for one in found]
        assert len(ids) == 6
        assert ids == sorted(ids, reverse=newest_first)


def test_filters(ledger: Ledger) -> None:
    workspace, post = new_id(), new_id()
    record(ledger, KEY, post, workspace=workspace)
    record(ledger, TESTER, "other")
    [first, second] = listed(ledger)
    for chosen, expected in (
        (AuditFilter(workspace=workspace), [first]),
        (AuditFilter(actor="slw_live_0"), [first]),
        (AuditFilter(actor=str(UUID(int=5))), [first]),
        (AuditFilter(actor="a test"), [second]),
        (AuditFilter(subject=str(post)), [first]),
        (AuditFilter(since=second.at), [second]),
        (AuditFilter(until=second.at), [first]),
        (AuditFilter(workspace=workspace, actor="a test"), []),
    ):
        assert listed(ledger, chosen) == expected, chosen


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_page_reads_no_more_rows_than_it_has(ledger: Ledger, *, newest_first: bool) -> None:
    workspace = new_id()
    for hours in range(1, 6):
        grow_old(ledger, 400, timedelta(hours=hours), new_id())
        grow_old(ledger, 4, timedelta(hours=hours), workspace)
    with ledger.database.once() as c:
        c.execute(text("ANALYZE audit"))
    middle = (datetime.now(UTC) - timedelta(hours=3), 0)
    for chosen in (
        EVERYTHING,
        AuditFilter(since=datetime.now(UTC) - timedelta(hours=2)),
        AuditFilter(workspace=workspace),
        AuditFilter(subject="old-4"),
    ):
        for after in (None, middle):
            sql, values = build_query(chosen, 5, after, newest_first=newest_first)
            assert count_read(ledger, sql, **values) <= 5, (chosen, after)
