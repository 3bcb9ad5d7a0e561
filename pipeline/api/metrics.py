"""Metrics for Prometheus, counted in the database and the broker, so that every process reports the same numbers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import redis
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from adapters.contract import Platform
from pipeline.api.http.bulkhead import Bulkhead
from pipeline.queues import ALL_QUEUES
from pipeline.store.canaries import read_silences
from pipeline.store.checks.checks import count_faults
from pipeline.store.database import Database, Unreachable
from pipeline.store.deliveries.dead_letters import Cause, DeadLetterFilter, count_causes
from pipeline.store.health import count_deliveries, count_posts, set_statement_timeout

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CACHE_SECONDS = 5.0
"""Least time between two counts, however often they are requested."""
INTERVAL_FACTOR = 20
"""The next count waits for this many times the duration of the last, so a large database is counted less often."""
STATEMENT_TIMEOUT = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)  # a registry keeps its collectors by identity
class Snapshot(Collector):
    """The numbers of one moment. None stands for a part that did not answer."""

    posts: Mapping[str, int] | None
    deliveries: Mapping[tuple[str, str], int] | None
    queues: Mapping[str, int] | None
    silences: Mapping[str, timedelta]
    causes: Sequence[Cause]
    faults: int | None
    unacknowledged: int = field(default=0)
    retirements: Mapping[tuple[Platform, str], date] = field(default_factory=dict)
    """API versions that are sent, and when their vendors retire them."""

    def collect(self) -> Iterator[Metric]:
        """Yield the numbers as Prometheus metrics."""
        up = GaugeMetricFamily(
            "slipway_up", "1 if the part answered when these metrics were counted, else 0.", labels=["part"]
        )
        up.add_metric(["database"], float(self.posts is not None))
        up.add_metric(["broker"], float(self.queues is not None))
        yield up
        posts = GaugeMetricFamily(
            "slipway_posts", "Posts by stored status, deleted ones excluded.", labels=["status"]
        )
        for status, n in (self.posts or {}).items():
            posts.add_metric([status], n)
        yield posts
        deliveries = GaugeMetricFamily(
            "slipway_deliveries", "Deliveries by platform and state.", labels=["platform", "state"]
        )
        for (platform, state), n in (self.deliveries or {}).items():
            deliveries.add_metric([platform, state], n)
        yield deliveries
        yield from self._collect_incidents()
        yield self._collect_versions()
        if self.queues is not None:
            yield from self._collect_queues(self.queues)

    def _collect_incidents(self) -> Iterator[Metric]:
        letters = GaugeMetricFamily(
            "slipway_dead_letters",
            "Deliveries that failed or wait for a person, and are not dealt with yet.",
            labels=["platform", "class"],
        )
        totals: Counter[tuple[str, str]] = Counter()
        for cause in self.causes:
            totals[cause.platform, cause.error_class or ""] += cause.letters
        for labels, n in totals.items():
            letters.add_metric(labels, n)
        yield letters
        if self.faults is not None:
            yield GaugeMetricFamily(
                "slipway_check_faults",
                "Checks of media that wait because a fault of this installation ended their last try. Each try is "
                "logged as ALARM with its traceback.",
                value=self.faults,
            )
        quiet = GaugeMetricFamily(
            "slipway_queue_silence_seconds",
            "Seconds since a worker took a message out of the queue.",
            labels=["queue"],
        )
        for queue, silence in self.silences.items():
            quiet.add_metric([queue], silence.total_seconds())
        yield quiet

    def _collect_versions(self) -> Metric:
        versions = GaugeMetricFamily(
            "slipway_api_version_retires_timestamp_seconds",
            "When the vendor retires the API version that is sent to the platform; 0: unknown.",
            labels=["platform", "version"],
        )
        for labels, day in self.retirements.items():
            versions.add_metric(labels, (day - date(1970, 1, 1)).total_seconds())
        return versions

    def _collect_queues(self, lengths: Mapping[str, int]) -> Iterator[Metric]:
        queues = GaugeMetricFamily(
            "slipway_queue_messages", "Messages that wait in the queue.", labels=["queue"]
        )
        for queue, n in lengths.items():
            queues.add_metric([queue], n)
        yield queues
        yield GaugeMetricFamily(
            "slipway_unacknowledged_messages",
            "Messages delivered to a worker and not acknowledged yet.",
            value=self.unacknowledged,
        )


class Metrics:
    """Counts and caches the metrics."""

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
        """Return the metrics in Prometheus' text format, a few seconds old at most, unless counting is slow."""
        async with self._lock:
            if time.monotonic() >= self._valid_until:
                start = time.monotonic()
                self._text = await self._bulkhead.run(self._count)
                duration = time.monotonic() - start
                self._valid_until = time.monotonic() + max(CACHE_SECONDS, INTERVAL_FACTOR * duration)
        return self._text

    def _count(self) -> bytes:
        queues, unacknowledged = self._count_queues()
        registry = CollectorRegistry()
        registry.register(
            Snapshot(
                **self._count_database(),
                queues=queues,
                unacknowledged=unacknowledged,
                retirements=self._retirements,
            )
        )
        return generate_latest(registry)

    def _count_database(self) -> dict[str, Any]:
        try:
            with self._database.begin() as c:
                set_statement_timeout(c, STATEMENT_TIMEOUT)
                return {
                    "posts": count_posts(c),
                    "deliveries": count_deliveries(c),
                    "silences": read_silences(c),
                    "causes": count_causes(c, DeadLetterFilter()),
                    "faults": count_faults(c),
                }
        except Unreachable:
            return {"posts": None, "deliveries": None, "silences": {}, "causes": (), "faults": None}

    def _count_queues(self) -> tuple[Mapping[str, int] | None, int]:
        try:
            pipeline = self._broker.pipeline(transaction=False)
            for queue in ALL_QUEUES:
                pipeline.llen(queue)
            pipeline.hlen("unacked")  # kombu's Redis transport keeps unacknowledged messages here
            *lengths, unacknowledged = pipeline.execute()
        except (RedisError, OSError):
            return None, 0
        return dict(zip(ALL_QUEUES, lengths, strict=True)), unacknowledged
