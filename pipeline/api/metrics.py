"""Metrics for Prometheus: of database and broker, the same from every process, and of this server's requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import redis
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from adapters.contract import Platform
from pipeline.api.http.bulkhead import Bulkhead
from pipeline.api.http.request_metrics import collect_requests
from pipeline.api.ledger_metrics import read_ledger
from pipeline.queues import ALL_QUEUES
from pipeline.store.database import Database

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CACHE_SECONDS = 5.0
"""Least time between two readings of the database and the broker, however often they are requested."""
INTERVAL_FACTOR = 20
"""The next reading waits for this many times the duration of the last, so that a slow database is asked less often."""


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps its collectors by identity
class Snapshot(Collector):
    """The metrics of one moment."""

    metrics: Sequence[Metric]

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self.metrics


class Metrics:
    """Reads and caches the metrics."""

    def __init__(
        self,
        database: Database,
        broker: redis.Redis,
        bulkhead: Bulkhead,
        retirements: Mapping[tuple[Platform, str], date],
    ) -> None:
        self._database, self._broker, self._bulkhead = database, broker, bulkhead
        self._retirements = retirements
        self._lock = asyncio.Lock()
        self._text, self._valid_until = b"", 0.0

    async def render(self) -> bytes:
        """Return the metrics in Prometheus' text format; those of database and broker are a few seconds old at most."""
        async with self._lock:
            if time.monotonic() >= self._valid_until:
                start = time.monotonic()
                self._text = await self._bulkhead.run(self._read)
                duration = time.monotonic() - start
                self._valid_until = time.monotonic() + max(CACHE_SECONDS, INTERVAL_FACTOR * duration)
        return self._text + await self._bulkhead.run(collect_requests)

    def _read(self) -> bytes:
        ledger, queues = read_ledger(self._database), _read_queues(self._broker)
        up = GaugeMetricFamily("slipway_up", "1 if the part is reachable, else 0.", labels=["part"])
        up.add_metric(["database"], float(ledger is not None))
        up.add_metric(["broker"], float(queues is not None))
        registry = CollectorRegistry()
        registry.register(
            Snapshot([up, _build_versions(self._retirements), *(ledger or ()), *(queues or ())])
        )
        return generate_latest(registry)


def _read_queues(broker: redis.Redis) -> Sequence[Metric] | None:
    """Return the lengths of the queues; None if the broker is unreachable."""
    try:
        pipeline = broker.pipeline(transaction=False)
        for queue in ALL_QUEUES:
            pipeline.llen(queue)
        pipeline.hlen("unacked")  # kombu's Redis transport keeps unacknowledged messages here
        *lengths, unacknowledged = pipeline.execute()
    except (RedisError, OSError):
        return None
    queues = GaugeMetricFamily("slipway_queue_messages", "Messages that wait in the queue.", labels=["queue"])
    for queue, n in zip(ALL_QUEUES, lengths, strict=True):
        queues.add_metric([queue], n)
    text = "Messages delivered to a worker and not acknowledged yet."
    return [queues, GaugeMetricFamily("slipway_unacknowledged_messages", text, value=unacknowledged)]


def _build_versions(retirements: Mapping[tuple[Platform, str], date]) -> Metric:
    versions = GaugeMetricFamily(
        "slipway_api_version_retires_timestamp_seconds",
        "When the vendor retires the API version that is sent to the platform; 0: unknown.",
        labels=["platform", "version"],
    )
    for labels, day in retirements.items():
        versions.add_metric(labels, (day - date(1970, 1, 1)).total_seconds())
    return versions
