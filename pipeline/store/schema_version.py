"""Compatibility of code and tables: the revision of the tables, and the oldest code that works on them.

Expand steps leave older code working. A contract step removes what older code uses and names the oldest code that works
without it. The database records that revision, for code that is too old to know the step.
"""

from __future__ import annotations

import re

from sqlalchemy import Connection

from pipeline.store.database import row
from pipeline.store.revision import find_code_revision

_COMMENT = "serves code from "


class IncompatibleSchema(Exception):
    """Code and tables are incompatible; the message says which of them to upgrade, and how."""


class OutdatedTables(IncompatibleSchema):
    """The tables are too old for this code, or there are none: `slipway migrate` upgrades them."""


def require_compatible(c: Connection) -> None:
    """Raise IncompatibleSchema when the tables are too old for this code, or too new."""
    code, tables = find_code_revision(), read_table_revision(c)
    if not tables:
        raise OutdatedTables("The database has no tables yet: run `slipway migrate`.")
    if tables < code:
        raise OutdatedTables(
            f"The database's tables are at {tables} and this code needs {code}: run `slipway migrate`."
        )
    oldest = read_oldest_code(c)
    if code < oldest:
        raise IncompatibleSchema(
            f"This code is at {code}, and the database's tables need code of {oldest} or later: start the newer "
            "version."
        )


def read_table_revision(c: Connection) -> str:
    """Return the revision of the tables; empty when there are none."""
    if (there := row(c, "SELECT to_regclass('alembic_version') AS t")) is None or there.t is None:
        return ""
    found = row(c, "SELECT version_num FROM alembic_version")
    return str(found.version_num) if found else ""


def read_oldest_code(c: Connection) -> str:
    """Return the oldest code that works on the tables; empty when no contract step has been applied."""
    found = row(c, "SELECT obj_description(to_regclass('alembic_version'), 'pg_class') AS comment")
    match = re.fullmatch(f"{_COMMENT}([0-9]{{4}})", found.comment or "") if found else None
    return match[1] if match else ""


def build_oldest_code_comment(oldest: str) -> str:
    """Return the statement that records the oldest code: a comment on a table, which code of any age can read."""
    if not re.fullmatch("[0-9]{4}", oldest):
        raise ValueError(f"{oldest!r} is not a revision.")
    return f"COMMENT ON TABLE alembic_version IS '{_COMMENT}{oldest}'"
