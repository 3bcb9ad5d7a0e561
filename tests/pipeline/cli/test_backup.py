"""Back up an installation and restore it: all or nothing, into an empty database, held until it is accepted."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.media.storage import FolderStorage
from pipeline.runtime.epoch_file import EpochFile
from pipeline.runtime.send_guard import SendGuard
from pipeline.store.database import Database, insert, new_id, row, rows
from pipeline.store.recovery import dumps, epoch
from tests.crash_table import Crashes
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import HOUR, Ledger

LEASE = timedelta(seconds=30)


def store(ledger: Ledger, terminal: Terminal, key: str, data: bytes = b"bytes of a file") -> None:
    """Store a file, as an upload does."""
    writer = FolderStorage(Path(terminal.environment["SLIPWAY_FOLDER"]) / "files").begin(key)
    writer.write(data)
    writer.finish()
    post = ledger.fresh(due=HOUR)
    with ledger.database.begin() as c:
        found = row(c, "SELECT workspace_id, now() AS now FROM posts WHERE id = :id", id=post.id)
        assert found is not None
        insert(
            c,
            "files",
            id=new_id(),
            workspace_id=found.workspace_id,
            name=key,
            url=f"http://x/{key}",
            content_type="image/png",
            object=key,
            size=len(data),
            sha256=hashlib.sha256(data).digest(),
            stored_at=found.now,
        )


def elsewhere(folder: Path, url: str) -> dict[str, str]:
    """Return what differs on another host: the data folder and the database."""
    return {"SLIPWAY_FOLDER": str(folder / "host"), "SLIPWAY_STORE__URL": url}


def is_empty(database: Database) -> bool:
    with database.begin() as c:
        return not dumps.list_tables(c)


def test_a_backup_is_whole_private_and_without_secrets_and_names_what_is_not_in_it(
    terminal: Terminal, ledger: Ledger, tmp_path: Path, vault_key: str
) -> None:
    store(ledger, terminal, "ab/kept")
    store(ledger, terminal, "ab/gone")
    (Path(terminal.environment["SLIPWAY_FOLDER"]) / "files" / "ab" / "gone").unlink()
    folder = tmp_path / "backup"
    ended = terminal.run("backup", str(folder), "--json")
    assert ended.status == 1
    assert "ab/gone" in ended.stderr
    made = json.loads(ended.stdout)
    assert made["missing files"] == {"ab/gone": "the file is not in storage"}
    assert made["posts"] >= 2
    assert str(terminal.folder / "mark") in made["never in it"]
    assert {path.name for path in folder.iterdir()} == {
        "backup.json",
        "database.dump",
        "files",
        "settings.json",
    }
    assert (folder.stat().st_mode & 0o777, (folder / "backup.json").stat().st_mode & 0o777) == (0o700, 0o600)
    assert (folder / "files" / "ab" / "kept").read_bytes() == b"bytes of a file"
    settings = (folder / "settings.json").read_text()
    assert '"SLIPWAY_VAULT__KEYS": "(set)"' in settings
    assert vault_key not in settings
    assert "is not empty" in terminal.refusal("backup", str(folder), "--json")
    with ledger.database.begin() as c:
        rows(c, "UPDATE files SET removed_at = now() WHERE name = 'ab/gone' RETURNING id")


def test_a_restored_database_is_held_even_without_an_epoch_and_an_epoch_file(
    terminal: Terminal, ledger: Ledger, tmp_path: Path, empty_database_url: str
) -> None:
    with ledger.database.begin() as c:
        assert epoch.read(c).stored.id is None, (
            "nothing was ever sent: the comparison alone would begin an epoch"
        )
    post = ledger.fresh(due=-HOUR)
    terminal.text("backup", str(tmp_path / "backup"))
    host = elsewhere(tmp_path, empty_database_url)
    (tmp_path / "host").mkdir()
    made = terminal.json("restore", str(tmp_path / "backup"), **host)
    assert [one.partition(":")[0] for one in made["missing"]] == ["the epoch file"]

    database = Database(empty_database_url, pool=2)
    guard = SendGuard(database, EpochFile(tmp_path / "host" / "mark"), LEASE)
    assert not guard.may_send()
    assert not guard.try_reopen()
    assert (doubt := guard.find_doubt()) is not None
    assert (doubt.why, doubt.until) == ("backup", None)
    assert "--until" in terminal.refusal("restore accept", **host)
    accepted = terminal.json("restore accept --until now", **host)
    assert str(post.deliveries[0]) in {one["id"] for one in accepted}
    assert SendGuard(database, EpochFile(tmp_path / "host" / "mark"), LEASE).may_send()
    assert "restore" in {one["verb"] for one in terminal.json("audit list", **host)}
    database.close()


def test_a_restore_that_dies_before_its_commit_leaves_an_empty_database_and_is_run_again(
    terminal: Terminal, tmp_path: Path, empty_database_url: str, crashes: Crashes
) -> None:
    terminal.text("backup", str(tmp_path / "backup"))
    host = elsewhere(tmp_path, empty_database_url)
    (tmp_path / "host").mkdir()
    died = terminal.run("restore", str(tmp_path / "backup"), **host, **crashes.arm("restore.loaded"))
    assert died.status == -signal.SIGKILL
    database = Database(empty_database_url, pool=2)
    assert is_empty(database)
    terminal.text("restore", str(tmp_path / "backup"), **host)
    with database.begin() as c:
        assert epoch.read(c).doubt is not None
    assert "not empty" in terminal.refusal("restore", str(tmp_path / "backup"), "--json", **host)
    database.close()


DAMAGES: Mapping[str, tuple[Callable[[Path], None], str]] = {
    "no last file": (lambda folder: (folder / "backup.json").unlink(), "no whole backup"),
    "another byte": (
        lambda folder: flip(folder / "database.dump"),
        "damaged, use another one: .*database.dump",
    ),
    "a file is gone": (
        lambda folder: (folder / "settings.json").unlink(),
        "damaged, use another one: .*settings",
    ),
    "another schema": (lambda folder: change(folder, schema_digest="f" * 64), "schema ffffffffffff"),
    "newer": (lambda folder: change(folder, level=999), "of level 999"),
    "no number": (
        lambda folder: change(folder, level="six"),
        "level: Input should be a valid integer.*'six'",
    ),
}


def flip(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])


def change(folder: Path, **fields: Any) -> None:
    file = folder / "backup.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_a_backup_that_is_damaged_or_of_other_code_is_refused_before_anything_changes(
    terminal: Terminal, tmp_path: Path, empty_database_url: str
) -> None:
    host = elsewhere(tmp_path, empty_database_url)
    (tmp_path / "host").mkdir()
    terminal.text("backup", str(tmp_path / "whole"))
    for n, (damage, sentence) in enumerate(DAMAGES.values()):
        shutil.copytree(tmp_path / "whole", tmp_path / str(n))
        damage(tmp_path / str(n))
        with pytest.raises(AssertionError, match=sentence):
            terminal.json("restore", str(tmp_path / str(n)), **host)
    database = Database(empty_database_url, pool=2)
    assert is_empty(database)
    assert not (tmp_path / "host" / "files").exists()
    database.close()
