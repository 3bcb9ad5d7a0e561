"""A calendar gets the first posts of each span and the number of the others, and few rows are read for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from pipeline.domain.delivery import State
from pipeline.store.database import row
from pipeline.store.posts import calendar
from pipeline.store.posts.actions import hide_post
from pipeline.store.posts.calendar import FilledSpan, Span, list_due
from tests.pipeline.store.ledger import HOUR, Ledger
from tests.pipeline.store.plans import count_rows_read

DAY = timedelta(days=1)
MANY = 2000


@pytest.fixture(scope="module")
def start() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=30)


def days(start: datetime, number: int = 3) -> list[Span]:
    return [(start + n * DAY, start + (n + 1) * DAY) for n in range(number)]


def due(
    ledger: Ledger, workspace: UUID, spans: Sequence[Span], account: UUID | None = None, shown: int = 2
) -> list[FilledSpan]:
    with ledger.database.begin() as c:
        return list_due(c, workspace, account, spans, shown=shown)


def ids(filled: FilledSpan) -> list[UUID]:
    return [post.id for post in filled.posts]


def test_each_span_has_its_first_posts_and_the_number_of_the_others(shared: Ledger, start: datetime) -> None:
    workspace = shared.workspace()
    account, other = shared.account(workspace), shared.account(workspace)
    late = shared.post([account, other], due=HOUR * 5)
    early = shared.posts(3, [account], due=HOUR * 2)
    tomorrow = shared.post([other], State.FAILED, due=HOUR * 26)
    first, second, third = due(shared, workspace, days(start))
    assert (len(first.posts), first.others, first.has_more) == (2, 2, False)
    assert set(ids(first)) <= {post.id for post in early}
    assert (ids(second), second.others) == ([tomorrow.id], 0)
    assert (ids(third), third.others) == ([], 0)
    [mine, *_] = due(shared, workspace, days(start), account=other)
    assert (ids(mine), mine.others) == ([late.id], 0)
    [all_of_it] = due(shared, workspace, [(start, start + 3 * DAY)], shown=9)
    assert [post.due_at for post in all_of_it.posts] == sorted(post.due_at for post in all_of_it.posts)
    assert len(all_of_it.posts) == 5


def test_deleted_posts_and_those_of_another_workspace_are_not_there(shared: Ledger, start: datetime) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    gone = shared.post([account], due=HOUR)
    with shared.database.begin() as c:
        hide_post(c, gone.id)
    for whose in (None, account):
        assert ids(due(shared, workspace, days(start), account=whose)[0]) == []
    shared.post([account], due=HOUR)
    assert ids(due(shared, shared.workspace(), days(start), account=account)[0]) == []


def test_a_span_starts_with_its_start_and_ends_before_its_end(shared: Ledger) -> None:
    workspace = shared.workspace()
    post = shared.post([shared.account(workspace)], due=HOUR)
    with shared.database.begin() as c:
        found = row(c, "SELECT due_at FROM posts WHERE id = :id", id=post.id)
        assert found is not None
    at = found.due_at
    before, after = due(shared, workspace, [(at - HOUR, at), (at, at + HOUR)])
    assert (ids(before), ids(after)) == ([], [post.id])


def test_more_than_can_be_counted_is_said_to_be_more(
    shared: Ledger, start: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    shared.posts(9, [account], due=HOUR)
    shared.posts(4, [account], due=HOUR * 26)
    monkeypatch.setattr(calendar, "COUNTED", 10)
    for whose in (None, account):
        found = due(shared, workspace, days(start), account=whose)
        assert [(one.others, one.has_more) for one in found] == [(3, True), (2, False), (0, False)]


def test_where_there_are_very_many_each_span_shows_fewer(
    shared: Ledger, start: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    for hours in (1, 26, 50):
        shared.posts(4, [account], due=HOUR * hours)
    shared.posts(1, [account], due=HOUR * 80)
    monkeypatch.setattr(calendar, "MOST", 8)
    found = due(shared, workspace, days(start, 4), shown=5)
    assert [(len(one.posts), one.others) for one in found] == [(2, 2), (2, 2), (2, 2), (1, 0)]
    monkeypatch.setattr(calendar, "MOST", 2)
    found = due(shared, workspace, days(start, 4), shown=5)
    assert [(len(one.posts), one.others) for one in found] == [(1, 3), (1, 3), (1, 3), (1, 0)]


@pytest.fixture(scope="module")
def many(shared: Ledger) -> tuple[UUID, UUID]:
    """A workspace with very many posts that are due in one hour, and an account that has few of them."""
    workspace = shared.workspace()
    account, rare = shared.account(workspace), shared.account(workspace)
    shared.posts(MANY, [account], State.SCHEDULED, due=HOUR * 30)
    shared.posts(3, [rare], due=HOUR * 30)
    with shared.database.once() as c:
        c.exec_driver_sql("ANALYZE posts, deliveries")
    return workspace, rare


@pytest.mark.parametrize("by_account", [False, True])
def test_few_rows_are_read_however_many_there_are(
    shared: Ledger,
    start: datetime,
    many: tuple[UUID, UUID],
    monkeypatch: pytest.MonkeyPatch,
    by_account: bool,
) -> None:
    workspace, rare = many
    account = rare if by_account else None
    monkeypatch.setattr(calendar, "COUNTED", 100)
    spans = days(start, 7)
    assert due(shared, workspace, spans, account=account)[1].others == (1 if by_account else 98)
    read = count_rows_read(shared, calendar, list_due, workspace, account, spans, shown=2)
    assert read < (20 if by_account else 120)
