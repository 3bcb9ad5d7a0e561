"""A database at an older revision, with a workspace in it, to be upgraded step by step."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from alembic import command

from pipeline.store import migrate


class Upgraded:
    """A database whose tables are at ``revision`` until ``to`` upgrades them."""

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
        """Upgrade to a revision, while other connections may have open transactions."""
        config = migrate._build_config()
        with self.engine.connect() as c:
            config.attributes["connection"] = c
            command.upgrade(config, revision)
            c.commit()
