"""The reference of deliveries: Celery with our broker settings and nothing to do. Run by the workers of `bare.py`."""

from __future__ import annotations

import time

from config.settings import settings
from pipeline.celery_app import configured
from pipeline.rate_buckets import redis_client

LATE = "bench:late"
"""The list in the broker that `tell` leaves lateness in."""

app = configured(settings())
app.conf.update(include=(), beat_schedule={})
_client = redis_client(settings().broker.url.get_secret_value())


@app.task(name="bench.noop")  # type: ignore[untyped-decorator]
def noop() -> None:
    """Nothing."""


@app.task(name="bench.tell")  # type: ignore[untyped-decorator]
def tell(due: float) -> None:
    """How many seconds after its time it ran."""
    _client.rpush(LATE, time.time() - due)
