"""Worker shutdown: take nothing new, finish what fits in SLIPWAY_WORKER__SHUTDOWN seconds, requeue the rest, exit."""

from __future__ import annotations

import logging
import os
from typing import Any

from celery.signals import worker_shutdown, worker_shutting_down

from config.settings import settings
from pipeline.runtime.tracing import stop_tracing
from pipeline.store.database import Unreachable
from pipeline.wiring import SHUTDOWN
from pipeline.worker.thread_pool import BoundedThreadPool

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
