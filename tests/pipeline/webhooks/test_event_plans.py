"""What the export reads to make events is found by an index, however much is stored."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from pipeline.store.webhooks import facts
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.receipted import FILLED, nodes_of

IDS = f"ARRAY['{uuid4()}', '{uuid4()}']"
VALUES = {
    ":ids": IDS,
    ":moves": "ARRAY[58000, 58001]",
    ":deliveries": IDS,
    ":posts": IDS,
    ":movers": "ARRAY['edit']",
    ":settled": "ARRAY['published']",
}


def fill(sql: str) -> str:
    """Return a statement with values for its parameters."""
    for name, value in VALUES.items():
        sql = sql.replace(f"{name} ", f"{value} ")
    return sql


def test_no_table_is_read_from_end_to_end(core: CoreFixture) -> None:
    core.account("one")
    with core.context.database.begin() as c:
        for statement in FILLED:
            c.exec_driver_sql(statement)
    for _ in ("never counted", "counted"):
        for sql in map(fill, (facts._POSTS, facts._TURNS)):
            with core.context.database.begin() as c:
                c.exec_driver_sql("SET LOCAL enable_seqscan = off")  # as `read_batch` does
                driver: Any = c.connection.driver_connection
                plan = driver.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchone()[0][0]["Plan"]
            kinds = {node["Node Type"] for node in nodes_of(plan)}
            assert not kinds & {"Seq Scan", "Hash Join", "Merge Join", "Hash"}, plan
        with core.context.database.once() as c:
            c.exec_driver_sql("ANALYZE")
