"""The Celery app that `celery -A pipeline.worker.app` runs: ``pipeline.broker.celery_app`` with Slipway's logging."""

from __future__ import annotations

import logging
from typing import Any

from celery.signals import setup_logging, worker_ready

from config.logging import list_secrets, set_up_logging
from config.settings import settings
from pipeline.broker.celery_app import create_celery_app
from pipeline.runtime.interpreter import collect_rarely, freeze_modules, limit_arenas

limit_arenas()
collect_rarely()
app = create_celery_app(settings())


@setup_logging.connect
def configure_logging(**_: Any) -> None:
    """Configure logging instead of Celery: secrets are hidden, and neither tasks nor beat log lines of their own.

    Moves say more than tasks do, and ``log_moves`` logs the moves that matter.
    """
    set_up_logging(settings().log, list_secrets(settings()))
    for name in ("celery.worker.strategy", "celery.app.trace", "celery.beat"):
        logging.getLogger(name).setLevel(logging.WARNING)


@worker_ready.connect
def freeze_loaded_modules(**_: Any) -> None:
    """Freeze the loaded modules once the worker is about to take messages."""
    freeze_modules()
