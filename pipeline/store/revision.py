"""The revision of the tables that this code needs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"
"""The folder of migrations; its README has the rules."""


@cache
def find_code_revision() -> str:
    """Return the newest revision in the folder. Revisions are four digits, so their text order is their chain order."""
    return max(path.stem[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
