"""The processes that read hostile files, seen from outside: this is all they ever get to talk to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Timer
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.media.probe.probe_pool import START_SECONDS, Escaped, Inmate, JailBroken, inmate
from pipeline.media.probe.probe_worker import ANSWER, ASK, GET, PIECE, READY, SIZE
from pipeline.media.probe.sniff import Container
from pipeline.media.refusal import Refused, Unanswered

MAX_ANSWER = 4096
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


def inspect(container: Container, size: int, read: Callable[[int, int], bytes], seconds: float) -> Seen:
    """What a file is, read by the inmate through ``read(offset, length)``, within ``seconds`` of wall clock.

    Raises Refused when the file cannot be understood, Unanswered when time runs out, JailBroken when it is our fault,
    and whatever ``read`` raises.
    """
    job = {"reader": container.reader, "format": container.format, "size": size}
    with inmate() as one:
        with _killed_after(one, START_SECONDS):
            _start(one, job)
        with _killed_after(one, seconds) as killed:
            try:
                seen = _serve(one, size, read)
            except (Escaped, BrokenPipeError):
                if killed.is_set():
                    raise Unanswered(f"could not be read within {seconds:.0f} s") from None
                if not one.kill():
                    raise JailBroken("the warden died, and with it what read the file") from None
                seen = Seen(error="unreadable")
    if seen.error is not None:
        raise Refused(_SAYS.get(seen.error, _SAYS["unreadable"]).format(type=container.content_type))
    return seen


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
    except (Escaped, BrokenPipeError):
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
                raise Escaped from None
        else:
            raise Escaped


def _send(into: IO[bytes], data: bytes) -> None:
    left = memoryview(SIZE.pack(len(data)) + data)
    while left:
        left = left[into.write(left) :]


def _exactly(out: IO[bytes], length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = out.read(length - len(data))
        if not piece:
            raise Escaped
        data += piece
    return data
