"""The processes that read hostile files, seen from outside: this is all they ever get to talk to."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, Lock, Timer
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.media.inmate import ANSWER, ASK, GET, PIECE, READY, SIZE
from pipeline.media.refusal import Refused, Unanswered
from pipeline.media.sniff import Container
from pipeline.media.warden import END, FORK, ORDER, TOLD

PROGRAM = Path(__file__).with_name("warden.py")
MAX_ANSWER = 4096
START_SECONDS = 20.0
"""For loading the libraries (0.2 s on an idle machine), and for whatever the warden is told."""
_SAYS = {
    "unreadable": "it is damaged, or not really {type}",
    "cut_short": "the file ends before its media do: it is not whole",
    "no_video": "there is no video in it that can be read",
    "too_many_pixels": "it has more pixels than are accepted",
}


class Seen(BaseModel):
    """What the inmate says it saw. It may have been taken over by the file, so nothing in here is believed unseen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int | None = Field(default=None, ge=1, le=1_000_000)
    height: int | None = Field(default=None, ge=1, le=1_000_000)
    duration: float | None = Field(default=None, ge=0, le=10_000_000, allow_inf_nan=False)
    codec: str | None = Field(default=None, pattern=r"^[a-z0-9_.-]{1,32}$")
    fps: float | None = Field(default=None, gt=0, le=100_000, allow_inf_nan=False)
    error: str | None = Field(default=None, pattern=r"^[a-z_]{1,32}$")


class JailBroken(RuntimeError):
    """The jail did not even get ready: a fault of this installation, not of the file."""


class _Escaped(Exception):
    """The inmate died or said something it must not say."""


def inspect(container: Container, size: int, read: Callable[[int, int], bytes], seconds: float) -> Seen:
    """What a file is, read by the inmate through ``read(offset, length)``, within ``seconds`` of wall clock.

    Raises Refused when the file cannot be understood, Unanswered when time runs out, JailBroken when it is our fault,
    and whatever ``read`` raises.
    """
    job = {"reader": container.reader, "format": container.format, "size": size}
    with _inmate() as inmate:
        with _killed_after(inmate, START_SECONDS):
            _start(inmate, job)
        with _killed_after(inmate, seconds) as killed:
            try:
                seen = _serve(inmate, size, read)
            except (_Escaped, BrokenPipeError):
                if killed.is_set():
                    raise Unanswered(f"could not be read within {seconds:.0f} s") from None
                if not inmate.kill():
                    raise JailBroken("the warden died, and with it what read the file") from None
                seen = Seen(error="unreadable")
    if seen.error is not None:
        raise Refused(_SAYS.get(seen.error, _SAYS["unreadable"]).format(type=container.content_type))
    return seen


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
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={}, cwd="/", close_fds=True, start_new_session=True,
            )  # fmt: skip
        try:
            self._heard()
        except _Escaped:
            raise JailBroken(f"the jail did not start (exit {self.close()})") from None

    def fork(self, incoming: int, outgoing: int) -> int:
        """The process id of an inmate that has these ends of its pipes. Raises _Escaped when the warden is no more."""
        return self._told(FORK, 0, [incoming, outgoing])

    def end(self, pid: int) -> bool:
        """It is dead when this returns; it may have been before. False: there is no warden any more to do it.

        Then it dies of its closed pipes, and that it died says nothing about the file it read.
        """
        try:
            self._told(END, pid)
        except _Escaped:
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
            except (OSError, _Escaped):
                self._line.close()  # or an answer that comes late would be taken for the next one's
                raise _Escaped from None

    def _heard(self) -> int:
        data = b""
        while len(data) < TOLD.size:
            try:
                piece = self._line.recv(TOLD.size - len(data))
            except OSError:
                raise _Escaped from None
            if not piece:
                raise _Escaped
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
                except _Escaped:
                    self._warden.close()
            self._warden = None  # also when the next one does not begin
            self._warden = Warden()
            try:
                return self._warden, self._warden.fork(incoming, outgoing)
            except _Escaped:
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
def _inmate() -> Iterator[Inmate]:
    """The child: no environment, no descriptors but its pipes, its own session; dead at the end whatever happens."""
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


@contextmanager
def _killed_after(inmate: Inmate, seconds: float) -> Iterator[Event]:
    """Blocking reads and writes below end because the child does."""
    killed = Event()

    def kill() -> None:
        killed.set()
        inmate.kill()

    timer = Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield killed
    finally:
        timer.cancel()


def _start(inmate: Inmate, job: dict[str, object]) -> None:
    try:
        _send(inmate.into, json.dumps(job).encode())
        what, _, _ = ASK.unpack(_exactly(inmate.out, ASK.size))
    except (_Escaped, BrokenPipeError):
        raise JailBroken("an inmate died before it was ready") from None
    if what != READY:
        raise JailBroken("the jail did not say that it is ready")


def _serve(inmate: Inmate, size: int, read: Callable[[int, int], bytes]) -> Seen:
    into, out = inmate.into, inmate.out
    while True:
        what, offset, length = ASK.unpack(_exactly(out, ASK.size))
        if what == GET and offset < size and 0 < length <= PIECE:
            _send(into, read(offset, length))
        elif what == ANSWER and length <= MAX_ANSWER:
            try:
                return Seen.model_validate_json(_exactly(out, length))
            except ValidationError:
                raise _Escaped from None
        else:
            raise _Escaped


def _send(into: IO[bytes], data: bytes) -> None:
    left = memoryview(SIZE.pack(len(data)) + data)
    while left:
        left = left[into.write(left) :]


def _exactly(out: IO[bytes], length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = out.read(length - len(data))
        if not piece:
            raise _Escaped
        data += piece
    return data
