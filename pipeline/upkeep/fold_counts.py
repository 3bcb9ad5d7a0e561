"""Adds up what storing and moving posts has appended to the counts of posts."""

from __future__ import annotations

from pipeline.core import Core
from pipeline.store.folding import fold


def fold_counts(core: Core) -> int:
    """How many changes were added up."""
    with core.database.begin() as c:
        return fold(c)
