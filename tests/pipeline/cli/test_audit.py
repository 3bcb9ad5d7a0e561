"""`slipway audit`: changes are listed for people and programs, and exported whole, in pages, without formulas."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pipeline.cli.audit import PAGE
from pipeline.domain.audit import Actor
from pipeline.store.audit import record_change
from pipeline.store.auth.workspaces import create_workspace
from pipeline.store.database import new_id, rows
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger

ANN = Actor(kind="user", name="ann", id=UUID(int=9), address="192.0.2.7", request_id="r-9")
HOSTILE = '=HYPERLINK("https://x.example") [/bold] \x1b[2J <img onerror=alert(1)>'


@pytest.fixture(scope="module")
def workspace(ledger: Ledger) -> UUID:
    """A workspace with more changes than a page of an export has."""
    with ledger.database.begin() as c:
        made = create_workspace(c, name="Audited")
        for n in range(PAGE + 1):
            record_change(c, ANN, "edit", "post", f"=post-{n}", made, {"caption": n}, {"caption": HOSTILE})
    return made


def export(terminal: Terminal, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in terminal.text("audit export", *words).splitlines()]


def test_a_command_is_found_by_who_typed_it_and_what_it_changed(terminal: Terminal, ledger: Ledger) -> None:
    made = terminal.json("workspace create Listed")
    [found] = terminal.json("audit list --subject", made["id"])
    assert (found["verb"], found["kind"], found["workspace_id"]) == ("create", "workspace", made["id"])
    assert found["after"]["name"] == "Listed"
    assert found in terminal.json("audit list --actor", found["actor_name"], "--workspace", "Listed")
    assert abs(datetime.fromisoformat(found["at"]) - datetime.now(UTC)) < timedelta(minutes=30)
    assert terminal.json("audit list --subject", made["id"], "--until", "1h") == []
    assert terminal.json("audit list --subject", made["id"], "--since", "1h") == [found]


def test_under_sudo_the_account_that_called_it_is_named(terminal: Terminal) -> None:
    made = json.loads(terminal.run("workspace create Sudo --json", SUDO_USER="ann").stdout)
    [found] = terminal.json("audit list --subject", made["id"])
    assert found["actor_name"] == "ann"
    assert not found["address"].startswith("ann@")


def test_a_list_is_newest_first_and_shows_hostile_text_as_text(terminal: Terminal, workspace: UUID) -> None:
    ended = terminal.run("audit list --workspace", str(workspace), "--limit", "2")
    assert ended.status == 0
    assert "There may be more" in ended.stderr
    assert [f"=post-{PAGE - n} " in line for n, line in enumerate(ended.stdout.splitlines()[1:])] == [
        True
    ] * 2
    assert "\x1b" not in ended.stdout
    assert "[/bold]" in ended.stdout


def test_an_export_has_every_row_once_oldest_first(terminal: Terminal, workspace: UUID) -> None:
    found = export(terminal, "--workspace", str(workspace))
    assert [one["subject"] for one in found] == [f"=post-{n}" for n in range(PAGE + 1)]
    assert found[3]["before"] == {"caption": 3}
    assert found[3]["after"] == {"caption": HOSTILE}
    assert (found[3]["actor_kind"], found[3]["actor_name"], found[3]["actor_id"]) == (
        "user",
        "ann",
        str(UUID(int=9)),
    )
    assert (found[3]["address"], found[3]["request_id"]) == ("192.0.2.7", "r-9")
    assert export(terminal, "--workspace", str(workspace), "--actor", str(UUID(int=9)), "--json") == found
    assert export(terminal, "--workspace", str(workspace), "--actor", "nobody") == []


def test_cells_of_a_csv_are_no_formulas(terminal: Terminal, workspace: UUID, tmp_path: Path) -> None:
    file = tmp_path / "audit.csv"
    words = ("audit export", str(file), "--format", "csv", "--workspace", str(workspace))
    assert terminal.run(*words).stderr.strip() == f"{PAGE + 1} changes"
    text = file.read_bytes().decode("utf-8-sig")
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(found) == PAGE + 1
    assert found[0]["subject"] == "'=post-0"
    assert json.loads(found[0]["after"]) == {"caption": HOSTILE}
    assert not [cell for one in found for cell in one.values() if cell[:1] in {"=", "+", "-", "@"}]


def test_a_file_appears_whole_or_not_at_all(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "audit.ndjson"
    assert "nobody" in terminal.run("audit export", str(file), "--workspace", "nobody").stderr
    assert list(tmp_path.iterdir()) == []
    ended = terminal.run("audit export --format csv --json")
    assert (ended.status, "--json and --format csv exclude each other" in ended.stderr) == (2, True)


def test_the_secrets_of_commands_are_in_no_row(terminal: Terminal, ledger: Ledger, vault_key: str) -> None:
    made = terminal.json("workspace create", f"Secrets {new_id()}")["id"]
    key = terminal.json("key create", made)
    again = terminal.json("key rotate", key["public_id"])
    terminal.text("vault rotate")
    user = terminal.json("user create secretive")["password"]
    reset = terminal.json("user reset secretive")["password"]
    with ledger.database.begin() as c:
        text = "\n".join(map(str, rows(c, "SELECT * FROM audit")))
    assert key["public_id"] in text
    for secret in (*(one["key"].partition(".")[2] for one in (key, again)), vault_key, user, reset, "argon2"):
        assert secret not in text
