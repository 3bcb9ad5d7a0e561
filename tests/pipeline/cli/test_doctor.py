"""`slipway doctor`: a finding for each part, and exit status 1 with the mending command where posts do not go out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.fernet import Fernet

from adapters.graph_versions import RETIREMENTS
from adapters.live_check import check_version
from pipeline.store.canaries import record_canary
from pipeline.store.database import row
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger

PARTS = {
    "settings",
    "disk",
    "api version",
    "broker",
    "clocks",
    "database",
    "epoch",
    "vault",
    "queues",
    "grants",
}


def examine(terminal: Terminal, status: int, **environment: str) -> dict[str, list[dict[str, Any]]]:
    """Return the findings by part; assert the exit status, and a command wherever something is wrong."""
    ended = terminal.run("doctor", "--json", **environment)
    assert ended.status == status, ended
    found = json.loads(ended.stdout)
    assert all(one["command"] or one["result"] == "ok" for one in found)
    return {one["part"]: [x for x in found if x["part"] == one["part"]] for one in found}


@pytest.fixture(autouse=True)
def account(ledger: Ledger) -> None:
    """An account whose credentials are sealed."""
    ledger.fresh()


def test_every_part_of_a_new_installation_is_named_and_only_the_epoch_is_not_begun(
    terminal: Terminal,
) -> None:
    found = examine(terminal, 0)
    assert found.keys() == PARTS
    assert "slipway worker publish" in terminal.text("doctor")


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("SLIPWAY_STORE__URL", "postgresql+psycopg://nobody@127.0.0.1:1/none", "database"),
        ("SLIPWAY_BROKER__URL", "redis://127.0.0.1:1/0", "broker"),
    ],
)
def test_what_is_wrong_with_settings_and_engines_is_said(
    terminal: Terminal, variable: str, value: str, part: str
) -> None:
    found = examine(terminal, 1, **{variable: value})
    assert "fail" in {one["result"] for one in found[part]}


def test_an_api_version_that_soon_retires_is_a_warning(terminal: Terminal) -> None:
    expected = check_version("v21.0", RETIREMENTS, datetime.now(UTC).date())  # a failure from 2027-01-21 on
    assert expected.result != "ok"
    status = int(expected.result == "fail")
    found = examine(terminal, status, SLIPWAY_INSTAGRAM__VERSION="v21.0")["api version"]
    [warned] = [one for one in found if one["result"] != "ok"]
    assert (warned["result"], warned["says"]) == (expected.result, f"instagram: {expected.says}")
    assert warned["command"] == "slipway settings list | grep SLIPWAY_INSTAGRAM__VERSION"


def test_a_vault_key_that_was_lost_is_said(terminal: Terminal) -> None:
    found = examine(terminal, 1, SLIPWAY_VAULT__KEYS=Fernet.generate_key().decode())
    assert found["vault"][0]["result"] == "fail"


def test_tables_that_are_too_old_and_a_queue_without_a_worker_are_said(
    terminal: Terminal, ledger: Ledger
) -> None:
    with ledger.database.begin() as c:
        record_canary(c, "publish.tiktok")
        row(c, "UPDATE canaries SET taken_at = now() - interval '1 day' RETURNING queue")
    found = examine(terminal, 1)
    [silent] = found["queues"]
    assert silent["command"] == "slipway worker publish --queues publish.tiktok"
    with ledger.database.begin() as c:
        row(c, "UPDATE alembic_version SET version_num = 's0000' RETURNING version_num")
    assert examine(terminal, 1)["tables"][0]["command"] == "slipway migrate"
    with ledger.database.begin() as c:
        row(c, "UPDATE alembic_version SET version_num = '0045' RETURNING version_num")
    assert examine(terminal, 1)["tables"][0]["command"] == "slipway post export"
