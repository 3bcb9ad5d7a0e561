"""The Celery app that `celery -A pipeline.worker.app` runs: our tasks and our logging on ``pipeline.celery_app``."""

from __future__ import annotations

import logging
from typing import Any

from celery.signals import setup_logging

from config.logging import secrets_of, set_up
from config.settings import settings
from pipeline.celery_app import configured

app = configured(settings())


@setup_logging.connect
def log_as_the_settings_say(**_: Any) -> None:
    """Ours instead of Celery's: secrets hidden, and no two lines per task (the ledger's moves tell more)."""
    set_up(settings().log, secrets_of(settings()))
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
