"""Metrics for Prometheus: of database and broker, the same from every process, and of this server's requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import redis
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from adapters.contract import Platform
from pipeline.api.http.bulkhead import Bulkhead, DeadlineReading
from pipeline.api.http.request_metrics import collect_requests
from pipeline.api.ledger_metrics import read_ledger
from pipeline.broker.queue_liveness import BEAT, BEAT_TTL, beat_key
from pipeline.broker.queues import ALL_QUEUES
from pipeline.store.database import Database

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CACHE_SECONDS = 5.0
"""Least time between two readings of the database and the broker, however often they are requested."""
ANSWER_SECONDS = 4.0
"""A part that does not answer within this counts as unreachable; Prometheus gives a scrape ten seconds."""
INTERVAL_FACTOR = 20
"""The next reading waits for this many times the duration of the last, so that a slow database is asked less often."""


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps its collectors by identity
class Snapshot(Collector):
    """The metrics at one time."""

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
        self._ledger = DeadlineReading(bulkhead, partial(read_ledger, database), ANSWER_SECONDS)
        self._queues = DeadlineReading(bulkhead, partial(_read_queues, broker), ANSWER_SECONDS)
        self._bulkhead, self._retirements = bulkhead, retirements
        self._lock = asyncio.Lock()
        self._text, self._valid_until = b"", 0.0

    async def render(self) -> bytes:
        """Return the metrics in Prometheus' text format; those of database and broker are a few seconds old at most."""
        async with self._lock:
            if time.monotonic() >= self._valid_until:
                start = time.monotonic()
                ledger, queues = await asyncio.gather(self._ledger.read(), self._queues.read())
                has_all = ledger is not None and queues is not None
                duration = time.monotonic() - start if has_all else 0.0
                self._text = await self._bulkhead.run(partial(self._format, ledger, queues))
                self._valid_until = time.monotonic() + max(CACHE_SECONDS, INTERVAL_FACTOR * duration)
        return self._text + await self._bulkhead.run(collect_requests)

    def _format(self, ledger: Sequence[Metric] | None, queues: Sequence[Metric] | None) -> bytes:
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
        pipeline.exists(beat_key(BEAT))
        *lengths, unacknowledged, beats = pipeline.execute()
    except (RedisError, OSError):
        return None
    queues = GaugeMetricFamily("slipway_queue_messages", "Messages that wait in the queue.", labels=["queue"])
    for queue, n in zip(ALL_QUEUES, lengths, strict=True):
        queues.add_metric([queue], n)
    text = "Messages delivered to a worker and not acknowledged yet."
    beat = f"1 if beat has sent periodic tasks in the last {BEAT_TTL} s, else 0. The workers send them too."
    return [
        queues,
        GaugeMetricFamily("slipway_unacknowledged_messages", text, value=unacknowledged),
        GaugeMetricFamily("slipway_beat_running", beat, value=beats),
    ]


def _build_versions(retirements: Mapping[tuple[Platform, str], date]) -> Metric:
    versions = GaugeMetricFamily(
        "slipway_api_version_retires_timestamp_seconds",
        "When the vendor retires the API version that is sent to the platform; 0: unknown.",
        labels=["platform", "version"],
    )
    for labels, day in retirements.items():
        versions.add_metric(labels, (day - date(1970, 1, 1)).total_seconds())
    return versions
