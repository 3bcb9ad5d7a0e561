"""What a stage stores together is stored in one commit, whoever else is at it."""

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
from pipeline.domain.retry_policy import Outcome, Verdict
from pipeline.stages.settle import settle
from pipeline.store.database import row, rows
from pipeline.store.deliveries.claimed import ClaimedDelivery
from tests.pipeline.core_fixture import House
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
    house: House, table: str, locked: UUID, held: ClaimedDelivery, verdict: Verdict
) -> Iterator[Connection]:
    """While settling waits for a row that somebody has locked; afterwards it is through."""
    with ThreadPoolExecutor(1) as pool:
        with house.context.database.begin() as c:
            row(c, f"SELECT id FROM {table} WHERE id = :id FOR UPDATE", id=locked)  # noqa: S608  of this file
            stored = pool.submit(settle, house.context, held, verdict, Mover.PUBLISH)
            until(house.ledger.waits, 10)
            yield c
        assert stored.result(20)[1] is not None


def account(house: House, name: str = "one") -> Any:
    with house.context.database.begin() as c:
        return row(c, "SELECT status, error FROM accounts WHERE id = :id", id=house.accounts[name])


def test_a_post_of_several_accounts_stays_locked_until_its_word_is_stored(house: House) -> None:
    """Or two workers that settle its last two deliveries would each find the other's still under way."""
    post = house.ledger.post([house.account("one"), house.account("two")], State.QUEUED)
    held = house.ledger.armed(post)
    with waiting_for(house, "deliveries", held.id, held, LIVE) as c:
        assert not rows(c, "SELECT id FROM posts WHERE id = :id FOR UPDATE SKIP LOCKED", id=post.id)
    assert house.ledger.states(post) == [State.PUBLISHED, State.QUEUED]


@pytest.mark.parametrize("accounts", [["one"], ["one", "two"]])
def test_a_dead_grant_is_marked_in_the_commit_that_blocks_the_delivery(
    house: House, accounts: list[str]
) -> None:
    """Or, should the process die between the two, it would wait for a person whom nobody asks."""
    post = house.ledger.post([house.account(name) for name in accounts], State.QUEUED)
    held = house.ledger.claimed(post)
    with waiting_for(house, "accounts", held.account_id, held, DEAD):
        assert house.ledger.state(held.id) is State.PUBLISHING
    assert house.ledger.delivery(held.id).reason == "reconnect"
    marked = account(house)
    assert (marked.status, marked.error["message"]) == ("reconnect", "It was withdrawn.")


def test_what_goes_back_to_the_queue_is_rung_again_after_the_lease_that_was_chosen(house: House) -> None:
    held = house.ledger.claimed(house.ledger.post([house.account("one")], State.QUEUED))
    brief = house.with_settings(delay={"queued_lease": 77.0})
    assert settle(brief.context, held, Verdict(state=State.QUEUED), Mover.PUBLISH)[1] is not None
    found = house.ledger.delivery(held.id)
    assert found.lease_until - found.updated_at == timedelta(seconds=77)
