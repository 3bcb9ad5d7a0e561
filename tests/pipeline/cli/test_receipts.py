from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pipeline.domain.delivery import State
from pipeline.store.database import rows
from pipeline.store.receipts import add_receipts
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger

Lines = list[str]


@pytest.fixture(scope="module")
def anywhere(terminal: Terminal) -> Terminal:
    """A client's machine: no settings, and no database or broker that can be reached."""
    return replace(
        terminal, environment={"SLIPWAY_STORE__URL": "nonsense", "SLIPWAY_SETTINGS_FILE": "/nowhere"}
    )


def create_receipts(ledger: Ledger, number: int) -> UUID:
    """Create a workspace with this many receipts."""
    post = ledger.fresh(State.PUBLISHED)
    with ledger.database.begin() as c:
        rows(
            c,
            """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
               SELECT :d, 'publish', 'publishing', 'published', 0, 1 FROM generate_series(1, :n) RETURNING id""",
            d=post.deliveries[0],
            n=number,
        )
        add_receipts(c, number)
    return post.workspace


def export(terminal: Terminal, workspace: UUID, *words: str) -> Lines:
    return terminal.text("receipts export --workspace", str(workspace), *words).splitlines(keepends=True)


def file(terminal: Terminal, lines: Lines) -> str:
    path = Path(terminal.folder) / "receipts.jsonl"
    path.write_text("".join(lines))
    return str(path)


def head(terminal: Terminal, workspace: UUID) -> str:
    [row] = terminal.json("receipts head --workspace", str(workspace))
    found: str = row["head"]
    return found


def test_what_is_exported_is_verified_where_nothing_of_ours_is(
    terminal: Terminal, anywhere: Terminal, ledger: Ledger
) -> None:
    workspace = create_receipts(ledger, 3)
    kept = head(terminal, workspace)
    assert terminal.text("receipts head --workspace", str(workspace)) == f"{kept}  Tests\n"
    ended = terminal.run("receipts export --workspace", str(workspace))
    assert ended.stderr == f"3 receipts; head {kept}\n"
    where = file(terminal, ended.stdout.splitlines(keepends=True))
    assert anywhere.json("receipts verify", where, "--head", kept) == {
        "holds": True,
        "workspace": str(workspace),
        "first": 1,
        "receipts": 3,
        "head": kept,
        "compared_with": kept,
        "after": None,
    }
    printed = anywhere.text("receipts verify", where)
    assert f"receipts 1 to 3 of workspace {workspace}" in printed
    assert "a chain rebuilt from its start verifies too" in printed
    assert anywhere.run("receipts verify -", stdin=ended.stdout).status == 0
    assert export(terminal, workspace, "--json") == ended.stdout.splitlines(keepends=True)


def test_the_first_line_that_is_wrong_is_named(
    terminal: Terminal, anywhere: Terminal, ledger: Ledger
) -> None:
    workspace = create_receipts(ledger, 4)
    kept, lines = head(terminal, workspace), export(terminal, workspace)
    lines[1] = lines[1].replace('"outcome":"published"', '"outcome":"cancelled"')
    words = ("receipts verify", file(terminal, lines), "--head", kept)
    assert "line 2 is altered" in anywhere.refusal(*words)
    ended = anywhere.run(*words, "--json")
    answer: dict[str, Any] = json.loads(ended.stdout)
    assert (ended.status, answer["holds"]) == (1, False)
    assert str(answer["flaw"]) in "line 2 is altered"


def test_many_are_exported_page_by_page_whole_or_from_a_time(
    terminal: Terminal, anywhere: Terminal, ledger: Ledger
) -> None:
    workspace = create_receipts(ledger, 2001)
    lines, kept = export(terminal, workspace), head(terminal, workspace)
    assert anywhere.json("receipts verify", file(terminal, lines), "--head", kept)["receipts"] == 2001
    part = ("receipts verify", file(terminal, lines[2:]))
    first = export(terminal, workspace)[1]
    assert anywhere.json(*part, "--after", f"2:{json.loads(first)['hash']}")["first"] == 3
    assert "--after checks the link to the receipt before" in anywhere.text(*part)
    assert len(export(terminal, workspace, "--since", "1h")) == 2001
    assert export(terminal, workspace, "--since", "2099-01-01T00:00:00Z") == []


def test_what_makes_no_sense_is_a_sentence(terminal: Terminal, anywhere: Terminal, ledger: Ledger) -> None:
    workspace = str(ledger.workspace())
    assert "has no receipts yet" in terminal.refusal("receipts export --workspace", workspace)
    assert "slipway workspace list" in terminal.refusal("receipts export --workspace nobody")
    assert terminal.text("receipts head --workspace", workspace) == "No receipts yet.\n"
    ended = anywhere.run("receipts verify - --head 12")
    assert ended.status == 2
    assert "slipway receipts head" in " ".join(ended.stderr.split())
    assert "30d" in terminal.run("receipts export --workspace", workspace, "--since", "soon").stderr
