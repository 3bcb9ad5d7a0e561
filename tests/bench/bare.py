"""Reference: bare Celery on the same broker and pool. Rate of no-op tasks, and lateness of tasks with an ETA."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from celery import Celery
from redis import Redis

from pipeline.broker.celery_app import create_celery_app
from pipeline.limits.rate_buckets import create_redis_client
from tests.bench.environment import BenchEnvironment, await_workers
from tests.bench.figures import InvalidMeasurement
from tests.bench.noop import LATE
from tests.bench.processes import CpuReading
from tests.stack import Stack, until

QUEUE = "publish.tiktok"
ASIDE = "bench:aside"
POLL = 0.01
AHEAD = 0.5
"""Seconds from sending a task with an ETA to that ETA."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """Tasks or deliveries a second, and CPU milliseconds of each by part."""

    overall: float
    steady: float
    cpu: dict[str, float]


@contextmanager
def bare_workers(stack: Stack, command: list[str], number: int) -> Iterator[list[str]]:
    """Run workers with this command line (a real worker's, with the app of `noop`); stop the real ones first."""
    names = [f"bare-{n}" for n in range(number)]
    for name in names:
        hosted = [f"{name}@%h" if "@" in word else word for word in command]
        stack.start(name, *hosted)
    await_workers(stack, names)
    yield names
    for name in names:
        stack.kill(name)


def drain(
    environment: BenchEnvironment, stack: Stack, command: list[str], workers: int, number: int
) -> Throughput:
    """Give running workers all no-op tasks at one moment, and measure until the last is done."""
    client, app = _broker(stack)
    client.flushdb()
    _send_tasks(app, number)
    client.rename(QUEUE, ASIDE)  # no worker reads this list, until one command renames it to the queue
    with bare_workers(stack, command, workers):
        parts = environment.processes(stack)
        first = CpuReading.of(parts)
        since = time.monotonic()
        client.rename(ASIDE, QUEUE)
        seen = _watch(client, since + 60)
        spent = first.spent(CpuReading.of(parts))
    app.close()
    begun, nearly = (next(s for s in seen if s[1] <= number * share) for share in (0.9, 0.1))
    return Throughput(
        overall=number / (seen[-1][0] - since),
        steady=(begun[1] - nearly[1]) / (nearly[0] - begun[0]),
        cpu={name: used * 1000 / number for name, used in spent.items()},
    )


def measure_lateness(stack: Stack, number: int) -> list[float]:
    """Return the lateness in seconds of tasks with an ETA, sent one at a time to the running workers."""
    client, app = _broker(stack)
    client.delete(LATE)
    for n in range(number):
        due = datetime.now(UTC) + timedelta(seconds=AHEAD + random.random() / 5)
        app.send_task("bench.tell", args=[due.timestamp()], queue=QUEUE, eta=due)
        until(lambda n=n: client.llen(LATE) > n or None, 20, lambda: "a task with an ETA never ran")  # type: ignore[misc]
    app.close()
    return [float(late) for late in client.lrange(LATE, 0, -1)]


def _broker(stack: Stack) -> tuple[Redis, Celery]:
    return create_redis_client(stack.context.settings.broker.url.get_secret_value()), create_celery_app(
        stack.context.settings
    )


def _send_tasks(app: Celery, number: int) -> None:
    with app.producer_pool.acquire() as producer:
        for first in range(0, number, 500):
            with producer.batch():
                for _ in range(min(500, number - first)):
                    app.send_task(
                        "bench.noop", queue=QUEUE, producer=producer, retry=False, ignore_result=True
                    )


def _watch(client: Redis, end: float) -> list[tuple[float, int]]:
    """Return (time, unfinished tasks) until there is none. Raises InvalidMeasurement after *end*."""
    seen: list[tuple[float, int]] = []
    while time.monotonic() < end:
        with client.pipeline() as ask:
            ask.llen(QUEUE)
            ask.hlen("unacked")
            waiting, running = ask.execute()
        seen.append((time.monotonic(), int(waiting) + int(running)))
        if not seen[-1][1]:
            return seen
        time.sleep(POLL)
    raise InvalidMeasurement(f"After a minute {seen[-1][1]} no-op tasks were unfinished.")
