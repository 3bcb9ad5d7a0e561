"""The life of a worker: how it meets its broker, starts tracing, and shuts down.

At a shutdown it takes nothing new, finishes what fits in SLIPWAY_WORKER__SHUTDOWN seconds, requeues the rest and exits:
Celery's thread pool with a bounded stop, which stops waiting for its tasks when the shutdown's time is over.
"""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import Future, wait
from typing import Any

from celery.concurrency.thread import TaskPool
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from celery.worker import consumer

from config.settings import settings
from pipeline.runtime.tracing import start_tracing, stop_tracing
from pipeline.store.database import Unreachable
from pipeline.wiring import SHUTDOWN

PAUSE = 2.0
"""Seconds, as long as Celery waits before its first try at a broker that does not answer."""


class Consumer(consumer.Consumer):
    """The consumer of every worker; the app's ``worker_consumer`` names it."""

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Log the error as Celery does, and pause: it tries at once, five times a second, a traceback for each five."""
        super().on_connection_error_before_connected(exc)
        time.sleep(PAUSE)


@worker_ready.connect
def begin_tracing(**_: Any) -> None:
    """Start tracing, if a collector is set."""
    start_tracing(settings().tracing, "worker")


class BoundedThreadPool(TaskPool):
    """The thread pool of every worker; the app's ``worker_pool`` names it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._running: set[Future[Any]] = set()

    def on_apply(self, *args: Any, **options: Any) -> Any:
        """Start a task as Celery does, and keep its future."""
        result = super().on_apply(*args, **options)
        self._running.add(result.f)
        result.f.add_done_callback(self._running.discard)
        return result

    def on_stop(self) -> None:
        """Cancel unstarted tasks and wait for running ones until the time is over (Celery's pool waits for ever)."""
        # SIGTERM has begun it already; another way of stopping has not
        SHUTDOWN.begin(settings().worker.shutdown)
        self.executor.shutdown(wait=False, cancel_futures=True)
        left = SHUTDOWN.time_left()
        wait(tuple(self._running), None if left is None else left.total_seconds())

    @property
    def is_busy(self) -> bool:
        """True while a task runs."""
        return not all(future.done() for future in tuple(self._running))


log = logging.getLogger("slipway.worker")


@worker_shutting_down.connect
def begin_shutdown(**_: Any) -> None:
    """Begin the shutdown, in the signal handler: from now on no call begins that could not finish."""
    SHUTDOWN.begin(settings().worker.shutdown)


@worker_shutdown.connect
def finish_shutdown(sender: Any, **_: Any) -> None:
    """Requeue the claims of tasks that still run, and exit: the last step of a shutdown.

    The broker has its unstarted messages back by now. The process exits here, as Python would wait for its threads.
    """
    pool: BoundedThreadPool | None = getattr(sender, "pool", None)
    if pool is None or not pool.is_busy:
        stop_tracing()
        return
    try:
        SHUTDOWN.requeue_claims()
    except Unreachable:
        log.warning("running work could not be requeued; it is rescued when its leases expire")
    log.warning("shutdown: work still running after %g s was requeued", settings().worker.shutdown)
    stop_tracing()
    logging.shutdown()
    os._exit(sender.exitcode or 0)
