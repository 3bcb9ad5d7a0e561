"""Celery's consumer with a pause between tries at a broker that answers, and refuses what a worker starts with."""

from __future__ import annotations

import time

from celery.worker import consumer

PAUSE = 2.0
"""Seconds, as long as Celery waits before its first try at a broker that does not answer."""


class Consumer(consumer.Consumer):
    """The consumer of every worker; the app's ``worker_consumer`` names it."""

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Log the error as Celery does, and pause: it tries at once, five times a second, a traceback for each five."""
        super().on_connection_error_before_connected(exc)
        time.sleep(PAUSE)
