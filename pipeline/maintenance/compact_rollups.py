"""Adds up what storing and moving posts has appended to the counts of posts."""

from __future__ import annotations

from pipeline.context import Context
from pipeline.store.rollups.compact import compact


def compact_rollups(context: Context) -> int:
    """How many changes were added up."""
    with context.database.begin() as c:
        return compact(c)
