"""A database on its way from an older version, with a workspace in it."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from alembic import command

from pipeline.store import migrate


class Upgraded:
    """Its tables are those of ``revision``, until they are brought further."""

    def __init__(self, url: str, revision: str) -> None:
        self.engine = sa.create_engine(url)
        self.workspace = UUID(int=1)
        self.to(revision)
        with self.engine.begin() as c:
            c.exec_driver_sql(
                """INSERT INTO workspaces (id, name, kind, plan, subscription)
                   VALUES (%(w)s, 'w', 'workspace', 'business', 'active')""",
                {"w": self.workspace},
            )

    def to(self, revision: str) -> None:
        """Migrates; who is writing meanwhile is not waited for longer than ever."""
        config = migrate._config()
        with self.engine.connect() as c:
            config.attributes["connection"] = c
            command.upgrade(config, revision)
            c.commit()
