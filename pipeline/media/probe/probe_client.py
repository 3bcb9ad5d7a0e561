"""Has a probe process inspect a hostile file, and checks everything that the process answers.

A probe process sends a request for a range of the file, or its answer: JSON of at most `MAX_ANSWER` bytes,
parsed by a strict model. Nothing it sends is ever unpickled, since the file may have taken the process over.

Shares out the memory that the probes of this process may have together. A probe waits for its part.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from threading import BoundedSemaphore, Event, Timer
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.media.probe.containers import Container
from pipeline.media.probe.probe_pool import (
    START_SECONDS,
    Ending,
    ProbeFailed,
    ProbeProcess,
    ProbeUnavailable,
    start_probe,
)
from pipeline.media.probe.probe_worker import (
    ANSWER,
    CONVERSION_MEMORY,
    CPU_SECONDS,
    LENGTH,
    MAX_READ,
    MAX_TRACEBACK,
    MEMORY,
    OUTPUT,
    READ,
    READY,
    REQUEST,
    SMALL_MEMORY,
    THUMBNAIL_MEMORY,
)
from pipeline.media.url_policy import Refused, Unanswered


class ProbeMemory:
    """Parts of four sizes out of ``total`` bytes, at least one of each.

    A quarter is for large ones, a quarter for conversions, an eighth for thumbnails. Each size has its own parts: files
    that need much memory never keep the others waiting, and thumbnails no check and no conversion.
    """

    def __init__(self, total: int) -> None:
        shares = {CONVERSION_MEMORY: 4, MEMORY: 4, THUMBNAIL_MEMORY: 8}
        self.parts = {size: max(1, total // share // size) for size, share in shares.items()}
        rest = total - sum(size * n for size, n in self.parts.items())
        self.parts[SMALL_MEMORY] = max(1, rest // SMALL_MEMORY)
        self._free = {size: BoundedSemaphore(n) for size, n in self.parts.items()}

    @contextmanager
    def reserve(self, size: int, seconds: float) -> Iterator[None]:
        """Hold a part of one of the four sizes. Raises Unanswered when none is free within ``seconds``."""
        if not self._free[size].acquire(timeout=max(0.0, seconds)):
            raise Unanswered(f"could not be read within {seconds:.0f} s: too many files are being checked")
        try:
            yield
        finally:
            self._free[size].release()


@lru_cache
def get_probe_memory(total: int) -> ProbeMemory:
    """Return the memory that all probes of this process share, for the total that the settings name."""
    return ProbeMemory(total)


MAX_ANSWER = 8192
MAX_PIECE = 64 * 1024**2
"""Bytes of output that a process sends at once, at most."""
_REASONS = {
    "unreadable": "it is damaged, or not really {type}",
    "cut_short": "the file ends before its media do: it is not whole",
    "no_video": "there is no video in it that can be read",
    "too_many_pixels": "it has {found:,} pixels, and at most {limit:,} are accepted",
    "too_many_samples": "its index lists {found:,} samples, and at most {limit:,} are accepted",
    "too_many_entries": "a table of its index has {found:,} entries, and at most {limit:,} are accepted",
    "too_many_boxes": "its index consists of {found:,} parts or more, and at most {limit:,} are accepted",
    "nested_too_deep": "its index is nested {found:,} levels deep or more, and at most {limit:,} are accepted",
    "index_too_large": "its index has {found:,} bytes, and at most {limit:,} are accepted",
    "attachments_too_large": "its attachments have {found:,} bytes, and at most {limit:,} are accepted",
    "compressed_index": "its index is compressed: save it as an MP4 without a compressed header",
    "encrypted": "it has a password, or restricts what may be done with it: save it without",
    "animated": "it is an animation: send a still image, or the animation as a video (MP4)",
    "too_much_memory": f"more than {MEMORY >> 20} MiB of memory would be needed to tell what it is",
    "too_much_time": f"more than {CPU_SECONDS} s of processor time would be needed to tell what it is",
}


_NOT_TEXT = re.compile(r"[^ -~\n]")


class ProbeResult(BaseModel):
    """The answer of a probe process. The file may have taken the process over, so each field is checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int | None = Field(default=None, ge=1, le=1_000_000)
    height: int | None = Field(default=None, ge=1, le=1_000_000)
    duration: float | None = Field(default=None, ge=0, le=10_000_000, allow_inf_nan=False)
    codec: str | None = Field(default=None, pattern=r"^[a-z0-9_.-]{1,32}$")
    fps: float | None = Field(default=None, gt=0, le=100_000, allow_inf_nan=False)
    pages: int | None = Field(default=None, ge=1, le=1_000_000)
    error: str | None = Field(default=None, pattern=r"^[a-z_]{1,32}$")
    found: int = Field(default=0, ge=0, lt=2**64)
    limit: int = Field(default=0, ge=0, lt=2**64)
    traceback: str = Field(default="", max_length=MAX_TRACEBACK)


