"""Celery's thread pool, but it is left when the time of a stopping process is over, whatever still runs in it."""

from __future__ import annotations

from concurrent.futures import Future, wait
from typing import Any

from celery.concurrency.thread import TaskPool

from config.settings import settings
from pipeline.wiring import CLOSING


class Pool(TaskPool):
    """Threads. Named by the app's ``worker_pool``, so that every worker of ours has it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._running: set[Future[Any]] = set()

    def on_apply(self, *args: Any, **options: Any) -> Any:
        """As Celery does."""
        result = super().on_apply(*args, **options)
        self._running.add(result.f)
        result.f.add_done_callback(self._running.discard)
        return result

    def on_stop(self) -> None:
        """Waits for what runs. Celery's would wait for ever; what has not begun is the broker's again in both."""
        CLOSING.begin(settings().worker.shutdown)  # however it is stopped; SIGTERM has begun it already
        self.executor.shutdown(wait=False, cancel_futures=True)
        left = CLOSING.left()
        wait(tuple(self._running), None if left is None else left.total_seconds())

    @property
    def busy(self) -> bool:
        """Whether something still runs."""
        return not all(future.done() for future in tuple(self._running))
