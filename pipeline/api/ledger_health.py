"""The checks of the database that /readyz makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from pipeline.store import canaries
from pipeline.store.database import Database, Unreachable
from pipeline.store.recovery import epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerHealth:
    """How long each queue has been silent, and the epoch."""

    silences: Mapping[str, timedelta]
    epoch_state: epoch.EpochState


def read_health(database: Database) -> LedgerHealth | None:
    """Return it; None if the database is unreachable."""
    try:
        with database.once() as c:
            return LedgerHealth(silences=canaries.read_silences(c), epoch_state=epoch.read(c))
    except Unreachable:
        return None
