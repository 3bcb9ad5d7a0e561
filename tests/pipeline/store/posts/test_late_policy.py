"""Deliveries that are too late, by their post's or workspace's policy, are found before anything is released."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from pipeline.domain.delivery import WAITING, State
from pipeline.store.auth.workspaces import LatePolicy, set_policy
from pipeline.store.deliveries import release as store
from tests.pipeline.store.ledger import HOUR, Ledger, Post


def test_only_due_ones_past_their_own_deadline_are_late(ledger: Ledger) -> None:
    past = timedelta(seconds=-1)
    late = ledger.fresh(expires=past, on_late="skip")
    held = ledger.fresh(State.RETRYING, expires=past, on_late="hold")
    ledger.fresh(expires=past, on_late="publish")
    ledger.fresh(expires=HOUR, on_late="skip")
    ledger.fresh(due=HOUR, expires=past, on_late="skip")
    ledger.fresh(State.PUBLISHED, expires=past, on_late="skip")
    with ledger.database.begin() as c:
        found = store.list_late(c, 100)
        assert len(store.list_late(c, 1)) == 1
    assert {(d, state, generation, on_late) for d, _, state, generation, on_late in found} == {
        (late.deliveries[0], "scheduled", 0, "skip"),
        (held.deliveries[0], "retrying", 0, "hold"),
    }


def late(ledger: Ledger, post: Post) -> list[UUID]:
    found = {delivery for delivery, *_ in ledger.do(store.list_late, 10_000)}
    return [delivery for delivery in post.deliveries if delivery in found]


def by_its_post(ledger: Ledger) -> Post:
    return ledger.fresh(accounts=2, due=-HOUR, expires=timedelta(seconds=-1), on_late="skip")


def by_its_workspace(ledger: Ledger) -> Post:
    post = ledger.fresh(accounts=2, due=-HOUR)
    ledger.do(set_policy, post.workspace, LatePolicy(after=HOUR / 2, on_late="skip"))
    return post


@pytest.mark.parametrize("made", [by_its_post, by_its_workspace])
@pytest.mark.parametrize("other", sorted(set(State) - WAITING))
@pytest.mark.parametrize("waits", sorted(WAITING))
def test_what_waits_and_is_too_late_is_found_wherever_its_posts_other_account_stands(
    shared: Ledger, made: Callable[[Ledger], Post], waits: State, other: State
) -> None:
    post = made(shared)
    for state, delivery in zip((waits, other), post.deliveries, strict=True):
        shared.put(replace(post, deliveries=[delivery]), state)
    assert late(shared, post) == post.deliveries[:1]


@pytest.mark.parametrize("made", [by_its_post, by_its_workspace])
def test_what_is_too_late_waits_for_its_next_try_to_be_told_so(
    shared: Ledger, made: Callable[[Ledger], Post]
) -> None:
    post = made(shared)
    shared.put(post, State.RETRYING)
    assert late(shared, post) == post.deliveries
    for delivery in post.deliveries:
        shared.change(delivery, "next_at = now() + interval '1 hour'")
    assert late(shared, post) == []


@pytest.mark.parametrize("made", [by_its_post, by_its_workspace])
def test_one_that_was_held_for_being_late_is_not_held_again_once_a_person_let_it_go(
    shared: Ledger, made: Callable[[Ledger], Post]
) -> None:
    post = made(shared)
    shared.put(post, State.RETRYING)
    shared.change(post.deliveries[0], """error = '{"code": "expired"}'""")
    shared.change(post.deliveries[1], """error = '{"code": "another"}'""")
    assert late(shared, post) == post.deliveries[1:]
