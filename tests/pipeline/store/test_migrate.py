from __future__ import annotations

import sqlalchemy as sa

from pipeline.store.migrate import head, upgrade
from tests.pipeline.store.ledger import together


def tables(url: str) -> dict[str, int]:
    engine = sa.create_engine(url)
    names = sa.inspect(engine).get_table_names()
    engine.dispose()
    return dict.fromkeys(names, 1)


def revisions(url: str) -> list[str]:
    engine = sa.create_engine(url)
    with engine.connect() as c:
        found = [r.version_num for r in c.execute(sa.text("SELECT version_num FROM alembic_version"))]
    engine.dispose()
    return found


def test_four_at_once_and_again_bring_a_database_to_the_same_head(empty_database_url: str) -> None:
    assert together(*[lambda: upgrade(empty_database_url)] * 4) == [head()] * 4
    assert revisions(empty_database_url) == [head()]
    known = tables(empty_database_url)
    assert {"workspaces", "keys", "accounts", "posts", "deliveries", "attempts", "moves", "checks"} <= set(
        known
    )
    assert upgrade(empty_database_url) == head()
    assert tables(empty_database_url) == known
