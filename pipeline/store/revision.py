"""The revision and the digest of the tables that this code needs."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"
"""The folder of migrations; its README has the rules."""


@cache
def find_code_revision() -> str:
    """Return the newest revision in the folder: ``s`` and four digits, in the text order of their chain."""
    return "s" + max(path.stem[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


@cache
def compute_schema_digest(migrations: Path = MIGRATIONS) -> str:
    """Return the SHA-256 of the statements of ``schema.sql``; comments and white space do not count."""
    sql = re.sub("--.*", "", (migrations / "versions" / "schema.sql").read_text())
    return hashlib.sha256(" ".join(sql.split()).encode()).hexdigest()
