"""Claims of refreshes: of one account and one version of its credentials, and nothing of any other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from pipeline.store.accounts.accounts import claim_refresh, end_refresh, require_reconnect
from pipeline.store.database import row
from tests.pipeline.store.ledger import Ledger

LEASE = timedelta(minutes=1)
WHY = {"code": "reconnect_required"}


def read(ledger: Ledger, account: UUID) -> Any:
    return ledger.do(
        row, "SELECT status, refreshing_until, unanswered FROM accounts WHERE id = :id", id=account
    )


def claim(ledger: Ledger, account: UUID, version: int = 1) -> bool:
    return ledger.do(claim_refresh, account, version, LEASE)


def test_credentials_that_were_replaced_are_not_refreshed(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    assert not claim(shared, account, version=2)
    assert read(shared, account).refreshing_until is None
    assert claim(shared, account)
    assert not claim(shared, account), "one at a time"


@pytest.mark.parametrize(
    "end",
    [
        lambda c, account: end_refresh(c, account, 1, unanswered=True),
        lambda c, account: require_reconnect(c, account, WHY, 1),
    ],
    ids=["failed", "refused"],
)
def test_what_ends_the_refresh_of_an_account_leaves_the_others(
    shared: Ledger, end: Callable[[Connection, UUID], None]
) -> None:
    account, other = shared.account(workspace := shared.workspace()), shared.account(workspace)
    assert claim(shared, account)
    assert claim(shared, other)
    before = read(shared, other)
    shared.do(end, account)
    assert read(shared, other) == before
    assert read(shared, account) != before


def test_a_refresh_of_older_credentials_ends_nothing(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    assert claim(shared, account)
    before = read(shared, account)
    with shared.database.begin() as c:
        end_refresh(c, account, 2)
        require_reconnect(c, account, WHY, 2)
    assert read(shared, account) == before
    shared.do(end_refresh, account)
    assert read(shared, account).refreshing_until is None


def test_an_account_that_a_person_switched_off_stays_so(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    with shared.database.begin() as c:
        row(c, "UPDATE accounts SET status = 'inactive' WHERE id = :id RETURNING id", id=account)
        require_reconnect(c, account, WHY, 1)
    assert read(shared, account).status == "inactive"
