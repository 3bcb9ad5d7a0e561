"""However much is due, a doorbell reads only what it is about: what is read again at each ring adds up to a stand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import State
from pipeline.store.database import rows
from pipeline.store.deliveries import release
from tests.pipeline.store.ledger import LEASE, Ledger

MANY = 3000


def read(ledger: Ledger, sql: str, **values: Any) -> int:
    """Rows that a statement looks at, those it passes over included."""
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
    """Very many are due, and very many looks are rung; PostgreSQL knows how many."""
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
    assert read(busy, release._RING_LOOKS, n=500, lease=LEASE) < 100
