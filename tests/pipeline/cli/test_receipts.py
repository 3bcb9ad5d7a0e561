from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pipeline.domain.delivery import State
from pipeline.store.database import row, rows
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


TAMPERED: dict[str, Callable[[Lines], Lines]] = {
    "line 2 is altered": lambda x: [
        x[0],
        x[1].replace('"outcome":"published"', '"outcome":"cancelled"'),
        *x[2:],
    ],
    "line 2 is missing: receipt 2 should": lambda x: [x[0], *x[2:]],
    "line 2 is reordered": lambda x: [x[0], x[2], x[1], *x[3:]],
    "missing: it ends with receipt 3; receipt 4 should follow": lambda x: x[:3],
    "empty": lambda _: [],
}


@pytest.mark.parametrize("says", TAMPERED)
def test_the_first_line_that_is_wrong_is_named(
    terminal: Terminal, anywhere: Terminal, ledger: Ledger, says: str
) -> None:
    workspace = create_receipts(ledger, 4)
    kept = head(terminal, workspace)
    where = file(terminal, TAMPERED[says](export(terminal, workspace)))
    words = ("receipts verify", where, "--head", kept)
    assert says in anywhere.refusal(*words)
    ended = anywhere.run(*words, "--json")
    answer: dict[str, Any] = json.loads(ended.stdout)
    assert (ended.status, answer["holds"]) == (1, False)
    assert str(answer["flaw"]) in says


def test_one_of_another_workspace_and_the_head_of_another_chain_are_told(
    terminal: Terminal, anywhere: Terminal, ledger: Ledger
) -> None:
    ours, theirs = (create_receipts(ledger, 2) for _ in range(2))
    mixed = [export(terminal, ours)[0], export(terminal, theirs)[1]]
    assert "line 2 is from another workspace" in anywhere.refusal("receipts verify", file(terminal, mixed))
    where = file(terminal, export(terminal, ours))
    printed = anywhere.refusal("receipts verify", where, "--head", head(terminal, theirs))
    assert "line 2 is not the chain of that head" in printed


def test_a_part_follows_the_head_that_was_kept(
    terminal: Terminal, anywhere: Terminal, ledger: Ledger
) -> None:
    workspace = create_receipts(ledger, 2)
    kept, since = head(terminal, workspace), datetime.now(UTC).isoformat()
    with ledger.database.begin() as c:
        row(
            c,
            """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
               SELECT id, 'publish', 'publishing', 'published', 0, 1 FROM deliveries WHERE workspace_id = :w
               RETURNING id""",
            w=workspace,
        )
        add_receipts(c, 5)
    lines = export(terminal, workspace, "--since", since)
    assert [json.loads(line)["sequence"] for line in lines] == [3]
    where = file(terminal, lines)
    assert anywhere.json("receipts verify", where, "--after", kept)["first"] == 3
    assert "--after checks the link to the receipt before" in anywhere.text("receipts verify", where)
    assert len(export(terminal, workspace, "--since", "1h")) == 3
    assert export(terminal, workspace, "--since", "2099-01-01T00:00:00Z") == []


def test_many_are_exported_page_by_page(terminal: Terminal, anywhere: Terminal, ledger: Ledger) -> None:
    workspace = create_receipts(ledger, 2001)
    where = file(terminal, export(terminal, workspace))
    assert anywhere.json("receipts verify", where, "--head", head(terminal, workspace))["receipts"] == 2001


def test_what_makes_no_sense_is_a_sentence(terminal: Terminal, anywhere: Terminal, ledger: Ledger) -> None:
    workspace = str(ledger.workspace())
    assert "has no receipts yet" in terminal.refusal("receipts export --workspace", workspace)
    assert "slipway workspace list" in terminal.refusal("receipts export --workspace nobody")
    assert terminal.text("receipts head --workspace", workspace) == "No receipts yet.\n"
    ended = anywhere.run("receipts verify - --head 12")
    assert ended.status == 2
    assert "slipway receipts head" in " ".join(ended.stderr.split())
    assert "30d" in terminal.run("receipts export --workspace", workspace, "--since", "soon").stderr
