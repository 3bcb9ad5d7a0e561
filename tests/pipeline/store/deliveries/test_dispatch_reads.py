"""However much is due, a slot reads only the rows it dispatches; anything else is read again at every slot."""

from __future__ import annotations

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import State
from pipeline.store.deliveries import lease, release
from tests.pipeline.store.ledger import LEASE, Ledger
from tests.pipeline.store.plans import count_read

MANY = 1000


@pytest.fixture(scope="module")
def busy(shared: Ledger) -> Ledger:
    """Many due deliveries and many dispatched looks, with fresh table statistics."""
    account = shared.account(shared.workspace())
    shared.posts(MANY, [account])
    shared.posts(MANY, [account], State.PREPARING)
    with shared.database.begin() as c:
        c.exec_driver_sql(
            "UPDATE deliveries SET lease_until = now() + interval '5 minutes' WHERE state = 'preparing'"
        )
    shared.analyze("deliveries, posts, workspaces")
    return shared


def test_nothing_is_late_and_nothing_that_is_due_is_read_for_it(busy: Ledger) -> None:
    assert count_read(busy, release._LATE, n=500, platforms=list(Platform)) < 100


def test_looks_that_are_rung_already_are_not_read_again(busy: Ledger) -> None:
    assert count_read(busy, lease._DISPATCH_LOOKS, n=500, lease=LEASE) < 100
