"""The Celery app that Flower loads. Flower configures no logging by signal as workers do, so this import does it."""

from __future__ import annotations

from pipeline.worker.app import app, configure_logging

__all__ = ["app"]

configure_logging()
