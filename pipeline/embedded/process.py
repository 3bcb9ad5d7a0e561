"""A child process that ends with the supervisor, is recorded in a file, and is stopped with its whole session.

Log files of the services: rotated by size, and followed for lines that a user should see.

Identifies processes: the kernel reuses process ids, but not together with their start time.

PostgreSQL refuses to run as root, so it then runs as a user without rights. Root's folders are often closed to that
user: ``/root`` has mode 0700 on Debian and in most containers. What the user must reach then goes to `BASE`, where only
root may write, so that no other user can exchange it.
"""

from __future__ import annotations

import json
import os
import platform
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Self

import psutil

from pipeline.embedded.data_folder import ensure_private, write_private

SAME_USER = "-"
"""The server's user when Slipway does not run as root."""
SPAWN_PROGRAM = Path(__file__).with_name("spawn.py")
BASE = Path("/var/lib/slipway")
"""Root's folder for what the server's user must reach."""
READABLE, ENTERABLE = 0o755, 0o711
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
ACCESS_PROGRAM = """\
import os, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
sys.exit(not all(os.access(program, os.X_OK) for program in sys.argv[3:]))
"""


class EngineError(Exception):
    """An engine could not be started. The message says why, with the end of its log."""


def find_server_user() -> str:
    """Return the user that PostgreSQL runs as: SAME_USER, or an existing one without rights. Raises EngineError."""
    if os.geteuid() != 0:
        return SAME_USER
    for name in ("nobody", "daemon"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name  # initdb requires a user with a name
    raise EngineError(
        "PostgreSQL refuses to run as root, and this machine has neither user `nobody` nor `daemon`."
    )


def build_spawn_command(user: str, stop: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return the start of a command line that runs a program as `user`. It gets `stop` when this process dies."""
    return [sys.executable, "-I", "-S", str(SPAWN_PROGRAM), str(os.getpid()), str(int(stop)), user]


def give_to(user: str, folder: Path) -> None:
    """Make `folder` belong to `user`."""
    if user != SAME_USER:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def can_execute(user: str, programs: Sequence[Path]) -> bool:
    """Return True if `user` reaches the programs by its own rights.

    ``initdb`` looks for programs with access(2), which ignores capabilities.
    """
    if user == SAME_USER:
        return True
    entry = pwd.getpwnam(user)
    argv = [sys.executable, "-I", "-S", "-c", ACCESS_PROGRAM, str(entry.pw_uid), str(entry.pw_gid)]
    return subprocess.run([*argv, *map(str, programs)], check=False, capture_output=True).returncode == 0


def can_write(user: str, folder: Path) -> bool:
    """Return True if the server could write in `folder`, which belongs to `user`: by rights or by its capability."""
    if user == SAME_USER:
        return True
    script = ["/bin/sh", "-c", ': > "$1/probe" && rm "$1/probe"', "sh", str(folder)]
    return (
        subprocess.run([*build_spawn_command(user), *script], check=False, capture_output=True).returncode
        == 0
    )


def create_place(user: str) -> Path:
    """Create a folder for one server's data and sockets, which `user` can enter. Raises EngineError."""
    with suppress(OSError):
        place = Path(tempfile.mkdtemp(prefix="data-", dir=ensure_base()))
        place.chmod(ENTERABLE)
        give_to(user, ensure_private(place / "pg"))
        if can_write(user, place / "pg"):
            return place
        shutil.rmtree(place)
    raise EngineError(
        f"PostgreSQL refuses to run as root, so it runs as {user}, who can write neither in the data folder nor in "
        f"{BASE}. Start Slipway as an ordinary user."
    )


def ensure_base() -> Path:
    """Return BASE, created if necessary. Raises OSError if it cannot be written or is not safe."""
    BASE.mkdir(parents=True, exist_ok=True)
    if not is_safe(BASE):
        raise PermissionError(f"{BASE} does not belong to root alone.")
    BASE.chmod(READABLE)
    return BASE


def is_safe(folder: Path) -> bool:
    """Return True if it is a folder of this process's user that no other user may write."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return is_own and not found.st_mode & WRITABLE_BY_OTHERS


ON_LINUX = platform.system() == "Linux"


def read_start_id(pid: int) -> str:
    """Return the start of process `pid` as a text that no later process with its id has; empty if it is not alive.

    On Linux the time counts from the boot (proc_pid_stat(5), field 22), so changes of the clock do not affect it.
    """
    if ON_LINUX:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return "" if fields[0] in {"Z", "X"} else f"{_read_boot_id()}:{int(fields[19]):020}"
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return f"{process.create_time():020.2f}"
    return ""


def list_session(pid: int, since: str) -> list[int]:
    """Return the living processes of the session that process `pid`, started at `since`, has created.

    The process itself may have ended: the kernel does not reuse its id while its session has members.
    """
    found = []
    for other in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(other) == pid and _is_later_in_same_boot(read_start_id(other), since):
                found.append(other)
    return found


def _is_later_in_same_boot(one: str, since: str) -> bool:
    return one >= since and one.rpartition(":")[0] == since.rpartition(":")[0]


@lru_cache(maxsize=1)
def _read_boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


MAX_BYTES = 20_000_000
"""Bytes after which a log is rotated; one older file is kept."""
MAX_LINES = 20
"""Lines of one log shown per poll: a service that fails in a loop must not hide the others."""
NOTEWORTHY = re.compile(r"(?<![\w.])(WARNING|ERROR|CRITICAL|FATAL|PANIC|Traceback)\b", re.IGNORECASE)
"""Words of a line that reports a problem, not part of a name: all lines of uvicorn are of the logger uvicorn.error."""


def rotate(log: Path) -> None:
    """Move the content of a large log to a second file. Its writer appends, so it continues at the new start."""
    if log.is_file() and log.stat().st_size > MAX_BYTES:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        with log.open("r+") as file:
            file.truncate(0)


def read_tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log; empty if there is none."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.is_file() else ""


class LogReader:
    """Follows one log from its current end."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = log.stat().st_size if log.is_file() else 0

    def read_lines(self) -> Iterator[str]:
        """Yield the newest complete lines since the last call that report a problem."""
        if not self._log.is_file():
            return
        with self._log.open("rb") as file:
            if file.seek(0, 2) < self._offset:
                self._offset = 0
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        found = deque(
            (line for line in whole.decode(errors="replace").splitlines() if NOTEWORTHY.search(line)),
            MAX_LINES,
        )
        yield from found


POLL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A program to run. `stop` is the signal for an orderly stop; the process also gets it when the supervisor dies."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    stop: signal.Signals = signal.SIGTERM
    user: str = SAME_USER


class Child:
    """A running program in its own session, recorded in ``run/<name>.json`` of `folder`."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.log = ensure_private(folder / "logs") / f"{program.name}.log"
        self._record = ensure_private(folder / "run") / f"{program.name}.json"
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [*build_spawn_command(program.user, program.stop), *program.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(program.environment),
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self._start_id = read_start_id(self.pid)
        # atomically: a torn record would hide a process
        facts = {"pid": self.pid, "born": self._start_id, "stop": int(program.stop)}
        write_private(self._record, json.dumps(facts))

    def exit_status(self) -> int | None:
        """Return the exit status (minus the signal that killed it), or None while it runs."""
        return self._popen.poll()

    def request_stop(self) -> None:
        """Send the stop signal; do not wait."""
        if self.exit_status() is None:
            self._popen.send_signal(self.program.stop)

    def stop(self, wait: float) -> bool:
        """Stop it, kill it after `wait` seconds, and kill the rest of its session. Return False if it was killed."""
        self.request_stop()
        try:
            self._popen.wait(wait)
            is_orderly = True
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
            is_orderly = False
        kill_all(list_session(self.pid, self._start_id))
        self._record.unlink(missing_ok=True)
        return is_orderly

    def read_log_tail(self) -> str:
        """Return the last lines of its log."""
        return read_tail(self.log)


class EngineChild(ABC):
    """A database or broker of one data folder, in a child process; in a ``with`` block it runs until its end."""

    title: ClassVar[str]
    """Its name, for people."""
    stop_timeout: ClassVar[float]
    """Seconds it may take to stop in an orderly way."""
    child: Child | None = None

    @abstractmethod
    def start(self) -> Self:
        """Start it, and wait until it answers. Raises EngineError."""

    @abstractmethod
    def is_answering(self) -> bool:
        """Return whether it takes connections."""

    def stop(self, wait: float | None = None) -> None:
        """Stop it in an orderly way: sessions are closed, data are written out."""
        if self.child:
            self.child.stop(self.stop_timeout if wait is None else wait)
            self.child = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, program: Program, folder: Path, wait: float) -> None:
        self.child = Child(program, folder)
        if not wait_until(self._is_ready, wait):
            self.stop()
            raise EngineError(
                f"{self.title} did not answer within {wait:g} s. Its log: {folder}/logs/{program.name}.log"
            )

    def _is_ready(self) -> bool:
        if self.child and self.child.exit_status() is not None:
            raise EngineError(f"{self.title} ended while it started:\n{self.child.read_log_tail()}")
        return self.is_answering()


def stop_leftovers(folder: Path, wait: float) -> list[str]:
    """Stop processes that a killed supervisor left running on `folder`; return their names.

    A process is stopped only if its recorded id and start match, or if it belongs to the session of such a process.
    """
    records = {record: json.loads(record.read_text()) for record in sorted((folder / "run").glob("*.json"))}

    def members(record: Path) -> list[int]:
        return list_session(records[record]["pid"], records[record]["born"])

    alive = [record for record in records if members(record)]
    for record in alive:
        if records[record]["pid"] in members(record):
            send_signal(records[record]["pid"], records[record]["stop"])
    wait_until(lambda: not any(members(record) for record in alive), wait)
    for record in alive:
        kill_all(members(record))
    for record in records:
        record.unlink()
    return [record.stem for record in alive]


def send_signal(pid: int, stop: int) -> None:
    """Send a signal to a process that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, stop)


def kill_all(pids: Sequence[int]) -> None:
    """Kill processes that are known to be ours, and wait until they have ended."""
    start_ids = {pid: read_start_id(pid) for pid in pids}
    for pid in pids:
        send_signal(pid, signal.SIGKILL)
    wait_until(lambda: not any(born and read_start_id(pid) == born for pid, born in start_ids.items()), 5)


def wait_until(holds: Callable[[], bool], wait: float) -> bool:
    """Poll until the condition holds or `wait` seconds have passed. Return whether it held."""
    end = time.monotonic() + wait
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True
