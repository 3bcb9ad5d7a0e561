"""The count of a key's posts per day."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from pipeline.store.auth.keys import DailyCount, count_posts, create_key, find_caller
from tests.pipeline.store.ledger import Ledger


def make_key(ledger: Ledger) -> UUID:
    with ledger.database.begin() as c:
        caller = find_caller(c, create_key(c, ledger.workspace(), "counted"))
    assert caller is not None
    return caller.key_id


def count(ledger: Ledger, key: UUID, posts: int, limit: int = 10) -> DailyCount:
    return ledger.do(count_posts, key, posts, limit)


def test_posts_are_counted_all_or_none(shared: Ledger) -> None:
    key = make_key(shared)
    counted = [count(shared, key, posts) for posts in (4, 6, 1)]
    assert [(one.is_allowed, one.posts) for one in counted] == [(True, 4), (True, 10), (False, 10)]
    assert all(0 < one.reset <= 86_400 for one in counted)


def test_requests_at_once_never_exceed_the_limit(shared: Ledger) -> None:
    key = make_key(shared)
    with ThreadPoolExecutor(8) as pool:
        counted = list(pool.map(lambda _: count(shared, key, 3), range(8)))
    assert sum(one.is_allowed for one in counted) == 3
