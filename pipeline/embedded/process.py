"""A child process that ends with the supervisor, is recorded in a file, and is stopped with its whole session."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.embedded.data_folder import ensure_private
from pipeline.embedded.log_files import read_tail
from pipeline.embedded.process_identity import list_session, read_start_id
from pipeline.embedded.server_user import SAME_USER, build_spawn_command

POLL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """What to run. `stop` is the signal for an orderly stop, which the process also gets when the supervisor dies."""

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