def inspect(
    container: Container,
    size: int,
    read: Callable[[int, int], bytes],
    seconds: float,
    memory: ProbeMemory,
) -> ProbeResult:
    """Inspect a file of ``size`` bytes, which the probe process reads by ``read(offset, length)``.

    It gets the small part of ``memory`` first, and the large one if that does not suffice. ``seconds``: of wall clock
    for all of it; then the process is killed. Raises Refused when the file cannot be understood, Unanswered when the
    time is over, ProbeUnavailable when this installation is at fault, and whatever ``read`` raises.
    """
    until = time.monotonic() + seconds
    result, cpu_seconds = ProbeResult(), CPU_SECONDS
    for part in (SMALL_MEMORY, MEMORY):
        with memory.reserve(part, until - time.monotonic()):
            result, ending = run_probe(container, size, read, until - time.monotonic(), part, cpu_seconds)
        if result.error not in ("too_much_memory", "crashed"):
            break
        cpu_seconds = max(1, CPU_SECONDS - round(ending.cpu_seconds))
    explain(result, container)
    return result


def explain(result: ProbeResult, container: Container) -> None:
    """Raise the error of a result without facts: Refused, or ProbeUnavailable."""
    raise_fault(result)
    if result.error is not None:
        reason = _REASONS.get(result.error, _REASONS["unreadable"])
        raise Refused(reason.format(type=container.content_type, found=result.found, limit=result.limit))


def run_probe(
    container: Container,
    size: int,
    read: Callable[[int, int], bytes],
    seconds: float,
    memory: int,
    cpu_seconds: int = CPU_SECONDS,
) -> tuple[ProbeResult, Ending]:
    """Run one probe process with ``memory`` bytes and ``cpu_seconds`` of processor time. Raises as `inspect`."""
    job = {
        "reader": container.reader,
        "format": container.format,
        "size": size,
        "memory": memory,
        "cpu_seconds": cpu_seconds,
    }
    return run_job(job, size, read, seconds)


def raise_fault(result: ProbeResult) -> None:
    """Raise ProbeUnavailable if the process reports an error that is not the file's."""
    if result.error == "fault":
        raise ProbeUnavailable("the probe process failed:\n" + _NOT_TEXT.sub("?", result.traceback))


def run_job(
    job: Mapping[str, object],
    size: int,
    read: Callable[[int, int], bytes],
    seconds: float,
    write: Callable[[bytes], object] | None = None,
) -> tuple[ProbeResult, Ending]:
    """Run one probe process. Return what it answered, and how it ended. Raises as `inspect`, or as ``write`` does.

    ``seconds``: of wall clock. ``write`` takes what the process makes of the file, in pieces of `MAX_PIECE` at most.
    ``error`` of a process that ended without an answer, or broke the protocol, is ``crashed`` or ``too_much_time``.
    """
    with start_probe() as probe:
        with _kill_after(probe, START_SECONDS):
            _send_job(probe, job)
        with _kill_after(probe, seconds) as killed:
            try:
                result = _serve_reads(probe, size, read, write)
            except (ProbeFailed, BrokenPipeError):
                if killed.is_set():
                    raise Unanswered(f"could not be read within {seconds:.0f} s") from None
                result = ProbeResult(error="crashed")
        ending = probe.kill()
    if result.error == "crashed":
        if ending is None:
            raise ProbeUnavailable("the fork server died, and the probe process with it")
        if ending.is_out_of_time:
            result = ProbeResult(error="too_much_time")
    return result, ending or Ending(0, 0, 0.0)


@contextmanager
def _kill_after(probe: ProbeProcess, seconds: float) -> Iterator[Event]:
    """Kill the process after ``seconds``, which ends blocking reads and writes of its pipes. Yield "was killed"."""
    killed = Event()

    def kill() -> None:
        killed.set()
        probe.kill()

    timer = Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield killed
    finally:
        timer.cancel()


def _send_job(probe: ProbeProcess, job: Mapping[str, object]) -> None:
    try:
        _send(probe.to_probe, json.dumps(job).encode())
        kind, _, _ = REQUEST.unpack(_receive(probe.from_probe, REQUEST.size))
    except (ProbeFailed, BrokenPipeError):
        raise ProbeUnavailable("a probe process died before it was ready") from None
    if kind != READY:
        raise ProbeUnavailable("a probe process did not say that it is ready")


def _serve_reads(
    probe: ProbeProcess,
    size: int,
    read: Callable[[int, int], bytes],
    write: Callable[[bytes], object] | None,
) -> ProbeResult:
    """Answer the process's reads and take its output until it sends its result. Raises ProbeFailed otherwise."""
    while True:
        kind, offset, length = REQUEST.unpack(_receive(probe.from_probe, REQUEST.size))
        if kind == READ and offset < size and 0 < length <= MAX_READ:
            data = read(offset, length)
            with suppress(BrokenPipeError):  # one that had no memory for it has given its answer, and ended
                _send(probe.to_probe, data)
        elif kind == OUTPUT and write is not None and length <= MAX_PIECE:
            write(_receive(probe.from_probe, length))
        elif kind == ANSWER and length <= MAX_ANSWER:
            try:
                return ProbeResult.model_validate_json(_receive(probe.from_probe, length))
            except ValidationError:
                raise ProbeFailed from None
        else:
            raise ProbeFailed


def _send(to_probe: IO[bytes], data: bytes) -> None:
    left = memoryview(LENGTH.pack(len(data)) + data)
    while left:
        left = left[to_probe.write(left) :]


def _receive(from_probe: IO[bytes], length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = from_probe.read(min(MAX_READ, length - len(data)))
        if not piece:
            raise ProbeFailed
        data += piece
    return bytes(data)
