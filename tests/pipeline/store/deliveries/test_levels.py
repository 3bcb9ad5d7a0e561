"""Release, claim and arm leave what is above the process's level where it is, for a newer process to take at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from pipeline.broker.queues import ALL_QUEUES
from pipeline.domain.delivery import LOOKED_AT, State
from pipeline.store.canaries import record_consumed
from pipeline.store.deliveries import release as store
from pipeline.store.deliveries.arm import arm
from pipeline.store.deliveries.claim import Message, claim_batch, claim_looks
from pipeline.store.deliveries.lease import dispatch_looks, redispatch_lost, redispatch_lost_looks
from tests.pipeline.store.ledger import HOUR, LEASE, Ledger, Post

OLD, NEW = 1, 2


@pytest.fixture
def account(ledger: Ledger) -> UUID:
    return ledger.account(ledger.workspace())


def put(ledger: Ledger, account: UUID, state: State = State.SCHEDULED) -> tuple[Post, Post]:
    """A plain post and one that needs the new level, both due."""
    plain, newer = ledger.posts(2, [account], state, due=-HOUR)
    ledger.change(newer.deliveries[0], "level = 2")
    return plain, newer


def consume(ledger: Ledger, level: int) -> None:
    with ledger.database.begin() as c:
        c.exec_driver_sql("DELETE FROM canaries")
        record_consumed(c, ALL_QUEUES, level)


def ids(messages: Sequence[Message]) -> list[UUID]:
    return [one.delivery for one in messages]


def release(ledger: Ledger, level: int) -> list[UUID]:
    return ids(ledger.do(store.release, "tiktok", 1, LEASE, level=level))


@pytest.mark.parametrize("workers", [None, NEW])
def test_an_old_process_releases_only_what_it_understands(
    ledger: Ledger, account: UUID, workers: int | None
) -> None:
    plain, newer = put(ledger, account)
    ledger.change(newer.deliveries[0], "next_at = now() - interval '2 hours'")
    if workers:
        consume(ledger, workers)
    assert release(ledger, OLD) == plain.deliveries, "what is older and above it takes no place"
    assert release(ledger, OLD) == []
    assert ledger.state(newer.deliveries[0]) is State.SCHEDULED
    assert release(ledger, NEW) == newer.deliveries


def test_what_the_platforms_workers_do_not_understand_is_not_released_and_takes_no_place_in_their_queue(
    ledger: Ledger, account: UUID
) -> None:
    plain, newer = put(ledger, account)
    consume(ledger, OLD)
    assert release(ledger, NEW) == plain.deliveries
    assert release(ledger, NEW) == []
    consume(ledger, NEW)
    assert release(ledger, NEW) == newer.deliveries
    for level, queued in ((OLD, 1), (NEW, 2)):
        consume(ledger, level)
        assert ledger.do(store.count_queued, "tiktok") == queued


def test_an_edit_between_the_choice_and_the_release_counts(
    ledger: Ledger, account: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, newer = put(ledger, account)
    any_level = store._CANDIDATES.replace("level <= :level AND", "")
    monkeypatch.setattr(store, "_CANDIDATES", any_level)
    ledger.change(newer.deliveries[0], "next_at = now() - interval '2 hours'")
    assert release(ledger, OLD) == []


def test_a_message_that_an_old_worker_took_is_sent_again_only_when_a_newer_one_runs(
    ledger: Ledger, account: UUID
) -> None:
    plain, newer = put(ledger, account, State.QUEUED)
    items = [(post.deliveries[0], 0) for post in (plain, newer)]
    assert [
        one.id for one in ledger.do_once(claim_batch, ledger.vault, items, LEASE, OLD)
    ] == plain.deliveries
    assert ledger.state(newer.deliveries[0]) is State.QUEUED
    for level, expected in ((OLD, []), (NEW, newer.deliveries)):
        consume(ledger, level)
        assert ids(ledger.do(redispatch_lost, 10, LEASE)) == expected
    assert [
        one.id for one in ledger.do_once(claim_batch, ledger.vault, items[1:], LEASE, NEW)
    ] == newer.deliveries


@pytest.mark.parametrize("state", sorted(LOOKED_AT))
def test_a_look_is_a_newer_workers_too(ledger: Ledger, account: UUID, state: State) -> None:
    plain, newer = put(ledger, account, state)
    consume(ledger, OLD)
    assert ids(ledger.do(dispatch_looks, 10, LEASE)) == plain.deliveries
    consume(ledger, NEW)
    [message] = ledger.do(dispatch_looks, 10, LEASE)
    item = (message.delivery, message.generation, message.fence)
    stale = (message.delivery, message.generation, message.fence - 1)
    with ledger.database.once() as c:
        assert claim_looks(c, ledger.vault, [stale], LEASE, OLD) == []
        assert dispatch_looks(c, 10, LEASE) == [], "a message of before ends no lease"
        assert claim_looks(c, ledger.vault, [item], LEASE, OLD) == []
    consume(ledger, OLD)
    ledger.change(newer.deliveries[0], "updated_at = now() - interval '1 minute'")
    assert ledger.do(dispatch_looks, 10, LEASE) == []
    consume(ledger, NEW)
    with ledger.database.begin() as c:
        [again] = dispatch_looks(c, 10, LEASE)
        assert again.fence > message.fence


@pytest.mark.parametrize("level", [OLD, NEW])
def test_a_lost_look_is_dispatched_again_to_workers_that_understand_it(
    ledger: Ledger, account: UUID, level: int
) -> None:
    _, newer = put(ledger, account, State.UNKNOWN)
    consume(ledger, level)
    ledger.change(
        newer.deliveries[0],
        "lease_until = now() + interval '1 hour', updated_at = now() - interval '1 minute'",
    )
    found = ledger.do(redispatch_lost_looks, 10, LEASE, claim_lease=LEASE)
    assert ids(found) == (newer.deliveries if level == NEW else [])


def test_an_old_process_does_not_arm_what_it_claimed_before_its_level_rose(
    ledger: Ledger, account: UUID
) -> None:
    plain, newer = put(ledger, account)
    for post, may_arm in ((plain, True), (newer, False)):
        held = ledger.claimed(post)
        armed = ledger.do_once(arm, ledger.vault, held, {}, timedelta(minutes=1), level=OLD)
        assert (armed is not None) is may_arm


def test_an_old_process_ends_no_lease_but_those_of_the_messages_it_took(
    ledger: Ledger, account: UUID
) -> None:
    """A newer worker may hold the claim by now, or have another message."""
    states = (State.QUEUED, State.PUBLISHING, State.UNKNOWN, State.UNKNOWN)
    taken, claimed, look, stale = (put(ledger, account, state)[1].deliveries[0] for state in states)
    other = put(ledger, account, State.QUEUED)[1].deliveries[0]
    everyone = (taken, claimed, look, stale, other)
    for delivery in everyone:
        ledger.change(delivery, "lease_until = now() + interval '1 hour'")
    with ledger.database.begin() as c:
        assert claim_batch(c, ledger.vault, [(one, 0) for one in (taken, claimed)], LEASE, OLD) == []
        assert claim_looks(c, ledger.vault, [(look, 0, 1), (stale, 0, 0)], LEASE, OLD) == []
    found = [ledger.delivery(one) for one in everyone]
    assert [one.lease_until <= one.now for one in found] == [True, False, True, False, False]
