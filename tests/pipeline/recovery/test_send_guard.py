"""Both halves of the mark, on a real database: in step whatever dies, and never in step once the database is older."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.recovery.epoch_file import EpochFile
from pipeline.recovery.send_guard import SendGuard
from pipeline.store.database import Database, row
from pipeline.store.recovery import epoch as marks
from tests.conftest import Engines
from tests.crash_table import Crashes
from tests.pipeline.store.ledger import together
from tests.restoring import WAYS, Backups, reconnect

LEASE = timedelta(seconds=30)
KEEP = """
import sys
from datetime import timedelta
from pathlib import Path
from pipeline.recovery.send_guard import Keeper
from pipeline.recovery.epoch_file import Outside
from pipeline.store.database import Database
assert Keeper(Database(sys.argv[1], pool=2), Outside(Path(sys.argv[2])), timedelta(seconds=30)).open()
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url, pool=4)
    yield made
    made.close()


@pytest.fixture
def backups(engines: Engines, database_url: str, tmp_path: Path) -> Iterator[Backups]:
    made = Backups(engines, database_url, tmp_path)
    yield made
    made.gone()


@pytest.fixture
def outside(tmp_path: Path) -> EpochFile:
    return EpochFile(tmp_path / "mark")


def send_guard(database: Database, outside: EpochFile | None) -> SendGuard:
    """As a process that has just been started."""
    return SendGuard(database, outside, LEASE)


def kept(database: Database) -> marks.EpochState:
    with database.once() as c:
        return marks.read(c)


def change(database: Database, assignments: str) -> None:
    with database.begin() as c:
        row(c, f"UPDATE mark SET {assignments}, writer = pg_current_xact_id()::xid RETURNING n")  # noqa: S608


def old(database: Database) -> None:
    """The mark is due to be moved on."""
    change(database, "marked_at = now() - interval '11 seconds'")


