"""Converts a hostile image in a probe process, and checks the result as hostile too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import BinaryIO

from adapters.errors import Rejected, Unavailable
from pipeline.domain.media_fitting import JPEG, Conversion
from pipeline.media.probe.probe_client import ProbeMemory, explain, inspect, run_job
from pipeline.media.probe.probe_worker import CONVERSION_CPU_SECONDS, CONVERSION_MEMORY, MAX_OUTPUT
from pipeline.media.probe.sniff import HEAD_BYTES, Container, sniff
from pipeline.media.refusal import Refused, Unanswered

WAIT_SECONDS = 2.0
"""How long a conversion waits for its part of the memory, before other work goes on."""


class NoRoom(Exception):
    """All memory for conversions is in use: try again in a few seconds."""


def convert(source: BinaryIO, conversion: Conversion, memory: ProbeMemory, seconds: float) -> bytes:
    """Convert the image in ``source`` to a JPEG, within ``seconds`` of wall clock besides the wait for memory.

    Raises Rejected (``media_not_convertible``) for an image that cannot be decoded, NoRoom, Unavailable when the time
    is over, and ProbeUnavailable when this installation is at fault.
    """
    size = source.seek(0, os.SEEK_END)
    read = _build_reader(source)
    container = sniff(read(0, HEAD_BYTES))
    if container is None or container.reader != "pillow":
        raise _not_convertible("its type is not one that is converted")
    with _reserve(memory):
        try:
            data = _run(container, size, read, conversion, seconds)
            _check(data, memory, seconds)
        except Unanswered:
            message = f"An image could not be converted within {seconds:.0f} s."
            raise Unavailable(message, code="conversion_timed_out") from None
        except Refused as error:
            raise _not_convertible(error.reason) from None
    return data


@contextmanager
def _reserve(memory: ProbeMemory) -> Iterator[None]:
    with ExitStack() as reserved:
        try:
            reserved.enter_context(memory.reserve(CONVERSION_MEMORY, WAIT_SECONDS))
        except Unanswered:
            raise NoRoom from None
        yield


def _run(
    container: Container,
    size: int,
    read: Callable[[int, int], bytes],
    conversion: Conversion,
    seconds: float,
) -> bytes:
    """Return the output of the probe process. Raises Refused for an image that it does not convert."""
    most = min(conversion.max_bytes or MAX_OUTPUT, MAX_OUTPUT)
    job = asdict(conversion) | {
        "reader": "convert",
        "format": container.format,
        "size": size,
        "memory": CONVERSION_MEMORY,
        "cpu_seconds": CONVERSION_CPU_SECONDS,
        "max_bytes": most,
    }
    output: list[bytes] = []

    def take(piece: bytes) -> None:
        if output or len(piece) > most:  # a process that the image has taken over could send on and on
            raise Refused("its conversion made no JPEG")
        output.append(piece)

    result, _ = run_job(job, size, read, seconds, take)
    if result.error in ("too_much_memory", "too_much_time", "crashed"):
        raise Refused("its conversion would need too much memory or time")
    explain(result, container)
    return b"".join(output)


def _check(data: bytes, memory: ProbeMemory, seconds: float) -> None:
    """Raise Refused unless the output is a JPEG. The image may have taken over the process that made it."""
    container = sniff(data[:HEAD_BYTES])
    if container is None or container.content_type != JPEG:
        raise Refused("its conversion made no JPEG")
    inspect(container, len(data), lambda first, n: data[first : first + n], seconds, memory)


def _build_reader(source: BinaryIO) -> Callable[[int, int], bytes]:
    def read(first: int, length: int) -> bytes:
        source.seek(first)
        return source.read(length)

    return read


def _not_convertible(reason: str) -> Rejected:
    return Rejected(
        f"An image cannot be converted to what the platform takes: {reason}.",
        code="media_not_convertible",
        next_action="Send the image as a JPEG within the platform's limits.",
    )
