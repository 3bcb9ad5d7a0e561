"""How a worker ends: takes nothing new, finishes what it can in SLIPWAY_WORKER__SHUTDOWN, hands back the rest, goes."""

from __future__ import annotations

import logging
import os
from typing import Any

from celery.signals import worker_shutdown, worker_shutting_down

from config.settings import settings
from pipeline.store.database import Unreachable
from pipeline.wiring import CLOSING
from pipeline.worker.thread_pool import Pool

log = logging.getLogger("slipway.worker")


@worker_shutting_down.connect
def told_to_stop(**_: Any) -> None:
    """In the signal's handler, at once: from here on slices begin nothing that they could not finish."""
    CLOSING.begin(settings().worker.shutdown)


@worker_shutdown.connect
def leave(sender: Any, **_: Any) -> None:
    """The last step of a stop: the broker has its messages back. What still runs is handed back, and left.

    Python would wait for its threads at the end, so the process ends here.
    """
    pool: Pool | None = getattr(sender, "pool", None)
    if pool is None or not pool.busy:
        return
    try:
        CLOSING.hand_back()
    except Unreachable:
        log.warning("what was in hand could not be handed back: it is rescued when its leases run out")
    log.warning("what still ran after %g s was handed back", settings().worker.shutdown)
    logging.shutdown()
    os._exit(sender.exitcode or 0)
