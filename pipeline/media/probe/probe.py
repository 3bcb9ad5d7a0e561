"""The work of probe processes: inspect media at a URL, make thumbnails, convert an image, read a spreadsheet.

Every file is hostile, and so is what a process makes of it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from threading import BoundedSemaphore
from typing import BinaryIO, Literal

from adapters.contract import MediaFacts
from adapters.errors import Rejected, Unavailable
from pipeline.domain.media_fitting import JPEG, THUMBNAIL_SIDE, Conversion, plan_thumbnail
from pipeline.media.fetch import Opener
from pipeline.media.probe import probe_client
from pipeline.media.probe.containers import HEAD_BYTES, Container, Kind, Malformed, read_webp, sniff
from pipeline.media.probe.probe_client import (
    ProbeMemory,
    explain,
    get_probe_memory,
    inspect,
    raise_fault,
    run_job,
)
from pipeline.media.probe.probe_worker import (
    CONVERSION_CPU_SECONDS,
    CONVERSION_MEMORY,
    CPU_SECONDS,
    MAX_OUTPUT,
    THUMBNAIL_MEMORY,
)
from pipeline.media.probe.range_source import ProbeLimits, RangeSource
from pipeline.media.url_policy import Refused, Unanswered

_WEB_PAGES = frozenset(
    {"application/json", "application/xml", "application/xhtml+xml", "text/html", "text/xml"}
)
"""Content types that are refused whatever the bytes are: platforms that fetch the URL refuse them too."""


DOCUMENT_BYTES = 128 * 1024**2
"""Bytes of a document, at most: no platform takes more than 100 MB."""
DOCUMENT_REQUESTS = 1000
THUMBNAIL_SECONDS = 10.0
"""How long a thumbnail may take, reads of its file included; usually it takes a tenth of a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbedMedia:
    """A file whose facts are known. No connection is open; what was read of it last is in memory."""

    facts: MediaFacts
    _container: Container
    _source: RangeSource

    def make_thumbnail(self) -> bytes | None:
        """Return a WebP of the image, or of a frame near the start of the video; None of a file without a decoder.

        It has at most `THUMBNAIL_SIDE` pixels a side and `THUMBNAIL_BYTES` bytes, and no metadata. The caller holds
        `THUMBNAIL_MEMORY`. Raises what `probe` raises, and Malformed if the process made something else.
        """
        plan = plan_thumbnail(self.facts)
        if plan is None or self._container.reader == "iso_media":
            return None
        source = self._source
        source.read_on(THUMBNAIL_SECONDS)
        try:
            data = _run_conversion(self._container, source.size, source.read, plan, THUMBNAIL_SECONDS)
        finally:
            source.close()
        # the file may have taken over the process that made it
        container, header = sniff(data[:HEAD_BYTES]), read_webp(io.BytesIO(data), len(data))
        is_plain = container is not None and container.format == "WEBP" and not header.is_animated
        if not is_plain or header.exif or max(header.width, header.height) > THUMBNAIL_SIDE:
            raise Malformed("the thumbnail is not the WebP that was asked for")
        return data


def probe(
    fetcher: Opener,
    url: str,
    expected: Kind,
    *,
    limits: ProbeLimits | None = None,
    needs_hash: Callable[[MediaFacts], bool] = lambda _: False,
) -> ProbedMedia:
    """Return the facts of the file at ``url``, which must be of the expected kind.

    ``needs_hash``: whether a file with these facts is read whole for its SHA-256.

    Width and height are as shown: after rotation, with square pixels. Raises Refused (the file is not usable),
    Unanswered (it may be later) and ProbeUnavailable (this installation is at fault).
    """
    limits = ProbeLimits() if limits is None else limits
    if expected == "document":  # its pages lie anywhere in it, and it is read twice
        limits = replace(limits, bytes=2 * DOCUMENT_BYTES, requests=DOCUMENT_REQUESTS)
    source = RangeSource(fetcher, url, limits)
    try:
        source.open()
        container = _recognize(source, expected)
        if expected == "document" and source.size > DOCUMENT_BYTES:
            raise Refused(f"it has {source.size:,} bytes, and at most {DOCUMENT_BYTES:,} are accepted")
        memory = get_probe_memory(limits.memory)
        result = probe_client.inspect(container, source.size, source.read, source.seconds_left(), memory)
        facts = MediaFacts(
            content_type=container.content_type,
            bytes=source.size,
            width=result.width,
            height=result.height,
            duration=result.duration,
            codec=result.codec,
            fps=result.fps,
            pages=result.pages,
            etag=source.etag,
        )
        if needs_hash(facts):
            facts = replace(facts, sha256=source.compute_sha256())
        return ProbedMedia(facts=facts, _container=container, _source=source)
    finally:
        source.close()


