from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.listing import ListedPost
from pipeline.domain.delivery import State
from pipeline.domain.delivery_error import make_restored
from pipeline.runtime.epoch_file import EpochFile
from pipeline.runtime.send_guard import SendGuard
from pipeline.store.database import Database, jsonb
from pipeline.store.deliveries.error_fields import error_to_dict
from tests.backups import back_up_rows, restore_rows
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import HOUR, Ledger, Post


@pytest.fixture
def epoch_file(terminal: Terminal) -> EpochFile:
    return EpochFile(Path(terminal.environment["SLIPWAY_FOLDER"]) / "mark")


@pytest.fixture
def restored(terminal: Terminal, ledger: Ledger, epoch_file: EpochFile) -> Iterator[Post]:
    """A post that was due when the database was restored; a worker has noticed the restore."""
    post = ledger.fresh(due=-HOUR)
    worker(ledger.database, epoch_file)
    back_up_rows(ledger.database)
    restore_rows(ledger.database)
    worker(ledger.database, epoch_file)
    yield post
    terminal.run("restore accept --nothing-sent", "the end of a test")
    if ledger.state(post.deliveries[0]) is not State.PUBLISHED:
        ledger.change(post.deliveries[0], "state = 'cancelled', in_doubt = false, armed_at = NULL")


def worker(database: Database, epoch_file: EpochFile) -> bool:
    return SendGuard(database, epoch_file, timedelta(seconds=30)).may_send()


def test_in_step_there_is_nothing_to_list_and_nothing_to_accept(
    terminal: Terminal, ledger: Ledger, epoch_file: EpochFile
) -> None:
    assert worker(ledger.database, epoch_file)
    assert terminal.json("restore status")["state"] == "in step"
    assert terminal.json("restore list") == []
    assert "in step" in terminal.refusal("restore accept")


def test_a_person_sees_from_when_to_when_and_which_accepts_them_and_sees_where_they_stand(
    terminal: Terminal, ledger: Ledger, epoch_file: EpochFile, restored: Post
) -> None:
    [delivery] = restored.deliveries
    mark = epoch_file.read()
    assert mark is not None
    shown = terminal.json("restore status")
    assert (shown["state"], shown["until"][:19]) == ("in doubt", mark.until.isoformat()[:19])
    assert shown["since"] < shown["found_at"]
    assert shown["deliveries"] == [{"platform": "tiktok", "why": "due in the time in doubt", "number": 1}]
    assert "slipway restore accept" in terminal.text("restore status")
    [listed] = terminal.json("restore list")
    assert (listed["id"], listed["in_backup"], listed["state"]) == (str(delivery), "scheduled", "scheduled")
    assert ledger.state(delivery) is State.SCHEDULED, "looking changes nothing"

    ended = terminal.run("delivery show", str(delivery))
    assert ended.status == 0
    assert "`slipway restore status`" in ended.stderr, "every command says so"
    assert terminal.run("pause list").stderr == ended.stderr

    [accepted] = terminal.json("restore accept")
    assert accepted["id"] == str(delivery)
    assert ledger.state(delivery) is State.UNKNOWN
    assert terminal.json("restore status")["state"] == "in step"
    assert terminal.run("delivery show", str(delivery)).stderr == ""
    [waits] = terminal.json("restore list --waiting")
    assert (waits["id"], waits["in_backup"], waits["state"]) == (str(delivery), "scheduled", "unknown")
    terminal.text("delivery decide", str(delivery), "--live", "https://t.example/1")
    assert terminal.json("restore list --waiting") == []
    [done] = terminal.json("restore list")
    assert (done["state"], done["url"]) == ("published", "https://t.example/1")


def test_a_person_reads_what_the_platform_said_and_compares_the_candidates(
    terminal: Terminal, ledger: Ledger, restored: Post
) -> None:
    [delivery] = restored.deliveries
    [accepted] = terminal.json("restore accept")
    assert accepted["state"] == "scheduled", "as it was listed"
    first = ListedPost(
        remote_id="1",
        url="https://t.example/1",
        created_at=datetime.now(UTC),
        same_caption=True,
        same_kind=True,
        same_media=True,
        same_time=True,
    )
    others = [
        replace(first, remote_id=f"{n}", url=f"https://t.example/{n}", same_caption=False) for n in (3, 4)
    ]
    candidates = [first, replace(first, remote_id="2", url=None, same_media=None), *others]
    found = "TikTok was asked. It lists 2 that could be this one; nothing proves it."
    error = error_to_dict(make_restored(found, candidates))
    ledger.change(delivery, "error = CAST(:error AS jsonb)", error=jsonb(error))
    for words in (("restore", "list", "--waiting"), ("delivery", "show", str(delivery))):
        text = terminal.text(*words)
        assert found in text
        assert "Live posts that could be it" in text
        [link] = [line for line in text.splitlines() if "https://t.example/1" in line]
        assert link.startswith(str(delivery))
        assert link.rstrip().endswith("all agrees")
        [unlinked] = [line for line in text.splitlines() if "(no link; id 2)" in line]
        assert unlinked.rstrip().endswith("media not shown")
        assert f"{delivery}: 2 more live posts of the account differ from it; --json lists them." in text
        assert "https://t.example/3" not in text.partition("Live posts that could be it")[2]
    [waits] = terminal.json("restore list --waiting")
    urls = ["https://t.example/1", None, "https://t.example/3", "https://t.example/4"]
    assert [one["url"] for one in waits["candidates"]] == urls
    terminal.text("delivery decide", str(delivery), "--live", "https://t.example/1")
    assert ledger.delivery(delivery).remote_id == "1", "it owns the candidate that the link names"


def test_without_a_mark_it_asks_until_when_and_takes_no_time_to_come(
    terminal: Terminal, ledger: Ledger, epoch_file: EpochFile, restored: Post
) -> None:
    terminal.text("restore accept --nothing-sent", "not yet")
    back_up_rows(ledger.database)
    restore_rows(ledger.database)
    (epoch_file.folder / "mark.json").unlink()
    shown = terminal.json("restore status")
    assert (shown["state"], shown["until"]) == ("in doubt", "not known"), "before any worker ran"
    assert "--until" in terminal.refusal("restore accept")
    ended = terminal.run("restore accept --until 2099-01-01T00:00:00Z")
    assert (ended.status, "is in the future" in ended.stderr) == (2, True)
    listed = terminal.json("restore list --until now")
    assert str(restored.deliveries[0]) in {one["id"] for one in listed}
    accepted = terminal.json("restore accept --until now")
    assert [one["id"] for one in accepted] == [one["id"] for one in listed]
    assert worker(ledger.database, epoch_file)


def test_a_person_declares_it_and_takes_it_back_and_a_mark_that_cannot_be_read_is_said(
    terminal: Terminal, ledger: Ledger, epoch_file: EpochFile
) -> None:
    assert worker(ledger.database, epoch_file)
    assert "declare" in terminal.json("restore declare --since 20h")["why"]
    assert not worker(ledger.database, epoch_file)
    terminal.text("restore accept --nothing-sent", "a mistake")
    assert worker(ledger.database, epoch_file)
    assert "SLIPWAY_MARK__KEEP" in terminal.refusal("restore status", SLIPWAY_MARK__KEEP="false")
    good = (epoch_file.folder / "mark.json").read_text()
    (epoch_file.folder / "mark.json").write_text("half a ma")
    assert "is no epoch file" in terminal.refusal("restore status")
    (epoch_file.folder / "mark.json").write_text(good)
