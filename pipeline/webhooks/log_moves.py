"""Log one line for each delivery that is settled, blocked or unknown: what became of it, and of which request."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from config.logging import log_event
from pipeline.domain.delivery import State
from pipeline.store.moves.read import MoveFacts

log = logging.getLogger("slipway.deliveries")

LEVELS = {
    State.PUBLISHED: logging.INFO,
    State.CANCELLED: logging.INFO,
    State.FAILED: logging.WARNING,
    State.BLOCKED: logging.WARNING,
    State.UNKNOWN: logging.WARNING,
}
"""The states that are logged. Of others, the history of a delivery tells (`slipway delivery show`)."""
LONGEST_AGO = timedelta(hours=1)
"""Older moves are not logged: an upgrade counts all moves there ever were."""


def log_moves(_: Connection, moves: Sequence[MoveFacts]) -> None:
    """Log the moves of a batch, with ids and classes only: no text of a customer or of a platform, and no URL.

    Moves that are exported once more, because the process died before it stored its position, are logged once more.
    """
    for m in moves:
        level = LEVELS.get(State(m.target))
        if level is None or not m.changes_state or m.read_at - m.at > LONGEST_AGO:
            continue
        log_event(log, level, "delivery", _to_fields(m))


def _to_fields(m: MoveFacts) -> dict[str, str | int | float | None]:
    return {
        "outcome": m.target,
        "platform": m.platform,
        "reason": m.reason,
        "class": m.error_class or None,
        "code": None if m.error is None else m.error.get("code"),
        "lateness": None if m.lateness is None else round(m.lateness, 3),
        "delivery": str(m.delivery_id),
        "post": str(m.post_id),
        "account": str(m.account_id),
        "workspace": str(m.workspace_id),
        "request_id": m.request_id,
        "move": m.id,
    }
