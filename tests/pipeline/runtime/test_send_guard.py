"""The send guard on a real database: in step with the file after any crash, never after a restore."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.runtime.epoch_file import EpochFile
from pipeline.runtime.send_guard import SendGuard
from pipeline.store.database import Database, Unreachable, row
from pipeline.store.recovery import epoch as epochs
from tests.backups import METHODS, Backups, drop_pool
from tests.conftest import Engines
from tests.crash_table import Crashes
from tests.pipeline.store.ledger import together

LEASE = timedelta(seconds=30)
KEEP = """
import sys
from datetime import timedelta
from pathlib import Path
from pipeline.runtime.send_guard import SendGuard
from pipeline.runtime.epoch_file import EpochFile
from pipeline.store.database import Database
assert SendGuard(Database(sys.argv[1], pool=2), EpochFile(Path(sys.argv[2])), timedelta(seconds=30)).may_send()
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
    made.drop_copy()


@pytest.fixture
def epoch_file(tmp_path: Path) -> EpochFile:
    return EpochFile(tmp_path / "mark")


def send_guard(database: Database, epoch_file: EpochFile | None) -> SendGuard:
    """Return the send guard of a process that has just started."""
    return SendGuard(database, epoch_file, LEASE)


def read_state(database: Database) -> epochs.EpochState:
    with database.once() as c:
        return epochs.read(c)


def change(database: Database, assignments: str) -> None:
    with database.begin() as c:
        row(c, f"UPDATE mark SET {assignments}, writer = pg_current_xact_id()::xid RETURNING n")  # noqa: S608


def old(database: Database) -> None:
    """Make the epoch due to be advanced."""
    change(database, "marked_at = now() - interval '11 seconds'")


