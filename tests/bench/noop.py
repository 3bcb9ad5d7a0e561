"""Celery app of the reference: our broker settings and no-op tasks. `bare.py` starts its workers."""

from __future__ import annotations

import time

from config.settings import settings
from pipeline.broker.celery_app import create_celery_app
from pipeline.limits.rate_buckets import create_redis_client

LATE = "bench:late"
"""The broker's list to which `record_lateness` appends."""

app = create_celery_app(settings())
app.conf.update(include=())
_client = create_redis_client(settings().broker.url.get_secret_value())


@app.task(name="bench.noop")  # type: ignore[untyped-decorator]
def noop() -> None:
    """Do nothing."""


@app.task(name="bench.tell")  # type: ignore[untyped-decorator]
def record_lateness(due: float) -> None:
    """Record how many seconds after *due* the task runs."""
    _client.rpush(LATE, time.time() - due)
