"""One child process: started on a leash, written down, and ended with everything it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.embedded.data_folder import closed
from pipeline.embedded.process_identity import birth, session_of

LEASH = Path(__file__).with_name("spawn.py")
PAUSE = 0.02
"""Seconds between two looks at something that has to happen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """What to run. `stop` asks it to end in good order; it gets the same when the supervisor dies."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    stop: signal.Signals = signal.SIGTERM
    user: str = "-"


class Child:
    """A running program in a session of its own, written down in ``run/<name>.json`` of `folder`."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.log = closed(folder / "logs") / f"{program.name}.log"
        self._note = closed(folder / "run") / f"{program.name}.json"
        leash = [
            sys.executable,
            "-I",
            "-S",
            str(LEASH),
            str(os.getpid()),
            str(int(program.stop)),
            program.user,
        ]
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [*leash, *program.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(program.environment),
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self._born = birth(self.pid)
        _write(self._note, {"pid": self.pid, "born": self._born, "stop": int(program.stop)})

    def ended(self) -> int | None:
        """Its exit status once it has ended (minus the signal that killed it), else None."""
        return self._popen.poll()

    def ask(self) -> None:
        """Ask it to end in good order; the wait is the caller's."""
        if self.ended() is None:
            self._popen.send_signal(self.program.stop)

    def end(self, wait: float) -> bool:
        """See it end within `wait` seconds, else kill it, and whatever is left of its session. Whether it obeyed."""
        self.ask()
        try:
            self._popen.wait(wait)
            obeyed = True
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
            obeyed = False
        kill(session_of(self.pid, self._born))
        self._note.unlink(missing_ok=True)
        return obeyed

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def end_leftovers(folder: Path, wait: float) -> list[str]:
    """End what a supervisor that was killed left running on `folder`; the names of what was found.

    Only ever by a written process id whose birth is the written one, or by membership in such a process's session.
    """
    notes = {note: json.loads(note.read_text()) for note in sorted((folder / "run").glob("*.json"))}

    def members(note: Path) -> list[int]:
        return session_of(notes[note]["pid"], notes[note]["born"])

    alive = [note for note in notes if members(note)]
    for note in alive:
        if notes[note]["pid"] in members(note):
            ask(notes[note]["pid"], notes[note]["stop"])
    until(lambda: not any(members(note) for note in alive), wait)
    for note in alive:
        kill(members(note))
    for note in notes:
        note.unlink()
    return [note.stem for note in alive]


def ask(pid: int, stop: int) -> None:
    """Send a signal to a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, stop)


def kill(pids: Sequence[int]) -> None:
    """Kill processes that are known to be ours, and see them gone."""
    births = {pid: birth(pid) for pid in pids}
    for pid in pids:
        ask(pid, signal.SIGKILL)
    until(lambda: not any(born and birth(pid) == born for pid, born in births.items()), 5)


def until(holds: Callable[[], bool], wait: float) -> bool:
    """Look until it holds or `wait` seconds have passed; whether it held."""
    end = time.monotonic() + wait
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE)
    return True


def _write(note: Path, value: Mapping[str, object]) -> None:
    """All or nothing: a torn note would hide a process."""
    fresh = note.with_suffix(".new")
    fresh.write_text(json.dumps(value))
    fresh.replace(note)
