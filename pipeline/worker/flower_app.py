"""The Celery app that Flower loads. Flower configures no logging by signal as workers do, so this import does it."""

from __future__ import annotations

import logging

from flower.views.monitor import Metrics
from tornado.web import authenticated

from pipeline.worker.app import app, configure_logging

__all__ = ["app"]

configure_logging()
# its other pages ask for the login themselves; `/healthcheck` stays open
Metrics.get = authenticated(Metrics.get)
# at each look for workers, and so at its start, it warns four times while none answers; its page shows which do
logging.getLogger("flower.inspector").setLevel(logging.ERROR)
