"""Counters: totals that only the export of moves writes, deltas that others append, and facts already counted.

The record of deliveries lets each reason and attempt count once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple, dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.arrays import Records
from pipeline.store.database import execute, read_all, read_number, rows

ALARMS = "slipway_alarms_total"
LATENESS = "slipway_delivery_lateness_seconds"
DELIVERIES = "slipway_deliveries"
Labels = tuple[tuple[str, str], ...]
"""Names and values, in the order of the names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counter:
    """The value of one counter for one set of labels."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(slots=True)
class Increments:
    """The amounts to add to counters."""

    by_counter: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def add(self, name: str, labels: Mapping[str, str], amount: float = 1) -> None:
        """Add to the counter of this name and these labels."""
        key = name, tuple(sorted(labels.items()))
        self.by_counter[key] = self.by_counter.get(key, 0) + amount


_INCREMENTS = Records("name text, labels jsonb, value double precision")
_DELTAS = Records("labels jsonb, n integer")


def add_increments(c: Connection, some: Increments) -> None:
    """Add to the counters, in the order of their keys: the lock order."""
    changed = sorted((key, n) for key, n in some.by_counter.items() if n)
    if changed:
        execute(
            c,
            f"""INSERT INTO counters AS t (name, labels, value) SELECT * FROM {_INCREMENTS}
                ON CONFLICT (name, labels) DO UPDATE SET value = t.value + excluded.value""",
            **_INCREMENTS.bind((name, dict(labels), float(n)) for (name, labels), n in changed),
        )


def append_deltas(c: Connection, name: str, counts: Iterable[tuple[Mapping[str, str], int]]) -> None:
    """Count in the caller's transaction, without a lock; the export of moves adds it up."""
    found = [(labels, n) for labels, n in counts if n]
    if found:
        sql = f"INSERT INTO counter_deltas (name, labels, n) SELECT CAST(:name AS text), * FROM {_DELTAS}"
        execute(c, sql, name=name, **_DELTAS.bind(found))


STORAGE_FAULT = "storage_fault"
"""Kind of alarm: the file storage of this installation cannot be used."""


def count_alarm(c: Connection, kind: str) -> None:
    """Count an alarm in the caller's transaction, without a lock. The caller logs it as ALARM."""
    append_deltas(c, ALARMS, [({"kind": kind}, 1)])


def compact_deltas(c: Connection) -> int:
    """Add the appended deltas to the counters and return how many there were. One transaction at a time."""
    return read_number(
        c,
        """WITH taken AS (DELETE FROM counter_deltas RETURNING name, labels, n),
           added AS (
               INSERT INTO counters AS t (name, labels, value)
               SELECT name, labels, sum(n) FROM taken GROUP BY name, labels ORDER BY name, labels
               ON CONFLICT (name, labels) DO UPDATE SET value = t.value + excluded.value),
           dated AS (
               INSERT INTO alarms AS a (kind, hour, n, first_at)
               SELECT labels ->> 'kind', date_trunc('hour', now()), sum(n), now() FROM taken WHERE name = :alarms
               GROUP BY 1 ORDER BY 1
               ON CONFLICT (kind, hour) DO UPDATE SET n = a.n + excluded.n)
           SELECT count(*) AS n FROM taken""",
        alarms=ALARMS,
    )


def read_counters(c: Connection) -> list[Counter]:
    """Return all counters, by name and labels; deltas that are not compacted yet are added."""
    return read_all(
        c,
        Counter,
        """SELECT name, labels, sum(value) AS value FROM (
               SELECT name, labels, value FROM counters UNION ALL SELECT name, labels, n FROM counter_deltas) parts
           GROUP BY name, labels ORDER BY name, labels""",
    )


@dataclass(frozen=True, slots=True)
class Counted:
    """The counted facts of one delivery: its state since when, the reason, and its attempts up to a number."""

    platform: str
    state: str
    reason: str
    since: datetime
    due_at: datetime
    attempts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosedAttempt:
    """An attempt with its outcome; ``n`` numbers the attempts of a delivery, of which one at most is open."""

    delivery_id: UUID
    n: int
    outcome: str


_COUNTED = Records(
    "delivery_id uuid, platform text, state text, reason text, since timestamptz, due_at timestamptz, attempts integer"
)


def read_counted(c: Connection, deliveries: Collection[UUID]) -> dict[UUID, Counted]:
    """Return the counted facts of these deliveries; deliveries without a row are left out."""
    found = rows(
        c,
        f"""SELECT {_COUNTED.columns} FROM counted_deliveries
           WHERE delivery_id = ANY(CAST(:ids AS uuid[]))""",
        ids=list(deliveries),
    )
    return {identity: Counted(*values) for identity, *values in found}


def list_closed_attempts(c: Connection, deliveries: Collection[UUID]) -> list[ClosedAttempt]:
    """Return the closed attempts of these deliveries, in their order."""
    return read_all(
        c,
        ClosedAttempt,
        """SELECT t.delivery_id, t.n, t.outcome FROM unnest(CAST(:ids AS uuid[])) AS x (id), LATERAL (
               SELECT * FROM attempts WHERE delivery_id = x.id AND closed_at IS NOT NULL ORDER BY n OFFSET 0) t""",
        ids=list(deliveries),
    )


def save_counted(c: Connection, changed: Mapping[UUID, Counted | None]) -> None:
    """Store the counted facts of these deliveries; None: nothing has to be known of it any more."""
    if gone := [delivery for delivery, one in changed.items() if one is None]:
        execute(c, "DELETE FROM counted_deliveries WHERE delivery_id = ANY(CAST(:ids AS uuid[]))", ids=gone)
    if kept := [(delivery, *astuple(one)) for delivery, one in changed.items() if one is not None]:
        execute(
            c,
            f"""INSERT INTO counted_deliveries ({_COUNTED.columns}) SELECT * FROM {_COUNTED}
                ON CONFLICT (delivery_id) DO UPDATE SET state = excluded.state, reason = excluded.reason,
                    since = excluded.since, due_at = excluded.due_at, attempts = excluded.attempts""",
            **_COUNTED.bind(kept),
        )
