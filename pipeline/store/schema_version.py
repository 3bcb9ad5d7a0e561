"""Compatibility of code and tables: the schema of the tables, their revision, and the oldest code that works on them.

Expand steps leave older code working. A contract step removes what older code uses and names the oldest code that works
without it. The database records that revision, for code that is too old to know the step. Until the first release the
schema itself is edited in place, so the database records its digest too, and code of another schema refuses it.
"""

from __future__ import annotations

import re

from sqlalchemy import Connection

from pipeline.store.database import find_value, row
from pipeline.store.revision import compute_schema_digest, find_code_revision

REVISION = "s[0-9]{4}"
_OLDEST = "serves code from "
_DIGEST = "schema "


class IncompatibleSchema(Exception):
    """Code and tables are incompatible; the message says which of them to upgrade, and how."""


class OtherSchema(IncompatibleSchema):
    """The database was made by a commit with another schema; the message says how to save its posts."""


class OutdatedTables(IncompatibleSchema):
    """The tables are too old for this code, or there are none: `slipway migrate` upgrades them."""


def require_compatible(c: Connection) -> None:
    """Raise IncompatibleSchema when the tables are of another schema, too old for this code, or too new."""
    code, tables = find_code_revision(), read_table_revision(c)
    if not tables:
        raise OutdatedTables("The database has no tables yet: run `slipway migrate`.")
    require_own_schema(c)
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


def require_own_schema(c: Connection) -> None:
    """Raise OtherSchema when the tables were made of another schema than this code's; without tables there is none."""
    tables = read_table_revision(c)  # first: a migration commits it together with the digest
    digest, own = _read_comment(c, f"{_DIGEST}([0-9a-f]{{64}})"), compute_schema_digest()
    if not tables or (re.fullmatch(REVISION, tables) and digest == own):
        return
    raise OtherSchema(
        "The database was made by another commit of Slipway, with other tables "
        f"({tables}, schema {digest[:12] or 'unknown'}; this code has {find_code_revision()}, schema {own[:12]}), and "
        "before the first release there is no upgrade. Nothing in it was changed. To save its posts, run `slipway post "
        f"export` with the code that made it. Then {describe_removal(c)}, and start this code again."
    )


def describe_removal(c: Connection) -> str:
    """Return the advice to remove the database, or an embedded server's data folder (``embedded/postgres.py``)."""
    found = row(c, "SELECT current_database() AS name, current_setting('slipway.folder', true) AS folder")
    if found is not None and found.folder:
        return f"remove the data folder {found.folder} (move settings.env out first if you changed it)"
    return f"drop the database {found.name if found else ''!r} and create it again, empty"


def read_table_revision(c: Connection) -> str:
    """Return the revision of the tables; empty when there are none."""
    if find_value(c, str, "SELECT to_regclass('alembic_version') AS t") is None:
        return ""
    return find_value(c, str, "SELECT version_num FROM alembic_version") or ""


def read_oldest_code(c: Connection) -> str:
    """Return the oldest code that works on the tables; empty when no contract step has been applied."""
    return _read_comment(c, f"{_OLDEST}({REVISION})")


def _read_comment(c: Connection, pattern: str) -> str:
    """Return what the comments on Alembic's table and on its column record; empty for nothing."""
    recorded = find_value(
        c,
        str,
        """SELECT concat_ws('; ', obj_description(t, 'pg_class'), col_description(t, 1)) AS recorded
           FROM to_regclass('alembic_version') AS x (t)""",
    )
    match = re.search(pattern, recorded or "")
    return match[1] if match else ""


def build_oldest_code_comment(oldest: str) -> str:
    """Return the statement that records the oldest code: a comment on a table, which code of any age can read."""
    if not re.fullmatch(REVISION, oldest):
        raise ValueError(f"{oldest!r} is not a revision.")
    return f"COMMENT ON TABLE alembic_version IS '{_OLDEST}{oldest}'"


def build_digest_comment() -> str:
    """Return the statement that records the digest of the schema, in the same way."""
    return f"COMMENT ON COLUMN alembic_version.version_num IS '{_DIGEST}{compute_schema_digest()}'"
