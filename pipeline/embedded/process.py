"""A child process that ends with the supervisor, is recorded in a file, and is stopped with its whole session.

Log files of the services: rotated by size, and followed for lines that a user should see.

Identifies processes: the kernel reuses process ids, but not together with their start time.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import subprocess
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

from pipeline.embedded.data_folder import ensure_private
from pipeline.embedded.server_user import SAME_USER, EngineError, build_spawn_command

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
NOTEWORTHY = re.compile(r"\b(WARNING|ERROR|CRITICAL|FATAL|PANIC|Traceback)\b", re.IGNORECASE)


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
        _write_record(self._record, {"pid": self.pid, "born": self._start_id, "stop": int(program.stop)})

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
    """Stop what a killed supervisor left running on `folder`; return the names of the processes found.

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


def _write_record(record: Path, value: Mapping[str, object]) -> None:
    """Write atomically: a torn record would hide a process."""
    fresh = record.with_suffix(".new")
    fresh.write_text(json.dumps(value))
    fresh.replace(record)
