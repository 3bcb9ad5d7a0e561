"""Inmates from outside: the warden forks one for each file, and it is dead at the end whatever happens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import IO

from pipeline.media.probe.fork_server import END, FORK, ORDER, TOLD

PROGRAM = Path(__file__).with_name("fork_server.py")
START_SECONDS = 20.0
"""For loading the libraries (0.2 s on an idle machine), and for whatever the warden is told."""


class JailBroken(RuntimeError):
    """The jail did not even get ready: a fault of this installation, not of the file."""


class Escaped(Exception):
    """An inmate, or the warden, died or said something it must not say."""


class Warden:
    """The process that forks the inmates (``warden.py``). It ends with this one, and its inmates end with it.

    Raises JailBroken when it does not begin.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._line, theirs = socket.socketpair()
        self._line.settimeout(START_SECONDS)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own file by our own interpreter
                [sys.executable, "-I", str(PROGRAM)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                close_fds=True,
                start_new_session=True,
            )
        try:
            self._heard()
        except Escaped:
            raise JailBroken(f"the jail did not start (exit {self.close()})") from None

    def fork(self, incoming: int, outgoing: int) -> int:
        """The process id of an inmate that has these ends of its pipes. Raises Escaped when the warden is no more."""
        return self._told(FORK, 0, [incoming, outgoing])

    def end(self, pid: int) -> bool:
        """It is dead when this returns; it may have been before. False: there is no warden any more to do it.

        Then it dies of its closed pipes, and that it died says nothing about the file it read.
        """
        try:
            self._told(END, pid)
        except Escaped:
            return False
        return True

    def close(self) -> int:
        """Ends it, and its inmates. Returns its exit status."""
        self._line.close()
        self._process.kill()
        return self._process.wait()

    def _told(self, what: bytes, pid: int, ends: Sequence[int] = ()) -> int:
        with self._lock:
            try:
                socket.send_fds(self._line, [ORDER.pack(what, pid)], ends)
                return self._heard()
            except (OSError, Escaped):
                self._line.close()  # or an answer that comes late would be taken for the next one's
                raise Escaped from None

    def _heard(self) -> int:
        data = b""
        while len(data) < TOLD.size:
            try:
                piece = self._line.recv(TOLD.size - len(data))
            except OSError:
                raise Escaped from None
            if not piece:
                raise Escaped
            data += piece
        (pid,) = TOLD.unpack(data)
        return int(pid)


class Guard:
    """The warden of this process: begun when the first inmate is needed, and anew should it have died."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._warden: Warden | None = None

    def fork(self, incoming: int, outgoing: int) -> tuple[Warden, int]:
        """An inmate, and whose it is. Raises JailBroken."""
        with self._lock:
            if self._warden is not None:
                try:
                    return self._warden, self._warden.fork(incoming, outgoing)
                except Escaped:
                    self._warden.close()
            self._warden = None  # also when the next one does not begin
            self._warden = Warden()
            try:
                return self._warden, self._warden.fork(incoming, outgoing)
            except Escaped:
                raise JailBroken("the jail ended as soon as it had started") from None


guard = Guard()
"""Closed by nobody: while a thread still reads a file, no inmate may die of anything but that file."""


@dataclass(frozen=True, slots=True)
class Inmate:
    """A process in the jail, from outside: our ends of its pipes."""

    into: IO[bytes]
    out: IO[bytes]
    kill: Callable[[], bool]
    """It is dead when this returns, or (False) has no warden any more. May be called again, from any thread."""


@contextmanager
def inmate() -> Iterator[Inmate]:
    """One for one file: no environment, nothing open but its pipes, its own session; dead at the end."""
    incoming, into = os.pipe()
    out, outgoing = os.pipe()
    with open(into, "wb", 0) as writer, open(out, "rb", 0) as reader:  # noqa: PTH123  descriptors, not paths
        try:
            warden, pid = guard.fork(incoming, outgoing)
        finally:
            os.close(incoming)
            os.close(outgoing)
        try:
            yield Inmate(writer, reader, partial(warden.end, pid))
        finally:
            warden.end(pid)