def _recognize(source: RangeSource, expected: Kind) -> Container:
    """Return the container of the bytes. Raises Refused for web pages, unknown formats and the other kind."""
    served, intended = source.content_type, _WITH_ARTICLE[expected]
    if served in _WEB_PAGES:
        raise Refused(f"content type {served}, not {intended}")
    container = sniff(source.read(0, HEAD_BYTES))
    if container is None:
        header = f"content type {served}" if served else "no content type"
        raise Refused(f"{header}, and the bytes are not those of {intended} in a format that is accepted")
    if container.kind != expected:
        raise Refused(f"it is {_WITH_ARTICLE[container.kind]} ({container.content_type}), not {intended}")
    return container


_WITH_ARTICLE: dict[Kind, str] = {"image": "an image", "video": "a video", "document": "a document"}


WAIT_SECONDS = 2.0
"""How long a conversion waits for its part of the memory, before other work goes on."""


class NoRoom(Exception):
    """All memory for conversions is in use: try again in a few seconds."""


def convert(source: BinaryIO, conversion: Conversion, memory: ProbeMemory, seconds: float) -> bytes:
    """Convert the image in ``source`` to a JPEG, within ``seconds`` of wall clock, without the wait for memory.

    Raises Rejected (``media_not_convertible``) for an image that cannot be decoded, NoRoom, Unavailable when the time
    is over, and ProbeUnavailable when this installation is at fault.
    """
    size = source.seek(0, os.SEEK_END)
    read = _build_reader(source)
    container = sniff(read(0, HEAD_BYTES))
    if container is None or container.reader != "pillow":
        raise _not_convertible("its type is not one that is converted")
    with _reserve_memory(memory):
        try:
            data = _run_conversion(container, size, read, conversion, seconds)
            _check_output(data, memory, seconds)
        except Unanswered:
            message = f"An image could not be converted within {seconds:.0f} s."
            raise Unavailable(message, code="conversion_timed_out") from None
        except Refused as error:
            raise _not_convertible(error.reason) from None
    return data


@contextmanager
def _reserve_memory(memory: ProbeMemory) -> Iterator[None]:
    with ExitStack() as reserved:
        try:
            reserved.enter_context(memory.reserve(CONVERSION_MEMORY, WAIT_SECONDS))
        except Unanswered:
            raise NoRoom from None
        yield


_LIMITS = {"JPEG": (CONVERSION_MEMORY, CONVERSION_CPU_SECONDS), "WEBP": (THUMBNAIL_MEMORY, CPU_SECONDS)}
"""Memory and seconds of processor time, by the encoding of the result."""


def _run_conversion(
    container: Container,
    size: int,
    read: Callable[[int, int], bytes],
    conversion: Conversion,
    seconds: float,
) -> bytes:
    """Return the output of the probe process. Raises Refused for a file that it does not convert."""
    memory, cpu_seconds = _LIMITS[conversion.encoding]
    most = min(conversion.max_bytes or MAX_OUTPUT, MAX_OUTPUT)
    job = asdict(conversion) | {
        "reader": "frame" if container.reader == "av" else "convert",
        "format": container.format,
        "size": size,
        "memory": memory,
        "cpu_seconds": cpu_seconds,
        "max_bytes": most,
    }
    output: list[bytes] = []

    def take(piece: bytes) -> None:
        if output or len(piece) > most:  # a process that the image has taken over could send on and on
            raise Refused(f"its conversion made no {conversion.encoding}")
        output.append(piece)

    result, _ = run_job(job, size, read, seconds, take)
    if result.error in ("too_much_memory", "too_much_time", "crashed"):
        raise Refused("its conversion would need too much memory or time")
    explain(result, container)
    return b"".join(output)


