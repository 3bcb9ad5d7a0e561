"""URLs that are found after publishing: stored for their own delivery, once, while it is published."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.delivery import State
from pipeline.store.deliveries.history import read_evidence
from pipeline.store.deliveries.published import postpone_url_lookup, save_url
from tests.pipeline.store.ledger import Ledger, Post


def arrange(ledger: Ledger) -> Post:
    post = ledger.fresh(State.PUBLISHED)
    ledger.change(post.deliveries[0], f"url = NULL, remote_id = '{post.id}', next_at = now()")
    return post


def read(ledger: Ledger, post: Post) -> tuple[Any, ...]:
    found = ledger.delivery(post.deliveries[0])
    return found.url, found.remote_id, found.next_at


@pytest.mark.parametrize(
    "change",
    ["url = 'https://media.example/known'", "state = 'processing', published_at = NULL, armed_at = now()"],
    ids=["known", "not published"],
)
def test_an_address_is_stored_where_one_is_missing(ledger: Ledger, change: str) -> None:
    post, other = arrange(ledger), arrange(ledger)
    untouched = read(ledger, other)
    claimed = ledger.read_claimed(post.deliveries[0])
    ledger.change(post.deliveries[0], change)
    before = read(ledger, post)
    assert not ledger.do(save_url, claimed, "r1", "https://media.example/1")
    assert read(ledger, post)[:2] == before[:2]
    with ledger.database.begin() as c:
        assert save_url(c, ledger.read_claimed(other.deliveries[0]), "r1", "https://media.example/1")
        postpone_url_lookup(c, claimed)
    assert read(ledger, other) == ("https://media.example/1", "r1", untouched[2])
    assert read(ledger, post)[2] > before[2]


def test_an_address_that_is_found_later_changes_nothing_about_since_when_it_is_live(ledger: Ledger) -> None:
    post = arrange(ledger)
    with ledger.database.begin() as c:
        [before] = read_evidence(c, post.id).values()
        assert save_url(c, ledger.read_claimed(post.deliveries[0]), "r2", "https://media.example/2")
        [after] = read_evidence(c, post.id).values()
    assert (after.moved_at, after.why) == (before.moved_at, before.why)
