"""Runs the program that reads hostile files, and is all it ever gets to talk to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Timer
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.media.inmate import ANSWER, ASK, GET, PIECE, READY, SIZE
from pipeline.media.refusal import Refused, Unanswered
from pipeline.media.sniff import Container

PROGRAM = Path(__file__).with_name("inmate.py")
MAX_ANSWER = 4096
START_SECONDS = 20.0
"""For loading the libraries (0.1 s on an idle machine)."""
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
    with _inmate() as process:
        with _killed_after(process, START_SECONDS):
            _start(process, job)
        with _killed_after(process, seconds) as killed:
            try:
                seen = _serve(process, size, read)
            except (_Escaped, BrokenPipeError):
                if killed.is_set():
                    raise Unanswered(f"could not be read within {seconds:.0f} s") from None
                seen = Seen(error="unreadable")
    if seen.error is not None:
        raise Refused(_SAYS.get(seen.error, _SAYS["unreadable"]).format(type=container.content_type))
    return seen


@contextmanager
def _inmate() -> Iterator[subprocess.Popen[bytes]]:
    """The child: no environment, no descriptors but its pipes, its own session; dead at the end whatever happens."""
    process = subprocess.Popen(  # noqa: S603  our own file by our own interpreter
        [sys.executable, "-I", str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        close_fds=True,
        start_new_session=True,
        bufsize=0,
    )
    try:
        yield process
    finally:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()


@contextmanager
def _killed_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[Event]:
    """Blocking reads and writes below end because the child does."""
    killed = Event()

    def kill() -> None:
        killed.set()
        process.kill()

    timer = Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield killed
    finally:
        timer.cancel()


def _ends(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise JailBroken("the jail has no pipes")
    return process.stdin, process.stdout


def _start(process: subprocess.Popen[bytes], job: dict[str, object]) -> None:
    into, out = _ends(process)
    try:
        _send(into, json.dumps(job).encode())
        what, _, _ = ASK.unpack(_exactly(out, ASK.size))
    except (_Escaped, BrokenPipeError):
        process.kill()
        raise JailBroken(f"the jail did not start (exit {process.wait()})") from None
    if what != READY:
        raise JailBroken("the jail did not say that it is ready")


def _serve(process: subprocess.Popen[bytes], size: int, read: Callable[[int, int], bytes]) -> Seen:
    into, out = _ends(process)
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
