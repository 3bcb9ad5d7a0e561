"""`slipway import` with a real worker: a file is made, planned, applied and rolled back from the command line."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from PIL import Image

from pipeline.cli import progress
from pipeline.cli.progress import Progress, show_progress
from pipeline.domain.bulk_import import ImportState
from pipeline.store.canaries import record_consumed
from pipeline.store.database import row, rows
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import Ledger
from tests.stack import Stack

ACCOUNTS, ROWS = 12, 30
IMPORTS = "imports-of-no-worker"
"""A queue that this module's worker does not report."""


@pytest.fixture(scope="module")
def worker(sandbox: Stack) -> Stack:
    """A worker that takes the steps of imports."""
    sandbox.start_worker("upkeep")
    return sandbox


@pytest.fixture(scope="module")
def month(terminal: Terminal, worker: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of posts for the only workspace's accounts."""
    terminal.text("workspace create Acme")
    added = terminal.json("account add-sandbox --count", str(ACCOUNTS))
    assert len(added) == ACCOUNTS
    assert len({a["platform"] for a in added}) == 6
    file = tmp_path_factory.mktemp("files") / "month.csv"
    file.write_text(terminal.text("import template --rows", str(ROWS), "--accounts", "all"), "utf-8")
    return file


def posts(ledger: Ledger) -> list[str]:
    with ledger.database.begin() as c:
        return [r.status for r in rows(c, "SELECT status FROM posts ORDER BY id")]


def test_a_month_is_planned_applied_and_rolled_back(terminal: Terminal, ledger: Ledger, month: Path) -> None:
    planned = terminal.text("import plan", str(month))
    facts = dict(re.split(r" {2,}", line, maxsplit=1) for line in planned.split("\n\n")[0].splitlines())
    assert (facts["state"], facts["file"], facts["rows"]) == ("planned", "month.csv", str(ROWS))
    assert (facts["accepted"], facts["rejected"]) == (str(ROWS), "0"), terminal.text(
        "import rows", facts["import"]
    )
    assert posts(ledger) == []
    assert terminal.json("import forecast", facts["import"])["days"][0]["posts"] > 0
    assert "No conflicts." in terminal.text("import forecast", facts["import"])
    command = planned.splitlines()[-1].partition(": ")[2]
    assert command == f"slipway import apply {facts['import']} --plan {facts['plan hash']}"
    assert facts["plan"] == f"{ROWS} new, 0 changed, 0 duplicate, 0 rejected, 0 warnings"
    applied = terminal.text(*command.split()[1:])
    assert f"{ROWS} created" in applied
    assert len(posts(ledger)) == ROWS
    check_forecast(terminal)

    second = terminal.run(*command.split()[1:])
    assert (second.status, second.stderr) == (0, f"The import is applied ({ROWS} created).\n")
    assert "Roll it back" in terminal.refusal("import cancel", facts["import"])
    assert len(posts(ledger)) == ROWS

    again = terminal.json("import plan", str(month))
    assert again["counts"] == {"rows": ROWS, "accepted": 0, "duplicate": ROWS, "rejected": 0}

    rolled = terminal.json("import rollback", facts["import"])
    assert (rolled["state"], rolled["result"]) == ("rolled_back", {"created": ROWS, "canceled": ROWS})
    assert set(posts(ledger)) == {"canceled"}
    second = terminal.run("import rollback", facts["import"])
    done = f"rolled back ({ROWS} created, {ROWS} cancelled)"
    assert (second.status, second.stderr) == (0, f"The import is {done}.\n")
    assert done in terminal.refusal(*command.split()[1:])
    assert [one["state"] for one in terminal.json("import list")] == ["planned", "rolled_back"]


def check_forecast(terminal: Terminal) -> None:
    """The schedule of the workspace, as it is and under other circumstances."""
    found = terminal.json("forecast")
    assert (sum(a["posts"] for a in found), sum(a["held"] for a in found)) == (ROWS, 0)
    table = list(csv.DictReader(terminal.text("forecast --csv").splitlines()))
    assert [row["username"] for row in table] == [a["username"] for a in found]
    held = terminal.json("forecast --what-if pause=tiktok,posts-per-day=1000")
    assert sum(a["held"] for a in held) == sum(a["posts"] for a in found if a["platform"] == "tiktok") > 0
    assert terminal.json("forecast --until 1m") == []
    for wrong in ("posts-per-day=0", "pause=nobody", "speed=2"):
        assert f"{wrong!r} is neither" in terminal.refusal("forecast --what-if", wrong)


def test_rejected_rows_are_written_with_their_error(terminal: Terminal, month: Path, tmp_path: Path) -> None:
    table = list(csv.DictReader(month.read_text("utf-8-sig").splitlines()))
    table[1]["accounts"], table[2]["caption"] = "tiktok:nobody", ""
    file = tmp_path / "wrong.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, table[0])
        writer.writeheader()
        writer.writerows({**row, "external_id": ""} for row in table[:4])
    found = terminal.json("import plan", str(file))
    assert found["counts"] == {"rows": 4, "accepted": 2, "duplicate": 0, "rejected": 2}
    text = terminal.text("import rows", found["id"], "--verdict", "rejected")
    written = list(csv.DictReader(text.splitlines()))
    assert ["nobody" in written[0]["error"], "caption" in written[1]["error"]] == [True, True]
    receipts = [json.loads(line) for line in terminal.text("import rows", found["id"], "--json").splitlines()]
    assert [r["verdict"] for r in receipts] == ["accepted", "rejected", "rejected", "accepted"]
    cancelled: dict[str, Any] = terminal.json("import cancel", found["id"])
    assert cancelled["state"] == "canceled"
    assert "canceled" in terminal.text("import show", found["id"])


def test_standard_input_is_a_file_too(terminal: Terminal, month: Path) -> None:
    text = terminal.text("import template --rows 2 --accounts all --format ndjson")
    ended = terminal.run("import plan - --json", stdin=text)
    found = json.loads(ended.stdout)
    assert (found["format"], found["counts"]["rows"]) == ("ndjson", 2)


def test_media_are_found_by_name_in_a_folder_or_a_zip_and_uploaded_once(
    terminal: Terminal, month: Path, ledger: Ledger, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for name, color in (
        ("a.jpg", "red"),
        ("deep/b.jpg", "blue"),
        ("unused.png", "red"),
        ("../secret.jpg", "black"),
    ):
        Image.new("RGB", (1080, 1080), color).save(folder / name)
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    account = next(a for a in terminal.json("account list") if a["platform"] == "instagram")
    names = ["a.jpg", "deep/b.jpg", "a.jpg, b.jpg", "missing.jpg", "../secret.jpg", "link.jpg"]
    file = tmp_path / "posts.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["caption", "media_urls", "accounts", "local_time"])
        for n, name in enumerate(names):
            writer.writerow([f"Picture {n}", name, account["id"], f"2090-01-0{n + 1} 10:00"])
    ended = terminal.run("import plan", str(file), "--media", str(folder), "--json")
    found = json.loads(ended.stdout)
    assert (found["counts"]["accepted"], found["counts"]["rejected"]) == (3, 3)
    assert "No row names unused.png." in ended.stderr
    rejected = terminal.text("import rows", found["id"], "--verdict", "rejected")
    assert ["media.urls.0: There is no file of this name." in line for line in rejected.splitlines()[1:]] == [
        True
    ] * 3
    urls = read_media_urls(ledger, found["id"])
    assert [len(found) for found in urls] == [1, 1, 2]
    assert [*urls[0], *urls[1]] == urls[2]
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.write(folder / "a.jpg", "inside/a.jpg")
        archive.write(folder / "deep/b.jpg", "inside/deep/b.jpg")
        archive.writestr("../secret.jpg", b"never read")
    again = terminal.json("import plan", str(file), "--media", str(tmp_path / "pictures.zip"))
    assert read_media_urls(ledger, again["id"])[0] == urls[0], "what was uploaded is not uploaded again"
    with ledger.database.begin() as c:
        assert len(rows(c, "SELECT id FROM files WHERE filename IS NOT NULL")) == 2
    assert "no folder" in terminal.refusal("import plan", str(file), "--media", str(file))
    damaged = tmp_path / "damaged.zip"
    whole = (tmp_path / "pictures.zip").read_bytes()
    damaged.write_bytes(whole[:200] + bytes(60) + whole[260:])
    assert "a.jpg cannot be read" in terminal.refusal("import plan", str(file), "--media", str(damaged))


def read_media_urls(ledger: Ledger, identity: str) -> list[list[str]]:
    with ledger.database.begin() as c:
        found = rows(
            c,
            "SELECT body FROM import_rows WHERE import_id = :id AND verdict <> 'rejected' ORDER BY number",
            id=UUID(identity),
        )
    return [one.body["media"]["urls"] for one in found]


def test_what_cannot_be_done_is_said(terminal: Terminal, month: Path, tmp_path: Path) -> None:
    missing = "0199c0de-0000-7000-8000-000000000000"
    assert "slipway import list" in terminal.refusal("import show", missing)
    assert "not the id of an import" in terminal.refusal("import show x")
    planned = terminal.json("import plan", str(month))
    refused = terminal.refusal("import apply", planned["id"], "--plan", "0" * 64)
    assert planned["plan"]["hash"] in refused
    assert "--count" in terminal.refusal("account add-sandbox tiktok")
    (tmp_path / "empty.csv").touch()
    assert "empty" in terminal.refusal("import plan", str(tmp_path / "empty.csv"))
    terminal.text("workspace create Second")
    assert "--workspace" in terminal.refusal("account add-sandbox tiktok --username x")


@pytest.mark.parametrize(("silence", "asks"), [(0, False), (3600, True), (None, True)])
def test_a_worker_is_asked_for_only_where_none_takes_imports(
    core: CoreFixture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    silence: int | None,
    asks: bool,
) -> None:
    monkeypatch.setattr("pipeline.broker.queues.IMPORTS", IMPORTS)
    core.run("DELETE FROM canaries WHERE queue = :queue", queue=IMPORTS)
    with core.context.database.begin() as c:
        if silence is not None:
            record_consumed(c, [IMPORTS])
            sql = "UPDATE canaries SET taken_at = now() - CAST(:late AS interval) WHERE queue = :queue RETURNING 1"
            row(c, sql, late=timedelta(seconds=silence), queue=IMPORTS)
    known = {"id": None, "rows": 0, "done": 0, "total": None, "has_plan": False}
    stuck = SimpleNamespace(state=ImportState.APPLYING, **known)
    ended = SimpleNamespace(state=ImportState.PLANNED, **known)
    readings = iter([stuck, stuck, ended])
    monkeypatch.setattr("pipeline.store.imports.imports.find_import", lambda *_: next(readings))
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0)
    progress.follow_import(core.context, cast("Any", None), cast("Any", stuck))
    said = capsys.readouterr().err
    assert ("slipway worker upkeep" in said, "waits for its turn" in said) == (asks, not asks)


def test_progress_has_no_total_until_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [("reading", 0, None, False), ("reading", 40, 50, False), ("planned", 50, 50, True)]
    readings = iter([Progress(step=s, done=d, total=t, is_over=o, states=str(d)) for s, d, t, o in steps])
    show_progress(lambda: next(readings))
    lines = [line.strip().partition(", ")[0] for line in capsys.readouterr().err.splitlines()]
    assert [line.partition(";")[0] for line in lines] == [
        "reading: 0",
        "reading: 40 of 50 (80 %)",
        "planned: 50 of 50 (100 %)",
    ]
