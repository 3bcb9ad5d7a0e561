"""The reference of deliveries: Celery with our broker settings and nothing to do. Run by the workers of `bare.py`."""

from __future__ import annotations

import time

from config.settings import settings
from pipeline.celery_app import create_celery_app
from pipeline.rate_buckets import create_redis_client

LATE = "bench:late"
"""The list in the broker that `record_lateness` leaves lateness in."""

app = create_celery_app(settings())
app.conf.update(include=(), beat_schedule={})
_client = create_redis_client(settings().broker.url.get_secret_value())


@app.task(name="bench.noop")  # type: ignore[untyped-decorator]
def noop() -> None:
    """Nothing."""


@app.task(name="bench.tell")  # type: ignore[untyped-decorator]
def record_lateness(due: float) -> None:
    """How many seconds after its time it ran."""
    _client.rpush(LATE, time.time() - due)
