"""PostgreSQL behind PgBouncer in transaction mode: each transaction has whichever connection is free.

Few connections serve many clients here, so that nothing may count on having the same one twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from config.settings import load
from pipeline.actions.diagnose import Finding, diagnose
from pipeline.recovery.backup import Work, back_up
from pipeline.store.database import Database, execute, has_pooler, read_number, rows
from pipeline.store.migrate import MigrationBlocked, upgrade
from pipeline.store.recovery.dumps import BackupError
from pipeline.wiring import build_context
from tests.conftest import Engines, environment_of, free_ports
from tests.pgbouncer import needs_pgbouncer, pool
from tests.stack import FAST, run_stack, until

pytestmark = needs_pgbouncer
ROLE = "ALTER ROLE {user} RESET idle_in_transaction_session_timeout"


@pytest.fixture
def pooled_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    with pool(database_url, tmp_path / "pooler", connections=1) as url:
        yield url


def test_who_reads_leaves_nothing_to_who_writes(pooled_url: str, database_url: str) -> None:
    """One connection serves both: its next user may write, and plans as it does."""
    with closing(Database(pooled_url)) as reader, closing(Database(pooled_url)) as writer:
        with reader.read() as c:
            assert has_pooler(c)
            assert read_number(c, "SELECT 1 AS n") == 1
        with writer.begin() as c:
            execute(c, "CREATE TABLE written (n int)")
            assert execute(c, "INSERT INTO written VALUES (1)") == 1
        with writer.once() as c:
            assert read_number(c, "SELECT count(*) AS n FROM written") == 1
    with closing(Database(database_url)) as direct, direct.read() as c:
        assert not has_pooler(c)


def test_what_needs_a_session_is_refused_before_it_begins(
    pooled_url: str, environment: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(MigrationBlocked, match="with the URL of PostgreSQL itself"):
        upgrade(pooled_url)
    context = build_context(load(environment | {"SLIPWAY_STORE__URL": pooled_url}), keeps_epoch_file=False)
    with closing(context.database), pytest.raises(BackupError, match="with the URL of PostgreSQL itself"):
        back_up(context, lambda _program, _major: Path("/bin/false"), {}, tmp_path / "backup", Work())


def test_the_doctor_says_what_the_pooler_has_to_set(
    engines: Engines, environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    """Done as it says, the finding is gone."""

    def list_findings(url: str) -> list[Finding]:
        context = build_context(load(environment | {"SLIPWAY_STORE__URL": url}), keeps_epoch_file=False)
        with closing(context.database):
            return [one for one in diagnose(context) if one.part == "database"]

    assert [one.result for one in list_findings(database_url)] == ["ok"]
    with pool(database_url, tmp_path / "before") as url:
        answers, unlimited = list_findings(url)
    assert (answers.says, unlimited.result) == ("It answers through a pooler.", "fail")
    sql = re.search(r"ALTER ROLE (\S+) SET [^;]+", unlimited.says)
    assert sql
    with engines.postgres.connect() as connection:
        connection.execute(sql[0].encode())
        try:
            with pool(database_url, tmp_path / "after") as url:
                assert [one.result for one in list_findings(url)] == ["ok"]
        finally:
            connection.execute(ROLE.format(user=sql[1]).encode())


def test_a_whole_system_publishes_once_through_it_while_workers_are_killed(
    engines: Engines, database_url: str, broker_url: str, vault_key: str, tmp_path: Path
) -> None:
    platforms = ("tiktok", "linkedin", "pinterest")
    with pool(database_url, tmp_path / "pooler") as url:
        environment = environment_of(url, broker_url, vault_key, tmp_path) | FAST
        with run_stack(environment, tmp_path, free_ports(3), forks=True) as stack:
            stack.start_sandbox()
            stack.start_beat()
            for group in ("publish", "upkeep", "reachability"):
                stack.start_worker(group)
            stack.start_api()
            stack.seed(*platforms)
            texts = {f"Pooled {uuid4().hex[:8]} {n}": "" for n in range(4)}
            for text in texts:
                texts[text] = stack.create_post(text, *platforms)
            until(stack.ledger, 60)
            stack.kill("publish")
            stack.start_worker("publish")
            for text, post in texts.items():
                stack.await_status(post, "posted", 120)
                assert sorted(line["platform"] for line in stack.live(text)) == sorted(platforms)
            with stack.context.database.begin() as c:
                assert rows(c, "SELECT id FROM deliveries WHERE state <> 'published'") == []
