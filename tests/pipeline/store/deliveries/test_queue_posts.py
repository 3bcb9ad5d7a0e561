"""The queue of posts: each once, with all its accounts, in the order of its walk, and few rows are read for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pipeline.domain.delivery import State
from pipeline.store.database import new_id, row
from pipeline.store.deliveries import queue
from pipeline.store.deliveries.queue import Within, choose_walk
from pipeline.store.deliveries.queue_posts import (
    build_post_page,
    count_queued_posts,
    list_queued_posts,
    read_queued_posts,
)
from pipeline.store.deliveries.selection import ListFilter
from tests.pipeline.store.ledger import HOUR, Ledger
from tests.pipeline.store.plans import count_read

MANY = 2000


def list_pages(
    ledger: Ledger, chosen: ListFilter, within: Within = None, *, newest: bool = False
) -> list[UUID]:
    """Return all posts that are selected, page by page of two."""
    found, after = list[UUID](), None
    while True:
        with ledger.database.begin() as c:
            page = list_queued_posts(c, chosen, within, limit=2, after=after, newest=newest)
        found += page.posts
        if (after := page.after) is None:
            return found


@pytest.mark.parametrize("by", ["all", "state", "account", "few", "due"])
def test_a_post_is_listed_once_wherever_its_deliveries_stand(ledger: Ledger, by: str) -> None:
    workspace = ledger.workspace()
    accounts = [ledger.account(workspace) for _ in range(3)]
    posts = [ledger.post(accounts, due=n * HOUR) for n in (1, 2, 3, 4, 5)]
    for n, post in enumerate(posts):  # their places in every order differ
        for k, delivery in enumerate(post.deliveries):
            ledger.change(delivery, "next_at = now() + make_interval(mins => :m)", m=(n * 7 + k * 11) % 13)
    other = ledger.fresh(due=HOUR)
    now = datetime.now(UTC)
    chosen, within = {
        "all": (ListFilter(), [workspace]),
        "state": (ListFilter(state=State.SCHEDULED, workspace=workspace), None),
        "account": (ListFilter(account=accounts[1]), None),
        "few": (ListFilter(unsent=True), [workspace, other.workspace]),
        "due": (ListFilter(due_from=now, due_until=now + 9 * HOUR, unsent=True), [workspace]),
    }[by]
    found = list_pages(ledger, chosen, within)
    assert sorted(found) == sorted([*(p.id for p in posts), *([other.id] if by == "few" else [])])
    if by == "due":
        assert found == [post.id for post in posts]


def test_late_posts_are_those_still_to_be_sent_whose_time_has_come(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    late, queued = ledger.post([account], due=-2 * HOUR), ledger.post([account], State.QUEUED, due=-HOUR)
    for state in (State.PUBLISHED, State.UNKNOWN, State.FAILED, State.CANCELLED, State.BLOCKED):
        ledger.post([account], state, due=-HOUR)
    ledger.post([account], due=HOUR)
    elsewhere = ledger.fresh(due=-HOUR)
    chosen = ListFilter(unsent=True, due_until=datetime.now(UTC) - timedelta(minutes=1))
    assert list_pages(ledger, chosen, [workspace]) == [late.id, queued.id]
    assert set(list_pages(ledger, chosen, [workspace, elsewhere.workspace])) == {
        late.id,
        queued.id,
        elsewhere.id,
    }
    with ledger.database.begin() as c:
        assert count_queued_posts(c, chosen, [workspace], most=10) == 2
        assert count_queued_posts(c, chosen, [workspace], most=1) == 2, (
            "one more than asked for: there are more"
        )
        assert count_queued_posts(c, chosen, [], most=10) == 0


def test_posts_that_go_out_now_are_neither_late_nor_still_to_come(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    second = timedelta(seconds=-1)
    going = [
        ledger.post([account], State.PUBLISHING, due=-HOUR),
        ledger.post([account], State.PROCESSING, due=-HOUR),
        *(
            ledger.post([account], state, due=second)
            for state in (State.QUEUED, State.ACCEPTED, State.SCHEDULED)
        ),
    ]
    late, paused = ledger.post([account], State.QUEUED, due=-HOUR), ledger.post([account], due=second)
    waits, soon = ledger.post([account], State.RETRYING, due=second), ledger.post([account], due=HOUR)
    ledger.change(waits.deliveries[0], "next_at = now() + interval '1 minute'")
    for state in (State.PUBLISHED, State.UNKNOWN, State.FAILED, State.CANCELLED, State.BLOCKED):
        ledger.post([account], state, due=second)
    with ledger.database.begin() as c:
        row(
            c,
            "INSERT INTO paused_deliveries (delivery_id, job_id, why) VALUES (:d, :d, 'test') RETURNING why",
            d=paused.deliveries[0],
        )
    now = datetime.now(UTC)
    for within in ([workspace], [workspace, *(new_id() for _ in range(queue.SOME))]):
        assert set(list_pages(ledger, ListFilter(goes_out=True), within)) == {one.id for one in going}
    assert {one.id for one in going}.isdisjoint(
        list_pages(ledger, ListFilter(unsent=True, due_from=now), [workspace])
    )
    late_ones = ListFilter(unsent=True, due_until=now - timedelta(minutes=1))
    assert list_pages(ledger, late_ones, [workspace]) == [late.id]
    assert soon.id in list_pages(ledger, ListFilter(unsent=True, due_from=now), [workspace])


@pytest.mark.parametrize("by", ["few", "many", "account"])
def test_a_span_of_time_runs_by_time_or_the_newest_first(ledger: Ledger, by: str) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    states = (State.SCHEDULED, State.PUBLISHED, State.FAILED, State.SCHEDULED, State.PUBLISHED)
    posts = [
        ledger.post([account], state, due=n * HOUR) for n, state in zip((5, 1, 4, 2, 3), states, strict=True)
    ]
    others = [new_id() for _ in range(queue.SOME)] if by == "many" else []
    chosen = ListFilter(due_from=datetime.now(UTC), account=account if by == "account" else None)
    found = list_pages(ledger, chosen, [workspace, *others])
    assert found == [posts[n].id for n in (1, 3, 4, 2, 0)]
    assert list_pages(ledger, chosen, [workspace, *others], newest=True) == [one.id for one in posts[::-1]]


def test_a_post_is_read_with_all_accounts_that_it_targets(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    accounts = [ledger.account(workspace) for _ in range(3)]
    post, other = ledger.post(accounts, due=HOUR), ledger.fresh()
    ledger.change(post.deliveries[1], "state = 'cancelled', removed_generation = generation")
    with ledger.database.begin() as c:
        [read] = read_queued_posts(c, [other.id, post.id], [workspace])
    assert read.id == post.id
    assert {one.facts.id for one in read.deliveries} == {post.deliveries[0], post.deliveries[2]}
    ledger.update("posts", post.id, "deleted_at = now()")
    with ledger.database.begin() as c:
        assert read_queued_posts(c, [post.id], None) == []


def test_few_rows_are_read_for_a_page_however_many_posts_there_are(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "CAP", 100)
    workspace, others = ledger.workspace(), [ledger.fresh(due=HOUR).workspace for _ in range(8)]
    account = ledger.account(workspace)
    for state, due in ((State.SCHEDULED, HOUR), (State.PUBLISHED, -HOUR), (State.FAILED, -HOUR)):
        ledger.posts(MANY, [account], state, due=due)
    with ledger.database.once() as c:
        c.exec_driver_sql(
            """UPDATE deliveries SET next_at = next_at + random() * interval '1 hour',
                                     due_at = due_at + random() * interval '1 hour'"""
        )
        c.exec_driver_sql(
            "UPDATE posts p SET due_at = (SELECT min(due_at) FROM deliveries d WHERE d.post_id = p.id)"
        )
        c.exec_driver_sql("VACUUM ANALYZE deliveries, posts, accounts, workspaces")
    now = datetime.now(UTC)
    day: dict[str, Any] = {"due_from": now - 3 * HOUR, "due_until": now + 3 * HOUR}
    values: dict[str, Any]
    for chosen, within in (
        (ListFilter(), [workspace]),
        (ListFilter(**day), [workspace]),
        (ListFilter(**day, is_open=True), [workspace, *others]),
        (ListFilter(due_until=now - timedelta(minutes=1), unsent=True), [workspace, *others]),
        (ListFilter(due_from=now - 3 * HOUR), None),
        (ListFilter(**day, account=account), None),
        (ListFilter(goes_out=True), None),
        (ListFilter(state=State.FAILED), None),
        (ListFilter(state=State.SCHEDULED), [workspace]),
    ):
        sql, values = build_post_page(choose_walk(chosen, within), chosen, within, None)
        assert count_read(ledger, sql, **values, n=51) < 100 * 20, (chosen, within)
