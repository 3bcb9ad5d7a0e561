"""A key, restricted or not, lists and counts exactly the posts a check of every post finds, however they came there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.store.database import row, rows
from pipeline.store.posts import pages
from pipeline.store.posts.pages import Totals, count_by_status, list_posts
from pipeline.store.rollups.settled_counts import compact
from tests.pipeline.store.ledger import Ledger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STATUSES = ("posted", "failed", "scheduled", "scheduled", "pending")
_POST = """
WITH p AS (INSERT INTO posts (id, workspace_id, caption, media, due_at, status, created_at, deleted_at)
           VALUES (gen_random_uuid(), :w, 'x', '{}', now() + :due, :status, :at, CAST(:deleted AS timestamptz))
           RETURNING *)
INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at, created_at)
SELECT gen_random_uuid(), p.id, p.workspace_id, a, 'tiktok', 'failed', p.due_at, p.due_at, p.created_at + later
FROM p, unnest(CAST(:accounts AS uuid[]), CAST(:later AS interval[])) AS x (a, later) RETURNING id
"""
_BY_ROWS = """
SELECT id, created_at, CASE WHEN status = 'scheduled' AND due_at <= now() THEN 'pending' ELSE status END AS word
FROM posts WHERE workspace_id = :w AND deleted_at IS NULL
AND created_at >= coalesce(:since, CAST('-infinity' AS timestamptz))
AND created_at <= coalesce(:until, CAST('infinity' AS timestamptz))
AND (CAST(:accounts AS uuid[]) IS NULL
     OR (SELECT array_agg(account_id) FROM deliveries WHERE post_id = posts.id) <@ CAST(:accounts AS uuid[]))
ORDER BY created_at DESC, id DESC"""

_WHICH = st.sets(st.integers(0, 3), min_size=1)
_MOMENTS = st.integers(-4, 4).map(
    lambda n: NOON + n * timedelta(minutes=20)
)  # few, so that many posts share a moment
_MADE = st.tuples(
    _WHICH,
    st.sets(st.integers(0, 3)),
    st.sampled_from(STATUSES),
    _MOMENTS,
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
"""A post: accounts it went to at first, those an edit added, its status, when it was made, whether it is deleted, and
overdue, and whether counts are folded after it."""
_BOUND = st.one_of(st.none(), _MOMENTS)


def make(c: sa.Connection, workspace: UUID, accounts: list[UUID], made: tuple[Any, ...]) -> None:
    first, added, status, at, deleted, overdue, folded = made
    parts = [(n, timedelta(0)) for n in first] + [(n, timedelta(seconds=61)) for n in added - first]
    row(
        c,
        _POST,
        w=workspace,
        at=at,
        status=status,
        deleted=at if deleted else None,
        due=timedelta(hours=-1 if overdue else 1),
        accounts=[accounts[n] for n, _ in parts],
        later=[later for _, later in parts],
    )
    if folded:
        compact(c)


@pytest.fixture(scope="module")
def accounts(shared: Ledger) -> list[UUID]:
    workspace = shared.workspace()
    return [shared.account(workspace) for _ in range(4)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=st.lists(_MADE, min_size=1, max_size=14), within=st.none() | _WHICH, since=_BOUND, until=_BOUND)
def test_pages_and_totals_are_those_of_every_post(
    shared: Ledger,
    accounts: list[UUID],
    made: list[tuple[Any, ...]],
    within: set[int] | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    workspace, mine = shared.workspace(), None if within is None else [accounts[n] for n in within]
    with shared.database.begin() as c:
        for one in made:
            make(c, workspace, accounts, one)
        there = rows(c, _BY_ROWS, w=workspace, accounts=mine, since=since, until=until)
        for status in (None, *STATUSES):
            asked, before = [r.id for r in there if status in {None, r.word}], None
            for n in range(0, len(asked) + 1, 3):
                page = list_posts(
                    c,
                    workspace,
                    status=status,
                    since=since,
                    until=until,
                    before=before,
                    limit=3,
                    accounts=mine,
                )
                assert [post.id for post in page] == asked[n : n + 3]
                before = (page[-1].created_at, page[-1].id) if page else None
        counted = count_by_status(c, workspace, since, until, mine)
        words = [r.word for r in there]
        assert counted == Totals({word: words.count(word) for word in words})


def test_a_page_goes_on_in_the_hours_before_until_it_is_full(shared: Ledger, accounts: list[UUID]) -> None:
    """In the newest hour some are overdue, so no longer scheduled, and of the next some are on the page before."""
    workspace = shared.workspace()
    with shared.database.begin() as c:
        for hour in range(4):
            for n in range(4):
                at = NOON + timedelta(hours=hour, minutes=n)
                make(c, workspace, accounts, ({0}, set(), "scheduled", at, False, hour == 3, n == 0))
        there = rows(c, _BY_ROWS, w=workspace, accounts=accounts[:1], since=None, until=None)
        pages, before = [], None
        for _ in range(4):
            page = list_posts(c, workspace, status="scheduled", before=before, limit=3, accounts=accounts[:1])
            before = (page[-1].created_at, page[-1].id)
            pages.append([post.id for post in page])
    expected = [r.id for r in there if r.word == "scheduled"]
    assert pages == [expected[n : n + 3] for n in (0, 3, 6, 9)]


def test_posts_out_of_sight_do_not_end_a_page(shared: Ledger, accounts: list[UUID]) -> None:
    """However many the accounts share with others, what is in sight is found behind them, and the page after it."""
    workspace = shared.workspace()
    with shared.database.begin() as c:
        for n in range(40):
            theirs = {0} if n in {0, 1, 2, 20} else {0, 1}
            make(
                c,
                workspace,
                accounts,
                (theirs, set(), "posted", NOON + timedelta(minutes=n), False, False, False),
            )
        there = rows(c, _BY_ROWS, w=workspace, accounts=accounts[:1], since=None, until=None)
        found, before = [], None
        for _ in range(3):
            page = list_posts(c, workspace, before=before, limit=2, accounts=accounts[:1])
            before = (page[-1].created_at, page[-1].id) if page else before
            found.append([post.id for post in page])
    expected = [r.id for r in there]
    assert found == [expected[:2], expected[2:], []]


@pytest.mark.parametrize("posts", [3, 4, 5])
def test_totals_are_exact_below_the_cap_and_capped_from_there(
    shared: Ledger, accounts: list[UUID], posts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "CAP", 4)
    workspace = shared.workspace()
    with shared.database.begin() as c:
        for n in range(posts):
            for theirs in ({0}, {0, 1}, {1}):
                at = NOON + timedelta(minutes=n)
                make(c, workspace, accounts, (theirs, set(), "posted", at, False, False, False))
        found = count_by_status(c, workspace, accounts=accounts[:1])
    assert found == Totals({"posted": min(posts, 4)}, is_capped=posts >= 4)


def test_a_total_reads_no_more_candidates_than_it_may(
    shared: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "CAP", 4)
    monkeypatch.setattr(pages, "_MAX_SCANNED", 12)
    workspace = shared.workspace()
    accounts = [shared.account(workspace) for _ in range(2)]
    with shared.database.begin() as c:
        for n in range(20):
            theirs = {0} if n in {1, 19} else {0, 1}
            at = NOON + timedelta(minutes=n)
            make(c, workspace, accounts, (theirs, set(), "posted", at, False, False, False))
        found = count_by_status(c, workspace, accounts=accounts[:1])
    assert found == Totals({"posted": 1}, is_capped=True), "the oldest post is not read"
