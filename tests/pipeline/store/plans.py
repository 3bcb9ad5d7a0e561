"""Plans: how many rows a statement reads."""

from __future__ import annotations

import json
from typing import Any

from pipeline.store.database import rows
from tests.pipeline.store.ledger import Ledger


def count_read(ledger: Ledger, sql: str, **values: Any) -> int:
    """Return the number of rows that a statement reads, those it filters out included."""
    with ledger.database.begin() as c:
        plan = rows(c, f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", **values)[0][0]
    return sum(map(_looked_at, _nodes((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])))


def _looked_at(node: dict[str, Any]) -> int:
    passed = sum(n for name, n in node.items() if name.startswith("Rows Removed"))
    return int((node["Actual Rows"] + passed) * node["Actual Loops"]) if "Relation Name" in node else 0


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(found for child in node.get("Plans", []) for found in _nodes(child))]