def crash_at(url: str, epoch_file: EpochFile, at: Mapping[str, str]) -> None:
    """Run a send guard in a process that dies at a failpoint."""
    words = [sys.executable, "-c", KEEP, url, str(epoch_file.folder)]
    ended = subprocess.run(words, env={**os.environ, **at}, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL


def test_the_first_start_begins_it_and_what_is_outside_is_never_behind(
    database: Database, epoch_file: EpochFile
) -> None:
    assert read_state(database).stored.id is None
    assert send_guard(database, epoch_file).may_send()
    now, in_file = read_state(database), epoch_file.read()
    assert in_file is not None
    assert (now.is_open, now.stored.id, now.stored.number) == (True, in_file.id, in_file.number)
    assert now.stored.until == in_file.until
    assert in_file.until - now.now > LEASE - timedelta(seconds=5)


def test_it_is_moved_on_when_a_third_of_the_lease_is_over_or_the_clock_went_back_and_not_before(
    database: Database, epoch_file: EpochFile
) -> None:
    assert send_guard(database, epoch_file).may_send()
    assert send_guard(database, epoch_file).may_send()
    assert read_state(database).stored.number == 1
    old(database)
    assert send_guard(database, epoch_file).may_send()
    assert read_state(database).stored.number == 2
    change(database, "marked_at = now() + interval '1 hour', until = now() + interval '2 hours'")
    assert send_guard(database, epoch_file).may_send()
    assert read_state(database).stored.number == 3


def test_what_is_open_stays_open_while_a_stopped_process_holds_the_file(
    database: Database, epoch_file: EpochFile
) -> None:
    assert send_guard(database, epoch_file).may_send()
    old(database)
    guard = send_guard(database, epoch_file)
    with (epoch_file.folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert together(*[guard.may_send] * 8) == [True] * 8, "until what the file says, and the ledger"
        change(database, "until = now()")
        assert not send_guard(database, epoch_file).may_send()
    assert send_guard(database, epoch_file).may_send()


def test_two_that_move_it_on_at_once_agree(database: Database, epoch_file: EpochFile) -> None:
    def ask() -> None:
        with suppress(Unreachable):  # the server ends a transaction whose thread waits long for a processor
            send_guard(database, epoch_file).may_send()

    for _ in range(10):
        together(*[ask] * 4)
        old(database)
    now, in_file = read_state(database), epoch_file.read()
    assert in_file is not None
    assert (now.doubt, now.is_open) == (None, True)
    assert in_file.id == now.stored.id
    assert in_file.number <= now.stored.number


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("point", ["mark.intended", "mark.advanced"])
def test_who_dies_between_the_two_halves_raises_no_alarm(
    database: Database, database_url: str, epoch_file: EpochFile, crashes: Crashes, point: str, *, begun: bool
) -> None:
    if begun:
        assert send_guard(database, epoch_file).may_send()
        old(database)
    crash_at(database_url, epoch_file, crashes.arm(point))
    assert read_state(database).stored.number == 1 + begun
    if begun:
        change(database, "marked_at = now() - interval '1 day', until = now() - interval '1 day'")
    assert send_guard(database, epoch_file).may_send()
    assert read_state(database).doubt is None


@pytest.mark.parametrize("way", METHODS)
@pytest.mark.parametrize("moved_on", [False, True])
def test_a_database_that_was_put_back_sends_nothing_even_within_the_same_lease(
    database: Database, epoch_file: EpochFile, backups: Backups, way: str, *, moved_on: bool
) -> None:
    make, put_back = METHODS[way]
    assert send_guard(database, epoch_file).may_send()
    before = read_state(database).confirmed_at
    make(backups)
    drop_pool(database)
    if moved_on:
        old(database)
        assert send_guard(database, epoch_file).may_send()
    put_back(backups)
    drop_pool(database)
    assert not read_state(database).is_open, "before anybody compared it"
    running = send_guard(database, epoch_file)
    assert not running.may_send()
    assert not running.try_reopen()
    doubt, in_file = read_state(database).doubt, epoch_file.read()
    assert in_file is not None
    assert doubt is not None
    assert (doubt.why, doubt.since, doubt.until) == ("restored", before, in_file.until)
    assert running.find_doubt() == doubt
    assert send_guard(database, None).find_doubt() == doubt, (
        "a process without the file finds it in the database"
    )
    assert epoch_file.read() == in_file


def test_files_put_back_under_a_server_that_was_started_again_are_recognised(
    database: Database, epoch_file: EpochFile
) -> None:
    """Same database, same row: only the server's start tells, and the number."""
    assert send_guard(database, epoch_file).may_send()
    change(database, "started = started - interval '1 hour'")  # as the files of before a restart say
    assert not read_state(database).is_open, "nothing is sent before it was compared"
    assert send_guard(database, epoch_file).may_send(), "an ordinary restart"
    change(database, "n = n - 1, started = started - interval '1 hour'")  # and older ones
    assert not send_guard(database, epoch_file).may_send()
    doubt = read_state(database).doubt
    assert doubt is not None
    assert doubt.why == "restored"


def test_a_backup_of_before_there_was_a_mark_is_recognised(database: Database, epoch_file: EpochFile) -> None:
    assert send_guard(database, epoch_file).may_send()
    change(database, "epoch = NULL, n = 0, until = NULL, marked_at = NULL, started = NULL")
    assert not send_guard(database, epoch_file).may_send()
    doubt = read_state(database).doubt
    assert doubt is not None
    assert (doubt.why, doubt.since) == ("restored", None)
    assert not read_state(database).is_open


def test_a_mark_that_is_gone_holds_everything_and_one_that_comes_back_lets_go(
    database: Database, epoch_file: EpochFile
) -> None:
    assert send_guard(database, epoch_file).may_send()
    elsewhere = epoch_file.folder.rename(epoch_file.folder.with_name("unmounted"))
    change(database, "marked_at = now() - interval '1 minute', until = now() - interval '30 seconds'")
    assert not send_guard(database, epoch_file).may_send()
    doubt = read_state(database).doubt
    assert doubt is not None
    assert (doubt.why, doubt.until) == ("lost", None)
    elsewhere.rename(epoch_file.folder)
    assert send_guard(database, epoch_file).may_send()
    assert read_state(database).doubt is None


def test_a_process_with_a_folder_of_its_own_stops_nobody_else_and_begins_nothing(
    database: Database, epoch_file: EpochFile, tmp_path: Path
) -> None:
    assert send_guard(database, epoch_file).may_send()
    old(database)
    astray = EpochFile(tmp_path / "not shared")
    assert send_guard(database, astray).may_send(), "the others keep it"
    assert read_state(database).doubt is None
    assert astray.read() is None
    assert send_guard(database, epoch_file).may_send()


def test_who_does_not_keep_it_goes_by_the_database_and_nobody_is_not_enough(
    database: Database, epoch_file: EpochFile
) -> None:
    alone = send_guard(database, None)
    assert not alone.may_send(), "never begun"
    assert send_guard(database, epoch_file).may_send()
    assert alone.may_send()
    change(database, "until = now() - interval '1 second'")
    assert not send_guard(database, None).may_send()


@pytest.mark.parametrize("damage", ["unreadable", "a file in its place"])
def test_a_folder_that_cannot_be_used_stops_sending_when_the_lease_is_over_and_is_no_restore(
    database: Database, epoch_file: EpochFile, tmp_path: Path, damage: str
) -> None:
    assert send_guard(database, epoch_file).may_send()
    if damage == "unreadable":
        (epoch_file.folder / "mark.json").write_text("half a ma")
    else:
        epoch_file.folder.rename(tmp_path / "aside")
        epoch_file.folder.write_text("")
    old(database)
    assert send_guard(database, epoch_file).may_send(), "the lease goes on"
    change(database, "until = now() - interval '1 second'")
    assert not send_guard(database, epoch_file).may_send()
    assert read_state(database).doubt is None


def test_a_holder_of_an_old_number_cannot_open_a_database_that_was_put_back(
    database: Database, epoch_file: EpochFile, backups: Backups
) -> None:
    """It stood still between the two halves while the database went back beneath it."""
    assert send_guard(database, epoch_file).may_send()
    backups.copy_files()
    drop_pool(database)
    with database.begin() as c:
        epoch = epochs.lock(c).stored.id
        assert epoch is not None
        intent = epochs.intend(c, epoch, LEASE)
    assert epoch_file.advance(intent.epoch)
    backups.restore_files()
    drop_pool(database)
    with database.begin() as c:
        assert not epochs.confirm(c, intent)
    assert not read_state(database).is_open
