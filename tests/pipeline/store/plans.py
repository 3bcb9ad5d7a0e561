"""Plans: how many rows a statement reads, or all statements of a function of the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from pipeline.store.database import rows
from tests.pipeline.store.ledger import Ledger


def count_read(ledger: Ledger, sql: str, **values: Any) -> int:
    """Return the number of rows that a statement reads, those it filters out included."""
    plan = ledger.do(rows, f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", **values)[0][0]
    return sum(map(_looked_at, _nodes((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])))


def _looked_at(node: dict[str, Any]) -> int:
    passed = sum(n for name, n in node.items() if name.startswith("Rows Removed"))
    return int((node["Actual Rows"] + passed) * node["Actual Loops"]) if "Relation Name" in node else 0


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(found for child in node.get("Plans", []) for found in _nodes(child))]


def count_rows_read(
    ledger: Ledger, module: ModuleType, work: Callable[..., Any], *args: Any, **more: Any
) -> int:
    """Return the number of rows that all statements of the module read while ``work(connection, *args)`` runs."""
    read: list[int] = []

    def count(c: Any, sql: str, /, **values: Any) -> list[Any]:
        read.append(count_read(ledger, sql, **values))
        return rows(c, sql, **values)

    with pytest.MonkeyPatch.context() as patch, ledger.database.begin() as c:
        patch.setattr(module, "rows", count)
        work(c, *args, **more)
    assert read
    return sum(read)
