"""The epoch file on a real file system, written by several processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from pipeline.domain.restore import Epoch
from pipeline.runtime.epoch_file import EpochFile, UnreadableEpochFile
from tests.pipeline.store.ledger import together

NOW = datetime(2027, 1, 31, 23, 59, tzinfo=UTC)
EPOCH = UUID(int=1)
WRITER = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID
from pipeline.domain.restore import Epoch
from pipeline.runtime.epoch_file import EpochFile
first, step, now = int(sys.argv[2]), int(sys.argv[3]), datetime.fromisoformat(sys.argv[4])
file = EpochFile(Path(sys.argv[1]))
for n in range(first, 200, step):
    while True:
        try:
            assert file.advance(Epoch(id=UUID(int=1), number=n, until=now + timedelta(seconds=n)))
            break
        except TimeoutError:
            pass  # the other kept the lock for long on a slow disk: nothing is written, and it is asked again
"""
HOLDER = """
import fcntl, sys, time
lock = open(sys.argv[1], "a")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def make_epoch(n: int, epoch: UUID = EPOCH) -> Epoch:
    return Epoch(id=epoch, number=n, until=NOW + timedelta(seconds=n))


def test_a_folder_that_is_not_there_holds_no_mark_and_is_made_for_its_owner_only(tmp_path: Path) -> None:
    epoch_file = EpochFile(tmp_path / "a" / "mark")
    assert epoch_file.read() is None
    assert epoch_file.list_brought_forward(None) == frozenset()
    assert not epoch_file.folder.exists(), "looking makes nothing"
    assert epoch_file.advance(make_epoch(1))
    assert epoch_file.read() == make_epoch(1)
    assert epoch_file.folder.stat().st_mode & 0o777 == 0o700


def test_it_never_goes_back_and_never_into_another_epoch(tmp_path: Path) -> None:
    epoch_file = EpochFile(tmp_path)
    assert epoch_file.advance(make_epoch(5))
    assert epoch_file.advance(make_epoch(4)), "somebody was faster: what it says is true all the same"
    assert epoch_file.read() == make_epoch(5)
    assert epoch_file.advance(Epoch(id=EPOCH, number=6, until=NOW))
    assert epoch_file.read() == Epoch(id=EPOCH, number=6, until=make_epoch(5).until), (
        "a clock that was set back"
    )
    assert not epoch_file.advance(make_epoch(9, uuid4()))
    other = uuid4()
    epoch_file.begin(make_epoch(1, other))
    assert epoch_file.read() == make_epoch(1, other)


def test_processes_that_write_at_once_leave_the_newest(tmp_path: Path) -> None:
    def write(first: int) -> int:
        words = [sys.executable, "-c", WRITER, str(tmp_path), str(first), "2", NOW.isoformat()]
        return subprocess.run(words, check=False, timeout=60).returncode

    assert together(lambda: write(1), lambda: write(2)) == [0, 0]
    assert EpochFile(tmp_path).read() == make_epoch(199)


def test_a_process_that_is_stopped_while_it_writes_does_not_stop_the_others(tmp_path: Path) -> None:
    """Shown by chaos: the platforms' answers were read by nobody, as every process waited for one that was stopped."""
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            holder.send_signal(signal.SIGSTOP)
            with pytest.raises(TimeoutError, match=r"has held .*lock for 1 s; `fuser`"):
                EpochFile(tmp_path).advance(make_epoch(1))
            assert EpochFile(tmp_path).read() is None
        finally:
            holder.kill()
    assert EpochFile(tmp_path).advance(make_epoch(1)), "a process that ended holds nothing"


@pytest.mark.parametrize("text", ["", "{}", '{"epoch": "x", "n": 1, "until": "y"}', "[1]"])
def test_what_is_no_mark_is_an_error_that_names_the_file_and_never_no_mark(tmp_path: Path, text: str) -> None:
    (tmp_path / "mark.json").write_text(text)
    with pytest.raises(UnreadableEpochFile, match=r"mark\.json is no epoch file"):
        EpochFile(tmp_path).read()
    with pytest.raises(UnreadableEpochFile):
        EpochFile(tmp_path).advance(make_epoch(1))
    assert (tmp_path / "mark.json").read_text() == text


def test_what_was_brought_forward_is_found_by_when_it_was_whatever_the_month(tmp_path: Path) -> None:
    epoch_file, next_month = EpochFile(tmp_path), NOW + timedelta(minutes=2)
    old, new, newest = uuid4(), uuid4(), uuid4()
    epoch_file.record_brought_forward([old], NOW - timedelta(days=3))
    epoch_file.record_brought_forward([new], NOW)
    epoch_file.record_brought_forward([newest], next_month)
    assert sorted(f.name for f in tmp_path.glob("forward-*")) == [
        "forward-2027-01.txt",
        "forward-2027-02.txt",
    ]
    assert epoch_file.list_brought_forward(NOW) == {new, newest}
    assert epoch_file.list_brought_forward(None) == {old, new, newest}
    with (tmp_path / "forward-2027-02.txt").open("a") as file:
        file.write(f"{next_month.isoformat()} 0199c0de-00")  # the machine stopped in the middle of a line
    assert epoch_file.list_brought_forward(NOW) == {new, newest}
