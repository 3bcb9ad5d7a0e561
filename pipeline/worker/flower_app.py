"""The Celery app that Flower loads. Flower configures no logging by signal as workers do, so this import does it."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

from flower.events import Events
from flower.views.monitor import Metrics
from tornado.web import authenticated

from pipeline.worker.app import app, configure_logging

__all__ = ["app"]

log = logging.getLogger("slipway.flower")


def save_state(events: Events) -> None:
    """Store the tasks in one file, whole or not at all: of Flower's own three, a kill leaves some new and some old."""
    unfinished = Path(f"{events.db}.unfinished")
    unfinished.write_bytes(pickle.dumps((events.state, dict(events.state.counter))))
    unfinished.replace(events.db)


def load_state(events: Events) -> Any:
    """Return the tasks that were stored last; None if there are none, or none that this version can read."""
    file = Path(events.db)
    try:
        state, counter = pickle.loads(file.read_bytes())  # noqa: S301  a folder of our own
    except FileNotFoundError:
        return None
    except Exception:
        log.exception(
            "%s cannot be read: it is moved to %s.corrupt, and Flower starts without tasks", file, file
        )
        file.replace(f"{file}.corrupt")
        return None
    state.counter.update(counter)
    return state


configure_logging()
Events.save_state, Events.load_state = save_state, load_state
# its other pages ask for the login themselves; `/healthcheck` stays open
Metrics.get = authenticated(Metrics.get)
# at each look for workers, and so at its start, it warns four times while none answers; its page shows which do
logging.getLogger("flower.inspector").setLevel(logging.ERROR)
