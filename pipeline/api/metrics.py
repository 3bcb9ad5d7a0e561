"""Numbers for Prometheus, counted where the facts are: in the ledger and the broker, the same from every process."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import redis
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from pipeline.api.http.worker_lane import Lane
from pipeline.queues import ALL
from pipeline.store.canaries import silences
from pipeline.store.database import Database, Unreachable
from pipeline.store.deliveries.dead_letters import Cause, Which, causes
from pipeline.store.health import count_deliveries, count_posts, limit_time

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
KEPT = 5.0
"""Seconds the same numbers are given out at least, however often they are asked for."""
SHARE = 20
"""Counting may take one part in this many of the time: a big ledger is counted more rarely."""
LONGEST = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)  # a registry keeps its collectors by identity
class Count(Collector):
    """The numbers of one moment; None = that part did not answer."""

    posts: Mapping[str, int] | None
    deliveries: Mapping[tuple[str, str], int] | None
    queues: Mapping[str, int] | None
    silences: Mapping[str, timedelta]
    causes: Sequence[Cause]
    unacknowledged: int = field(default=0)

    def collect(self) -> Iterator[Metric]:
        """As Prometheus wants them."""
        up = GaugeMetricFamily(
            "slipway_up", "Whether the part answered when these were counted.", labels=["part"]
        )
        up.add_metric(["database"], float(self.posts is not None))
        up.add_metric(["broker"], float(self.queues is not None))
        yield up
        posts = GaugeMetricFamily(
            "slipway_posts", "Posts by stored status, without deleted ones.", labels=["status"]
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
        yield from self._operators()
        if self.queues is not None:
            yield from self._queues(self.queues)

    def _operators(self) -> Iterator[Metric]:
        """What somebody has to look at."""
        letters = GaugeMetricFamily(
            "slipway_dead_letters",
            "Deliveries that failed or wait for a person, and nobody dealt with.",
            labels=["platform", "class"],
        )
        totals: Counter[tuple[str, str]] = Counter()
        for cause in self.causes:
            totals[cause.platform, cause.error_class or ""] += cause.letters
        for labels, n in totals.items():
            letters.add_metric(labels, n)
        yield letters
        quiet = GaugeMetricFamily(
            "slipway_queue_silence_seconds",
            "Seconds since a worker took a canary out of the queue.",
            labels=["queue"],
        )
        for queue, silence in self.silences.items():
            quiet.add_metric([queue], silence.total_seconds())
        yield quiet

    def _queues(self, lengths: Mapping[str, int]) -> Iterator[Metric]:
        queues = GaugeMetricFamily(
            "slipway_queue_messages", "Messages nobody has taken yet.", labels=["queue"]
        )
        for queue, n in lengths.items():
            queues.add_metric([queue], n)
        yield queues
        yield GaugeMetricFamily(
            "slipway_unacknowledged_messages",
            "Messages taken and not finished, waiting ones included.",
            value=self.unacknowledged,
        )


class Metrics:
    """The last count, and when it may be made again."""

    def __init__(self, database: Database, broker: redis.Redis, lane: Lane) -> None:
        self._database, self._broker, self._lane = database, broker, lane
        self._lock = asyncio.Lock()
        self._text, self._until = b"", 0.0

    async def text(self) -> bytes:
        """The numbers in Prometheus' text format, at most a few seconds old."""
        async with self._lock:
            if time.monotonic() >= self._until:
                began = time.monotonic()
                self._text = await self._lane.run(self._count)
                took = time.monotonic() - began
                self._until = time.monotonic() + max(KEPT, SHARE * took)
        return self._text

    def _count(self) -> bytes:
        queues, unacknowledged = self._queues()
        registry = CollectorRegistry()
        registry.register(Count(**self._ledger(), queues=queues, unacknowledged=unacknowledged))
        return generate_latest(registry)

    def _ledger(self) -> dict[str, Any]:
        try:
            with self._database.begin() as c:
                limit_time(c, LONGEST)
                return {
                    "posts": count_posts(c),
                    "deliveries": count_deliveries(c),
                    "silences": silences(c),
                    "causes": causes(c, Which()),
                }
        except Unreachable:
            return {"posts": None, "deliveries": None, "silences": {}, "causes": ()}

    def _queues(self) -> tuple[Mapping[str, int] | None, int]:
        try:
            asked = self._broker.pipeline(transaction=False)
            for queue in ALL:
                asked.llen(queue)
            asked.hlen("unacked")  # where kombu's Redis transport keeps what was handed out
            *lengths, unacknowledged = asked.execute()
        except (RedisError, OSError):
            return None, 0
        return dict(zip(ALL, lengths, strict=True)), unacknowledged
