"""Helpers of the tests about counters: what is counted, and what changes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.maintenance.read_moves import export_moves
from pipeline.store.counters.counters import read_counters
from pipeline.store.database import rows
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.receipted import read_progress

Key = tuple[str, ...]
"""The name of a counter without ``slipway_`` and ``_total``, then its labels' values in the order of their names."""


def export_all(core: CoreFixture) -> None:
    """Export until nothing is left: a test that has just ended may still hold the table's lock."""
    while export_moves(core.context) or not is_done(core):
        pass


def is_done(core: CoreFixture, reader: str = "export") -> bool:
    found = read_progress(core, reader)
    return bool(found.done >= found.last)


def read_all(core: CoreFixture) -> dict[Key, float]:
    with core.context.database.begin() as c:
        found = read_counters(c)
    return {
        (
            one.name.removeprefix("slipway_").removesuffix("_total"),
            *(v for _, v in sorted(one.labels.items())),
        ): one.value
        for one in found
    }


@contextmanager
def counting(core: CoreFixture) -> Iterator[dict[Key, float]]:
    """Collect what is counted meanwhile: the dictionary is filled at the end."""
    export_all(core)
    before, changed = read_all(core), dict[Key, float]()
    yield changed
    export_all(core)
    after = read_all(core)
    changed.update({key: n - before.get(key, 0) for key, n in after.items() if n != before.get(key, 0)})


def without_states(changed: dict[Key, float]) -> dict[Key, float]:
    """Leave out the deliveries by state, and the sum of the lateness."""
    return {k: n for k, n in changed.items() if k[0] not in ("deliveries", "delivery_lateness_seconds_sum")}


def states(found: dict[Key, float]) -> dict[Key, float]:
    """Return the deliveries by platform, reason and state."""
    return {k[1:]: n for k, n in found.items() if k[0] == "deliveries" and n}


def count_rows(core: CoreFixture) -> dict[Key, float]:
    """Count the deliveries by platform, reason and state, row by row."""
    with core.context.database.begin() as c:
        found: list[Any] = rows(
            c,
            """SELECT platform, coalesce(reason, '') AS reason, state, count(*) AS n FROM deliveries
               GROUP BY 1, 2, 3""",
        )
    return {(r.platform, r.reason, r.state): float(r.n) for r in found}
