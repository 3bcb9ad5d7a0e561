"""Probe processes as the worker sees them: forked by the fork server, one for each file, and killed afterwards."""

from __future__ import annotations

import os
import signal
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

from pipeline.media.probe.fork_server import ANSWER, FORK, MESSAGE

PROGRAM = Path(__file__).with_name("fork_server.py")
START_SECONDS = 20.0
"""For loading the libraries (0.2 s on an idle machine), and for each answer of the fork server."""


class ProbeUnavailable(RuntimeError):
    """No probe process could be started: a fault of this installation, not of the file."""


class ProbeFailed(Exception):
    """A probe process or the fork server died, or broke the protocol."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a probe process ended, and what it used."""

    status: int
    """As os.waitpid returns it: how the process ended by itself, or that it was killed."""
    memory: int
    """Bytes that were resident at most, the loaded libraries (about 35 MB) included."""
    cpu_seconds: float

    @property
    def is_out_of_time(self) -> bool:
        """Return True if the kernel ended the process for its processor time."""
        return os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGXCPU


class ForkServer:
    """A fork server process (``fork_server.py``). It ends with this process and kills its children when it ends.

    Raises ProbeUnavailable when it does not start.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(START_SECONDS)
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
            self._receive()
        except ProbeFailed:
            raise ProbeUnavailable(f"the fork server did not start (exit {self.close()})") from None

    def fork(self, incoming: int, outgoing: int) -> int:
        """Fork a probe process with these pipes and return its process id. Raises ProbeFailed if the server is dead."""
        return self._request(FORK, [incoming, outgoing])[0]

    def kill(self, pid: int) -> Ending | None:
        """Kill a probe process, dead or alive, and return how it ended. Return None if the fork server is dead.

        Then the process ends because its pipes close, and its end says nothing about the file it read.
        """
        try:
            return self._request(pid)[1]
        except ProbeFailed:
            return None

    def close(self) -> int:
        """Kill the server; its children end with it. Return its exit status."""
        self._socket.close()
        self._process.kill()
        return self._process.wait()

    def _request(self, request: int, pipes: Sequence[int] = ()) -> tuple[int, Ending]:
        with self._lock:
            try:
                socket.send_fds(self._socket, [MESSAGE.pack(request)], pipes)
                return self._receive()
            except (OSError, ProbeFailed):
                self._socket.close()  # a late answer must not be taken for the answer to the next request
                raise ProbeFailed from None

    def _receive(self) -> tuple[int, Ending]:
        try:
            data = self._socket.recv(ANSWER.size)
        except OSError:
            raise ProbeFailed from None
        if len(data) != ANSWER.size:
            raise ProbeFailed
        pid, *ending = ANSWER.unpack(data)
        return int(pid), Ending(*ending)


_start_lock = Lock()
_server: ForkServer | None = None
"""The server of this process. It is never closed: a thread may still be reading a file through it."""


def _fork(incoming: int, outgoing: int) -> tuple[ForkServer, int]:
    """Fork a probe process; start a fork server if there is none or it has died. Raises ProbeUnavailable."""
    global _server  # noqa: PLW0603  one server a process, replaced when it dies
    with _start_lock:
        for _ in range(2):
            if _server is None:
                _server = ForkServer()
            try:
                return _server, _server.fork(incoming, outgoing)
            except ProbeFailed:
                _server.close()
                _server = None
    raise ProbeUnavailable("the fork server died as soon as it had started")


class ProbeProcess:
    """A probe process: our ends of its pipes, and how to kill it. ``kill``: as `ForkServer.kill`, called once."""

    def __init__(self, to_probe: IO[bytes], from_probe: IO[bytes], kill: Callable[[], Ending | None]) -> None:
        self.to_probe, self.from_probe = to_probe, from_probe
        self._kill, self._lock = kill, Lock()
        self._endings: list[Ending | None] = []

    def kill(self) -> Ending | None:
        """Kill the process, and return how it ended. Return None if the fork server is dead. Thread-safe."""
        with self._lock:
            if not self._endings:
                self._endings.append(self._kill())
            return self._endings[0]


@contextmanager
def start_probe() -> Iterator[ProbeProcess]:
    """A new process for one file: no environment, nothing open but its pipes, its own session. Killed at the end."""
    incoming, to_probe = os.pipe()
    from_probe, outgoing = os.pipe()
    with open(to_probe, "wb", 0) as writer, open(from_probe, "rb", 0) as reader:  # noqa: PTH123  descriptors, not paths
        try:
            server, pid = _fork(incoming, outgoing)
        finally:
            os.close(incoming)
            os.close(outgoing)
        process = ProbeProcess(writer, reader, partial(server.kill, pid))
        try:
            yield process
        finally:
            process.kill()
