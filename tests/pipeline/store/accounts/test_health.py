"""The list of accounts: what needs an operator first, what hangs on each account, page by page, and few rows read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.domain.account import AccountStatus
from pipeline.domain.attention import ENDING
from pipeline.domain.delivery import Reason, State
from pipeline.store.accounts import health
from pipeline.store.accounts.health import (
    ENDING_SOON,
    IN_USE,
    LOST,
    OUT_OF_USE,
    AccountHealth,
    count_by_status,
    list_health,
)
from pipeline.store.deliveries.pauses import pause
from tests.pipeline.store.ledger import HOUR, Ledger
from tests.pipeline.store.plans import count_rows_read

DAY = timedelta(days=1)


def end_grant(ledger: Ledger, account: UUID, left: timedelta, *, status: str = "active") -> None:
    ledger.update(
        "accounts",
        account,
        "expires_at = now() + CAST(:left AS interval), renewable = false, status = :status",
        left=left,
        status=status,
    )


def listed(ledger: Ledger, workspace: UUID, **more: Any) -> list[AccountHealth]:
    return ledger.do(list_health, [workspace], **more)


@pytest.fixture
def four(shared: Ledger) -> tuple[UUID, list[UUID]]:
    """A workspace with accounts: grant lost, ends soon, ends later, taken out of use; added the other way round."""
    workspace = shared.workspace()
    inactive, later, soon, lost = (shared.account(workspace) for _ in range(4))
    end_grant(shared, inactive, HOUR, status="inactive")
    end_grant(shared, later, ENDING + DAY)
    end_grant(shared, soon, HOUR)
    end_grant(shared, lost, HOUR * 2, status="reconnect")
    return workspace, [lost, soon, later, inactive]


def test_what_needs_a_person_comes_first(shared: Ledger, four: tuple[UUID, list[UUID]]) -> None:
    workspace, expected = four
    found = listed(shared, workspace)
    assert [one.account.id for one in found] == expected
    assert [one.position[0] for one in found] == [LOST, ENDING_SOON, IN_USE, OUT_OF_USE]
    needy = listed(shared, workspace, needs_person=True)
    assert [one.account.id for one in needy] == expected[:2]
    assert shared.do(count_by_status, [workspace]) == {
        AccountStatus.ACTIVE: 2,
        AccountStatus.RECONNECT: 1,
        AccountStatus.INACTIVE: 1,
    }


def test_pages_have_each_account_once(shared: Ledger, four: tuple[UUID, list[UUID]]) -> None:
    workspace, expected = four
    endless = [shared.account(workspace) for _ in range(3)]
    found: list[AccountHealth] = []
    while page := listed(shared, workspace, limit=2, after=found[-1].position if found else None):
        found += page
    ids = [one.account.id for one in found]
    assert ids == [*expected[:2], *sorted([*endless, expected[2]]), expected[3]]


def test_accounts_in_order_are_listed_by_client_then_platform(shared: Ledger) -> None:
    spaces = [shared.workspace() for _ in range(3)]
    for space, name in zip(spaces, ("Cora, Inc", "Ada", "Bo"), strict=True):
        shared.update("workspaces", space, "name = :name", name=name)
    expected = [
        shared.account(spaces[n], platform)
        for n in (1, 2, 0)
        for platform in (Platform.INSTAGRAM, Platform.TIKTOK)
    ]
    found: list[AccountHealth] = []
    with shared.database.begin() as c:
        while page := list_health(c, spaces, limit=1, after=found[-1].position if found else None):
            found += page
    assert [one.account.id for one in found] == expected


def test_posts_at_risk_are_those_after_the_end_and_those_that_wait(shared: Ledger) -> None:
    workspace = shared.workspace()
    active, lost, endless = (shared.account(workspace) for _ in range(3))
    end_grant(shared, active, DAY)
    end_grant(shared, lost, DAY, status="reconnect")
    for account in (active, lost, endless):
        shared.post([account], due=HOUR)
        shared.posts(2, [account], due=DAY * 2)
        shared.post([account], State.PUBLISHED, due=DAY * 2)
    shared.put(shared.post([lost]), State.BLOCKED, reason=Reason.RECONNECT)
    assert {one.account.id: one.at_risk for one in listed(shared, workspace)} == {
        active: 2,
        lost: 4,
        endless: 0,
    }
    assert {one.account.id: one.waiting for one in listed(shared, workspace)} == {
        active: 3,
        lost: 4,
        endless: 3,
    }


def test_another_workspace_is_not_listed_and_filters_select(shared: Ledger) -> None:
    workspace, other = shared.workspace(), shared.workspace()
    mine, pin = shared.account(workspace), shared.account(workspace, Platform.PINTEREST)
    foreign = shared.account(other)
    shared.do(pause, "account", str(mine), "under review")
    assert {one.account.id: one.paused for one in listed(shared, workspace)} == {mine: "account", pin: None}
    shared.do(pause, "workspace", str(workspace), "under review")
    assert {one.paused for one in listed(shared, workspace)} == {"account", "workspace"}
    assert [o.account.id for o in listed(shared, workspace, platform=Platform.PINTEREST)] == [pin]
    assert foreign not in {one.account.id for one in listed(shared, workspace)}


def test_few_deliveries_are_read_however_many_wait(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = ledger.workspace()
    account, lost = ledger.account(workspace), ledger.account(workspace)
    end_grant(ledger, account, DAY)
    end_grant(ledger, lost, DAY, status="reconnect")
    ledger.posts(1000, [account], due=HOUR)
    ledger.posts(1000, [account], State.PUBLISHED, due=-DAY)
    ledger.posts(20, [account], due=DAY * 2)
    ledger.posts(500, [lost], due=HOUR)
    ledger.analyze("deliveries, accounts, posts")
    monkeypatch.setattr(health, "CAP", 100)
    read = count_rows_read(ledger, health, list_health, [workspace])
    assert read < 250, "100 of each, and 20 after the end"
