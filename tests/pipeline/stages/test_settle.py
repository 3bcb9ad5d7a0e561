"""Settling: what belongs together is stored in one transaction, whatever else is written at the time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from adapters.contract import Published
from adapters.errors import CredentialsRevoked
from pipeline.domain.delivery import Mover, Reason, State
from pipeline.domain.verdict import Outcome, Verdict
from pipeline.stages.settle import settle
from pipeline.store.database import row, rows
from pipeline.store.deliveries.claim import ClaimedDelivery
from tests.pipeline.core_fixture import CoreFixture
from tests.stack import until

LIVE = Verdict(state=State.PUBLISHED, published=Published(remote_id="r"), closes=Outcome.PUBLISHED)
DEAD = Verdict(
    state=State.BLOCKED,
    reason=Reason.RECONNECT,
    reconnect=True,
    error=CredentialsRevoked("It was withdrawn."),
)


@contextmanager
def waiting_for(
    core: CoreFixture, table: str, locked: UUID, held: ClaimedDelivery, verdict: Verdict
) -> Iterator[Connection]:
    """Hold a lock that settling waits for; afterwards settling has finished."""
    with ThreadPoolExecutor(1) as pool:
        with core.context.database.begin() as c:
            row(c, f"SELECT id FROM {table} WHERE id = :id FOR UPDATE", id=locked)  # noqa: S608  of this file
            stored = pool.submit(settle, core.context, held, verdict, Mover.PUBLISH)
            until(core.ledger.waits, 10)
            yield c
        assert stored.result(120)[1] is not None


def account(core: CoreFixture, name: str = "one") -> Any:
    with core.context.database.begin() as c:
        return row(c, "SELECT status, error FROM accounts WHERE id = :id", id=core.accounts[name])


def test_a_post_of_several_accounts_stays_locked_until_its_word_is_stored(core: CoreFixture) -> None:
    """Or two workers that settle its last two deliveries would each find the other's still under way."""
    post = core.ledger.post([core.account("one"), core.account("two")], State.QUEUED)
    held = core.ledger.armed(post)
    with waiting_for(core, "deliveries", held.id, held, LIVE) as c:
        assert not rows(c, "SELECT id FROM posts WHERE id = :id FOR UPDATE SKIP LOCKED", id=post.id)
    assert core.ledger.states(post) == [State.PUBLISHED, State.QUEUED]


@pytest.mark.parametrize("accounts", [["one"], ["one", "two"]])
def test_a_dead_grant_is_marked_in_the_commit_that_blocks_the_delivery(
    core: CoreFixture, accounts: list[str]
) -> None:
    """If the process died between the two, the delivery would wait for an operator who is never asked."""
    post = core.ledger.post([core.account(name) for name in accounts], State.QUEUED)
    held = core.ledger.claimed(post)
    with waiting_for(core, "accounts", held.account_id, held, DEAD):
        assert core.ledger.state(held.id) is State.PUBLISHING
    assert core.ledger.delivery(held.id).reason == "reconnect"
    marked = account(core)
    assert (marked.status, marked.error["message"]) == ("reconnect", "It was withdrawn.")


def test_what_goes_back_to_the_queue_is_rung_again_after_the_lease_that_was_chosen(core: CoreFixture) -> None:
    held = core.ledger.claimed(core.ledger.post([core.account("one")], State.QUEUED))
    brief = core.with_settings(delay={"queued_lease": 77.0})
    assert settle(brief.context, held, Verdict(state=State.QUEUED), Mover.PUBLISH)[1] is not None
    found = core.ledger.delivery(held.id)
    assert found.lease_until - found.updated_at == timedelta(seconds=77)
