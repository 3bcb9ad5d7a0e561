"""Adds up what storing and moving posts has appended to the counts of posts."""

from __future__ import annotations

from pipeline.context import Core
from pipeline.store.rollups.compact import fold


def fold_counts(core: Core) -> int:
    """How many changes were added up."""
    with core.database.begin() as c:
        return fold(c)
