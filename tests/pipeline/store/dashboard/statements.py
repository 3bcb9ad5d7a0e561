"""Statements of a function of the store: how many rows each reads."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from pipeline.store.database import rows
from tests.pipeline.store.ledger import Ledger
from tests.pipeline.store.plans import count_read


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
