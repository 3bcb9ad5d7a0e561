"""However much is due, a slot reads only the rows it dispatches; anything else is read again at every slot."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import State
from pipeline.store.database import rows
from pipeline.store.deliveries import redispatch, release
from tests.pipeline.store.ledger import LEASE, Ledger

MANY = 3000


def read(ledger: Ledger, sql: str, **values: Any) -> int:
    """Return the number of rows that a statement reads, those it filters out included."""
    with ledger.database.begin() as c:
        plan = rows(c, f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", **values)[0][0]
    return sum(map(_looked_at, _nodes((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])))


def _looked_at(node: dict[str, Any]) -> int:
    passed = sum(n for name, n in node.items() if name.startswith("Rows Removed"))
    return int((node["Actual Rows"] + passed) * node["Actual Loops"]) if "Relation Name" in node else 0


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(found for child in node.get("Plans", []) for found in _nodes(child))]


@pytest.fixture
def busy(ledger: Ledger) -> Ledger:
    """Many due deliveries and many dispatched looks, with fresh table statistics."""
    account = ledger.account(ledger.workspace())
    ledger.posts(MANY, [account])
    ledger.posts(MANY, [account], State.PREPARING)
    with ledger.database.begin() as c:
        c.exec_driver_sql(
            "UPDATE deliveries SET lease_until = now() + interval '5 minutes' WHERE state = 'preparing'"
        )
    with ledger.database.once() as c:
        c.exec_driver_sql("VACUUM ANALYZE deliveries, posts, workspaces")
    return ledger


def test_nothing_is_late_and_nothing_that_is_due_is_read_for_it(busy: Ledger) -> None:
    assert read(busy, release._LATE, n=500, platforms=list(Platform)) < 100


def test_looks_that_are_rung_already_are_not_read_again(busy: Ledger) -> None:
    assert read(busy, redispatch._DISPATCH_LOOKS, n=500, lease=LEASE) < 100