def _check_output(data: bytes, memory: ProbeMemory, seconds: float) -> None:
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


SHEET_MEMORY = 512 * 1024**2
"""Bytes that one process may allocate: 200,000 rows of nine cells take 200 MiB (measured, 2026-11)."""
MAX_SHEET_BYTES = SHEET_MEMORY // 8
"""Bytes of a file: the process holds it whole, and many times as many inflated."""
_CPU_SECONDS = 90
"""200,000 rows take 5 s."""
_SHEET_SECONDS, _SHEET_WAIT = 600.0, 20.0
_free_sheet = BoundedSemaphore(1)
"""One spreadsheet at a time in a worker process: its memory is not among the parts that `ProbeMemory` shares out."""
_OVER_LIMIT = {
    "too_many_rows": "The sheet has more than {limit:,} rows, which is the maximum.",
    "inflates_too_far": "The spreadsheet inflates to more than {limit:,} bytes, which is the maximum for its size.",
    "too_many_members": "The spreadsheet consists of {found:,} files, and at most {limit:,} are read.",
    "too_much_memory": f"The spreadsheet needs more than {SHEET_MEMORY >> 20} MiB of memory: save it as CSV.",
    "crashed": f"The spreadsheet is damaged, or needs more than {SHEET_MEMORY >> 20} MiB of memory: save it as CSV.",
    "too_much_time": f"The spreadsheet needs more than {_CPU_SECONDS} s of processor time: save it as CSV.",
}
_UNREADABLE = {
    "encrypted": "The spreadsheet has a password. Save it without one.",
    "no_visible_sheet": "The spreadsheet has no visible sheet.",
    "unreadable": "The file is damaged, or not really a spreadsheet.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetJob:
    """The job of a process: the format (calamine recognizes it again), the size of the file, and the limits."""

    format: str
    size: int
    max_rows: int
    max_ratio: int
    max_bytes: int
    reader: Literal["calamine"] = "calamine"
    memory: int = SHEET_MEMORY
    cpu_seconds: int = _CPU_SECONDS


def read_sheet(job: SheetJob, read: Callable[[int, int], bytes], write: Callable[[bytes], object]) -> None:
    """Pass the rows of the first visible sheet to ``write``, as lines of JSON: ``[row, "cell", …]``.

    ``read(offset, length)`` reads the file. Raises Refused with a sentence about the file (``status`` 413 over a
    limit), Unanswered when time ran out or no place was free, ProbeUnavailable when this installation is at fault.
    """
    if not _free_sheet.acquire(timeout=_SHEET_WAIT):
        raise Unanswered(f"could not be read within {_SHEET_WAIT:.0f} s: another spreadsheet is being read")
    try:
        result, _ = run_job(asdict(job), job.size, read, _SHEET_SECONDS, _limit_output(write, job.max_bytes))
    finally:
        _free_sheet.release()
    raise_fault(result)
    if result.error in _OVER_LIMIT:
        raise Refused(_OVER_LIMIT[result.error].format(found=result.found, limit=result.limit), status=413)
    if result.error is not None:
        raise Refused(_UNREADABLE.get(result.error, _UNREADABLE["unreadable"]))


def _limit_output(write: Callable[[bytes], object], most: int) -> Callable[[bytes], object]:
    """Return ``write`` for at most so many bytes: a process that the file has taken over could send on and on."""
    left = most

    def write_some(lines: bytes) -> object:
        nonlocal left
        left -= len(lines)
        if left < 0:
            raise Refused(
                f"The sheet has more than {most:,} bytes of text, which is the maximum.", status=413
            )
        return write(lines)

    return write_some
