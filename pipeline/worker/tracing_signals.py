"""Start tracing when a worker is ready; ``shutdown.py`` ends it."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_ready

from config.settings import settings
from pipeline.runtime.tracing import start_tracing


@worker_ready.connect
def begin(**_: Any) -> None:
    """Start tracing, if a collector is set."""
    start_tracing(settings().tracing, "worker")
