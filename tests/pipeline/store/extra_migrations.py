"""A folder of migrations: the code's, followed by a test's own."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.store.revision import MIGRATIONS, find_code_revision


def number(n: int) -> str:
    """Return the revision of a test's nth migration; the 0th is the code's newest."""
    return f"s{int(find_code_revision()[1:]) + n:04}"


def more(tmp_path: Path, *bodies: str, minimum_code: str = "") -> Path:
    """Create the folder. ``minimum_code``: of the last migration."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for n, body in enumerate(bodies, 1):
        last = f"minimum_code = {minimum_code!r}" if minimum_code and n == len(bodies) else ""
        (folder / "versions" / f"{number(n)[1:]}_more.py").write_text(
            f"""from alembic import op
from pipeline.store.migrate import index_concurrently

revision, down_revision = {number(n)!r}, {number(n - 1)!r}
{last}


def upgrade() -> None:
    {body}
"""
        )
    return folder
