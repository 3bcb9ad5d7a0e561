"""Celery's thread pool with a bounded stop: it stops waiting for its tasks when the shutdown's time is over."""

from __future__ import annotations

from concurrent.futures import Future, wait
from typing import Any

from celery.concurrency.thread import TaskPool

from config.settings import settings
from pipeline.wiring import SHUTDOWN


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