def died(url: str, outside: EpochFile, at: Mapping[str, str]) -> None:
    """A process keeps the mark and dies there."""
    words = [sys.executable, "-c", KEEP, url, str(outside.folder)]
    ended = subprocess.run(words, env={**os.environ, **at}, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL


def test_the_first_start_begins_it_and_what_is_outside_is_never_behind(
    database: Database, outside: EpochFile
) -> None:
    assert kept(database).inside.epoch is None
    assert send_guard(database, outside).open()
    now, mark = kept(database), outside.read()
    assert mark is not None
    assert (now.open, now.inside.epoch, now.inside.n) == (True, mark.epoch, mark.n)
    assert now.inside.until == mark.until
    assert mark.until - now.now > LEASE - timedelta(seconds=5)


def test_it_is_moved_on_when_a_third_of_the_lease_is_over_or_the_clock_went_back_and_not_before(
    database: Database, outside: EpochFile
) -> None:
    assert send_guard(database, outside).open()
    assert send_guard(database, outside).open()
    assert kept(database).inside.n == 1
    old(database)
    assert send_guard(database, outside).open()
    assert kept(database).inside.n == 2
    change(database, "marked_at = now() + interval '1 hour', until = now() + interval '2 hours'")
    assert send_guard(database, outside).open()
    assert kept(database).inside.n == 3


def test_two_that_move_it_on_at_once_agree(database: Database, outside: EpochFile) -> None:
    for _ in range(10):
        together(*(lambda: send_guard(database, outside).open() for _ in range(4)))
        old(database)
    now, mark = kept(database), outside.read()
    assert mark is not None
    assert (now.doubt, now.open) == (None, True)
    assert mark.epoch == now.inside.epoch
    assert mark.n <= now.inside.n


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("point", ["mark.intended", "mark.advanced"])
def test_who_dies_between_the_two_halves_raises_no_alarm(
    database: Database, database_url: str, outside: EpochFile, crashes: Crashes, point: str, *, begun: bool
) -> None:
    if begun:
        assert send_guard(database, outside).open()
        old(database)
    died(database_url, outside, crashes.at(point))
    assert kept(database).inside.n == 1 + begun
    if begun:
        change(database, "marked_at = now() - interval '1 day', until = now() - interval '1 day'")
    assert send_guard(database, outside).open()
    assert kept(database).doubt is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("moved_on", [False, True])
def test_a_database_that_was_put_back_sends_nothing_even_within_the_same_lease(
    database: Database, outside: EpochFile, backups: Backups, way: str, *, moved_on: bool
) -> None:
    make, put_back = WAYS[way]
    assert send_guard(database, outside).open()
    before = kept(database).marked_at
    make(backups)
    reconnect(database)
    if moved_on:
        old(database)
        assert send_guard(database, outside).open()
    put_back(backups)
    reconnect(database)
    assert not kept(database).open, "before anybody compared it"
    running = send_guard(database, outside)
    assert not running.open()
    assert not running.try_reopen()
    doubt, mark = kept(database).doubt, outside.read()
    assert mark is not None
    assert doubt is not None
    assert (doubt.why, doubt.since, doubt.until) == ("restored", before, mark.until)
    assert running.find_doubt() == doubt
    assert send_guard(database, None).find_doubt() == doubt, "who does not keep it is told as well"
    assert outside.read() == mark


def test_files_put_back_under_a_server_that_was_started_again_are_recognised(
    database: Database, outside: EpochFile
) -> None:
    """Same database, same row: only the server's start tells, and the number."""
    assert send_guard(database, outside).open()
    change(database, "started = started - interval '1 hour'")  # as the files of before a restart say
    assert not kept(database).open, "nothing is sent before it was compared"
    assert send_guard(database, outside).open(), "an ordinary restart"
    change(database, "n = n - 1, started = started - interval '1 hour'")  # and older ones
    assert not send_guard(database, outside).open()
    doubt = kept(database).doubt
    assert doubt is not None
    assert doubt.why == "restored"


def test_a_backup_of_before_there_was_a_mark_is_recognised(database: Database, outside: EpochFile) -> None:
    assert send_guard(database, outside).open()
    change(database, "epoch = NULL, n = 0, until = NULL, marked_at = NULL, started = NULL")
    assert not send_guard(database, outside).open()
    doubt = kept(database).doubt
    assert doubt is not None
    assert (doubt.why, doubt.since) == ("restored", None)
    assert not kept(database).open


def test_a_mark_that_is_gone_holds_everything_and_one_that_comes_back_lets_go(
    database: Database, outside: EpochFile
) -> None:
    assert send_guard(database, outside).open()
    elsewhere = outside.folder.rename(outside.folder.with_name("unmounted"))
    change(database, "marked_at = now() - interval '1 minute', until = now() - interval '30 seconds'")
    assert not send_guard(database, outside).open()
    doubt = kept(database).doubt
    assert doubt is not None
    assert (doubt.why, doubt.until) == ("lost", None)
    elsewhere.rename(outside.folder)
    assert send_guard(database, outside).open()
    assert kept(database).doubt is None


def test_a_process_with_a_folder_of_its_own_stops_nobody_else_and_begins_nothing(
    database: Database, outside: EpochFile, tmp_path: Path
) -> None:
    assert send_guard(database, outside).open()
    old(database)
    astray = EpochFile(tmp_path / "not shared")
    assert send_guard(database, astray).open(), "the others keep it"
    assert kept(database).doubt is None
    assert astray.read() is None
    assert send_guard(database, outside).open()


def test_who_does_not_keep_it_goes_by_the_database_and_nobody_is_not_enough(
    database: Database, outside: EpochFile
) -> None:
    alone = send_guard(database, None)
    assert not alone.open(), "never begun"
    assert send_guard(database, outside).open()
    assert alone.open()
    change(database, "until = now() - interval '1 second'")
    assert not send_guard(database, None).open()


@pytest.mark.parametrize("damage", ["unreadable", "a file in its place"])
def test_a_folder_that_cannot_be_used_stops_sending_when_the_lease_is_over_and_is_no_restore(
    database: Database, outside: EpochFile, tmp_path: Path, damage: str
) -> None:
    assert send_guard(database, outside).open()
    if damage == "unreadable":
        (outside.folder / "mark.json").write_text("half a ma")
    else:
        outside.folder.rename(tmp_path / "aside")
        outside.folder.write_text("")
    old(database)
    assert send_guard(database, outside).open(), "the lease goes on"
    change(database, "until = now() - interval '1 second'")
    assert not send_guard(database, outside).open()
    assert kept(database).doubt is None


def test_a_holder_of_an_old_number_cannot_open_a_database_that_was_put_back(
    database: Database, outside: EpochFile, backups: Backups
) -> None:
    """It stood still between the two halves while the database went back beneath it."""
    assert send_guard(database, outside).open()
    backups.copy()
    reconnect(database)
    with database.begin() as c:
        epoch = marks.lock(c).inside.epoch
        assert epoch is not None
        intent = marks.intend(c, epoch, LEASE)
    assert outside.advance(intent.mark)
    backups.put_back()
    reconnect(database)
    with database.begin() as c:
        assert not marks.confirm(c, intent)
    assert not kept(database).open
