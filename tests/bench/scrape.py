"""Measure what one scrape of /metrics reads of the database, in a system with very many deliveries."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pipeline.api.ledger_metrics import LEFT_OUT, read_ledger
from pipeline.store.database import rows
from tests.bench.environment import BenchEnvironment
from tests.bench.figures import Figure, InvalidMeasurement, percentile
from tests.bench.reading import WARM_UP, generate_posts
from tests.stack import Stack

AGAINST = "the same on an empty database"
OVERDUE = 20_000
"""Deliveries that are overdue while it is measured, as in an outage."""
_OVERDUE = """
UPDATE deliveries SET due_at = now() - interval '1 hour', next_at = now() - interval '1 hour'
WHERE id IN (SELECT id FROM deliveries WHERE state = 'scheduled' LIMIT :n) RETURNING platform
"""
_COUNTED = """
INSERT INTO counted_deliveries (delivery_id, platform, state, reason, since, due_at, attempts)
SELECT id, platform, state, '', now(), due_at, 1 FROM deliveries WHERE state = 'failed' RETURNING platform
"""


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure reading all metrics of the ledger, by one connection."""
    many = environment.scale.posts_to_read
    with environment.stack() as stack:
        empty = _time_readings(environment, stack)
        began = time.monotonic()
        generate_posts(stack, many)
        deliveries = _arrange(stack)
        environment.log(f"  {deliveries:,} deliveries generated in {time.monotonic() - began:.0f} s")
        found = _time_readings(environment, stack)
        half, of_empty = (percentile(times, 0.5) * 1000 for times in (found, empty))
        yield Figure(
            name=f"metrics of the database, {deliveries:,} deliveries, p99",
            value=percentile(found, 0.99) * 1000,
            unit="ms",
            reference=percentile(empty, 0.99) * 1000,
            against=AGAINST,
            target="under 50 ms",
            detail=f"p50 {half:.1f} ms, of the reference {of_empty:.1f} ms",
        )


def _time_readings(environment: BenchEnvironment, stack: Stack) -> list[float]:
    """Return the seconds of each reading, after uncounted ones."""
    for _ in range(WARM_UP):
        read_ledger(stack.context.database)
    return [_read_once(stack) for _ in range(environment.scale.reads)]


def _arrange(stack: Stack) -> int:
    """Make deliveries overdue, remember the failed ones as the export of moves does, and return how many there are."""
    with stack.context.database.begin() as c:
        rows(c, _OVERDUE, n=OVERDUE)
        rows(c, _COUNTED)
    with stack.context.database.once() as c:
        c.exec_driver_sql("VACUUM (ANALYZE) deliveries, counted_deliveries")
        return int(rows(c, "SELECT count(*) AS n FROM deliveries")[0].n)


def _read_once(stack: Stack) -> float:
    """Return the seconds of one reading. Raises InvalidMeasurement if a metric was too slow and is left out."""
    began = time.perf_counter()
    found = read_ledger(stack.context.database)
    seconds = time.perf_counter() - began
    missing = [s.labels["metric"] for m in found or () if m.name == LEFT_OUT for s in m.samples if s.value]
    if found is None or missing:
        raise InvalidMeasurement(f"The database was not read, or without {', '.join(missing)}.")
    return seconds
