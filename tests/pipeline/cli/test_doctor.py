"""`slipway doctor`: a finding for each part, and exit status 1 with the mending command where posts do not go out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from cryptography.fernet import Fernet

from adapters.graph_errors import RETIREMENTS
from adapters.live_check import check_version
from config.settings import load
from pipeline.actions import diagnose as diagnosing
from pipeline.actions.diagnose import diagnose
from pipeline.cli.output import Command, stream_rows
from pipeline.store.canaries import record_canary
from pipeline.store.database import row
from pipeline.wiring import build_context
from tests.database_outages import locked
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger

PARTS = {
    "settings",
    "disk",
    "api version",
    "broker",
    "clocks",
    "database",
    "tables",
    "epoch",
    "vault",
    "queues",
    "hosts",
    "grants",
}


def examine(terminal: Terminal, status: int, **environment: str) -> dict[str, list[dict[str, Any]]]:
    """Return the findings by part; assert the exit status, and that no command only lists settings."""
    ended = terminal.run("doctor --json", **environment)
    assert ended.status == status, ended
    found = json.loads(ended.stdout)
    assert not [one for one in found if "settings list" in (one["command"] or "")]
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


def test_what_is_wrong_with_settings_and_engines_is_said(terminal: Terminal) -> None:
    wrong = {
        "broker": ("SLIPWAY_BROKER__URL", "redis://127.0.0.1:1/0"),
        "disk": ("SLIPWAY_FILES__FOLDER", "/proc"),
        "database": ("SLIPWAY_STORE__URL", "postgresql+psycopg://nobody@127.0.0.1:1/none"),
    }
    found = examine(terminal, 1, **dict(wrong.values()))
    for part, (variable, _) in wrong.items():
        assert "fail" in {one["result"] for one in found[part]}
        assert any(variable in one["says"] for one in found[part]), "which setting it is"

    # a failure from 2027-01-21 on
    expected = check_version("v21.0", RETIREMENTS, datetime.now(UTC).date())
    assert expected.result != "ok"
    lost = Fernet.generate_key().decode()
    found = examine(terminal, 1, SLIPWAY_VAULT__KEYS=lost, SLIPWAY_INSTAGRAM__VERSION="v21.0")
    assert found["vault"][0]["result"] == "fail"
    [warned] = [one for one in found["api version"] if one["result"] != "ok"]
    assert (warned["result"], warned["says"]) == (
        expected.result,
        f"instagram: {expected.says} (SLIPWAY_INSTAGRAM__VERSION)",
    )


def test_a_check_that_meets_a_locked_table_says_so_after_2_s_and_all_others_report(
    terminal: Terminal, ledger: Ledger
) -> None:
    with locked(ledger.database, "alembic_version", "mark", "accounts", "canaries"):
        found = examine(terminal, 1)
        assert "a table is locked" in terminal.refusal("attention")
    assert found.keys() >= PARTS
    named = {part for part, of in found.items() if "took longer than 2 s" in of[0]["says"]}
    assert named == {"tables", "epoch", "vault", "queues", "workers", "hosts", "grants"}
    assert all(one["result"] == "ok" for part in ("settings", "broker", "database") for one in found[part])


def test_rows_are_printed_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []

    def iterate() -> Iterator[dict[str, str | None]]:
        yield {"part": "disk", "says": "first"}
        printed.append(capsys.readouterr().out)
        yield {"part": "database", "says": None}

    def print_rows(*words: str) -> None:
        Command("print", callback=lambda: stream_rows(iterate(), [8])).main([*words], standalone_mode=False)

    print_rows()
    assert printed == ["part      says\ndisk      first\n"]
    assert capsys.readouterr().out == "database\n"
    print_rows("--json")
    assert json.loads(printed[1] + capsys.readouterr().out)[0] == {"part": "disk", "says": "first"}
    Command("print", callback=lambda: stream_rows([], [8])).main(["--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == []


def test_findings_come_before_the_later_checks_run(terminal: Terminal, ledger: Ledger) -> None:
    context = build_context(load(terminal.environment), keeps_epoch_file=False)
    findings = diagnose(context)
    with locked(ledger.database, "mark", "accounts", "canaries"):
        for finding in findings:
            assert finding.result == "ok", finding
            if finding.part == "tables":
                break
    assert {finding.part for finding in findings} >= {"epoch", "vault", "queues", "hosts", "grants"}
    context.database.close()


def test_a_check_that_does_not_end_is_left_behind(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = Event()
    monkeypatch.setitem(diagnosing._CHECKS, "disk", lambda _context: goes_on.wait() and [])
    context = build_context(load(terminal.environment), keeps_epoch_file=False)
    found = {one.part: one.says for one in diagnose(context)}
    goes_on.set()
    assert found["disk"] == "This check took longer than 2 s: a lock, a disk or an engine holds it up."
    assert found.keys() >= PARTS
    context.database.close()


def test_tables_that_are_too_old_and_a_queue_without_a_worker_are_said(
    terminal: Terminal, ledger: Ledger
) -> None:
    with ledger.database.begin() as c:
        record_canary(c, "publish.tiktok")
        row(c, "UPDATE canaries SET taken_at = now() - interval '1 day' RETURNING queue")
    found = examine(terminal, 1)
    [silent] = found["queues"]
    assert "No worker has taken a message from publish.tiktok since " in silent["says"]
    assert silent["command"] == "slipway worker publish --queues publish.tiktok"
    with ledger.database.begin() as c:
        row(c, "UPDATE alembic_version SET version_num = 's0000' RETURNING version_num")
    assert examine(terminal, 1)["tables"][0]["command"] == "slipway migrate"
    with ledger.database.begin() as c:
        row(c, "UPDATE alembic_version SET version_num = '0045' RETURNING version_num")
    [other] = examine(terminal, 1)["tables"]
    assert (other["result"], other["command"]) == ("fail", None)
    assert "run `slipway post export` with the code that made it" in other["says"]
