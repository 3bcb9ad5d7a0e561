"""Has a probe process read a spreadsheet, and passes on the lines that it makes of its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import BoundedSemaphore
from typing import Literal

from pipeline.media.probe.probe_client import raise_fault, run_job
from pipeline.media.refusal import Refused, Unanswered

SHEET_MEMORY = 512 * 1024**2
"""Bytes that one process may allocate: 200,000 rows of nine cells take 200 MiB (measured, 2026-11)."""
MAX_SHEET_BYTES = SHEET_MEMORY // 8
"""Bytes of a file: the process holds it whole, and many times as many inflated."""
_CPU_SECONDS = 90
"""200,000 rows take 5 s."""
_SECONDS, _WAIT = 600.0, 20.0
_free = BoundedSemaphore(1)
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
    if not _free.acquire(timeout=_WAIT):
        raise Unanswered(f"could not be read within {_WAIT:.0f} s: another spreadsheet is being read")
    try:
        result, _ = run_job(asdict(job), job.size, read, _SECONDS, _limit(write, job.max_bytes))
    finally:
        _free.release()
    raise_fault(result)
    if result.error in _OVER_LIMIT:
        raise Refused(_OVER_LIMIT[result.error].format(found=result.found, limit=result.limit), status=413)
    if result.error is not None:
        raise Refused(_UNREADABLE.get(result.error, _UNREADABLE["unreadable"]))


def _limit(write: Callable[[bytes], object], most: int) -> Callable[[bytes], object]:
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
