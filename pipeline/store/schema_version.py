"""Whether code and tables fit: how far the tables are, and the oldest code that they still serve.

Expanding the tables leaves older code running. A contract step takes away what older code uses; it says since which
revision code does without, and that is noted here for code that is too old to know the step.
"""

from __future__ import annotations

import re

from sqlalchemy import Connection

from pipeline.store.database import row
from pipeline.store.revision import revision_of_code

_MARK = "serves code from "


class Unfit(Exception):
    """Code and tables do not fit; the sentence says which of them has to change, and how."""


def require_fit(c: Connection) -> None:
    """Raises Unfit when the tables are behind this code, or have left it behind."""
    code, tables = revision_of_code(), revision_of_tables(c)
    if not tables:
        raise Unfit("The database has no tables yet: run `slipway migrate`.")
    if tables < code:
        raise Unfit(
            f"The database's tables are at {tables} and this code needs {code}: run `slipway migrate`."
        )
    oldest = oldest_code(c)
    if code < oldest:
        raise Unfit(
            f"This code is at {code}, and the database's tables serve none before {oldest} any more: start the newer "
            "version."
        )


def revision_of_tables(c: Connection) -> str:
    """Empty when there are none."""
    if (there := row(c, "SELECT to_regclass('alembic_version') AS t")) is None or there.t is None:
        return ""
    found = row(c, "SELECT version_num FROM alembic_version")
    return str(found.version_num) if found else ""


def oldest_code(c: Connection) -> str:
    """The oldest revision of code that the tables serve; empty when no step has been a contract step."""
    found = row(c, "SELECT obj_description(to_regclass('alembic_version'), 'pg_class') AS said")
    said = re.fullmatch(f"{_MARK}([0-9]{{4}})", found.said or "") if found else None
    return said[1] if said else ""


def mark(oldest: str) -> str:
    """The statement that notes it, for the transaction of the step. A comment: code of any age can read it."""
    if not re.fullmatch("[0-9]{4}", oldest):
        raise ValueError(f"{oldest!r} is not a revision.")
    return f"COMMENT ON TABLE alembic_version IS '{_MARK}{oldest}'"
