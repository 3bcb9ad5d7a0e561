"""Canaries: when each queue was last consumed, by the database's clock, independent of what the broker remembers.

With it the level of the queue's consumers, the highest that took a message within ``LEVEL_AGE``, and their hosts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from pipeline.domain.level import LEVEL
from pipeline.store.database import execute, jsonb, read_all, rows

LEVEL_AGE = timedelta(minutes=1)
"""How long the level of a worker counts after the last message it took, while only older ones take more."""
WORKER_LEVEL = """(SELECT min(k.level) FROM canaries k
                   WHERE k.queue IN ('delay', 'status', 'publish.' || {of}.platform))"""
"""Expression on a row ``{of}`` with a platform: the level of the workers on the whole way of its deliveries."""
STEERING_LEVEL = "(SELECT k.level FROM canaries k WHERE k.queue = 'imports')"
"""Expression for the level of the workers that do the steps of steering jobs."""
TOO_NEW = f"(d.level > 1 AND d.level > {WORKER_LEVEL.format(of='d')}) IS TRUE"
"""Condition on a delivery ``d``: no running worker understands all of it; false where no worker was seen yet."""


def record_consumed(c: Connection, queues: Collection[str], level: int = LEVEL) -> None:
    """Record that workers of this level take messages from these queues now."""
    execute(
        c,
        """INSERT INTO canaries AS k (queue, taken_at, level, level_at)
           SELECT q, now(), :level, now() FROM unnest(CAST(:queues AS text[])) AS q ORDER BY q
           ON CONFLICT (queue) DO UPDATE SET taken_at = greatest(k.taken_at, excluded.taken_at),
               (level, level_at) = (SELECT excluded.level, excluded.level_at UNION ALL SELECT k.level, k.level_at
                   WHERE k.level > excluded.level AND k.level_at > now() - CAST(:age AS interval)
                   ORDER BY 1 DESC LIMIT 1)""",
        queues=list(queues),
        level=level,
        age=LEVEL_AGE,
    )


def record_canary(c: Connection, queue: str, level: int = LEVEL) -> None:
    """Record that a worker of this level consumed a canary message of this queue now."""
    record_consumed(c, [queue], level)


def read_silences(c: Connection) -> Mapping[str, timedelta]:
    """Return how long ago each queue was consumed; queues that never were are left out."""
    return {r.queue: r.age for r in rows(c, "SELECT queue, now() - taken_at AS age FROM canaries")}


HOST_KEPT = timedelta(hours=1)
"""How long a host that stopped without saying so is remembered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """A host whose worker consumes a queue. ``facts``: its last report (``actions.hosts``), received ``age`` ago."""

    queue: str
    name: str
    age: timedelta
    facts: Mapping[str, Any]


def record_host(c: Connection, queues: Collection[str], name: str, facts: Mapping[str, Any] | None) -> None:
    """Record that a worker of this host consumes these queues, with its report. None: it no longer does."""
    execute(
        c,
        """WITH mine AS (
               SELECT queue FROM canaries WHERE queue = ANY(CAST(:queues AS text[])) ORDER BY queue FOR UPDATE)
           UPDATE canaries k SET hosts = coalesce((
               SELECT jsonb_object_agg(h.key, h.value) FROM jsonb_each(k.hosts) h
               WHERE h.key <> :name AND CAST(h.value ->> 'at' AS timestamptz) > now() - CAST(:kept AS interval)), '{}')
               || CASE WHEN CAST(:facts AS jsonb) IS NULL THEN '{}' ELSE jsonb_build_object(
                   CAST(:name AS text), CAST(:facts AS jsonb) || jsonb_build_object('at', now())) END
           FROM mine WHERE k.queue = mine.queue""",
        queues=list(queues),
        name=name,
        facts=jsonb(facts),
        kept=HOST_KEPT,
    )


def list_hosts(c: Connection) -> list[Host]:
    """Return the hosts of each queue."""
    return read_all(
        c,
        Host,
        """SELECT * FROM (
               SELECT k.queue, h.key AS name, now() - CAST(h.value ->> 'at' AS timestamptz) AS age, h.value AS facts
               FROM canaries k, jsonb_each(k.hosts) h) x WHERE age < CAST(:kept AS interval) ORDER BY name, queue""",
        kept=HOST_KEPT,
    )
