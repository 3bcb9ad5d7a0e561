"""Which revision of the tables this code was written for."""

from __future__ import annotations

from functools import cache
from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"
"""The folder whose README has the rules."""


@cache
def revision_of_code() -> str:
    """The newest revision in its folder: four digits, so that the order of the texts is the order of the chain."""
    return max(path.stem[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
