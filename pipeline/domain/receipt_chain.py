"""Verify an exported chain of receipts, line by line, from the file and the heads its reader has kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from pipeline.domain.receipt import MAX_LINE_BYTES, Head, InvalidReceipt, Receipt, read


class Flaw(StrEnum):
    """The flaw of the first broken line."""

    ALTERED = "altered"  #: this line, or the one before it, was changed after it was written
    MISSING = "missing"  #: receipts were removed, here or at the end
    REORDERED = "reordered"  #: moved from where it was written, or duplicated
    OTHER_WORKSPACE = "from another workspace"
    OTHER_CHAIN = "not the chain of that head"  #: consistent in itself, but not with the head that was kept
    EMPTY = "empty"


class BrokenChain(Exception):
    """The chain is broken. ``line`` counts from 1; None if no line is wrong but some are missing."""

    def __init__(self, flaw: Flaw, why: str, line: int | None = None) -> None:
        super().__init__(f"{flaw}: {why}" if line is None else f"line {line} is {flaw}: {why}")
        self.flaw = flaw
        self.line = line
        self.why = why


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedChain:
    """A chain that is intact from its first to its last line."""

    workspace: str
    first: int
    head: Head

    @property
    def receipts(self) -> int:
        """The number of receipts."""
        return self.head.sequence - self.first + 1


def verify(lines: Iterable[bytes], *, head: Head | None = None, after: Head | None = None) -> VerifiedChain:
    """Verify the chain. Raises BrokenChain at the first line that breaks it.

    *head*: one that was kept; the file has to reach it and agree with it. *after*: the head that the file's first
    receipt has to follow, for a file that continues an earlier one.
    """
    numbered = enumerate(lines, 1)
    first = last = None
    for number, line in numbered:
        found = _read(line, number)
        if last is None:
            first = _check_first(found, after, number)
        else:
            _check_next(found, last, number, numbered)
        if head is not None and found.sequence == head.sequence and found.hash != head.hash:
            raise BrokenChain(
                Flaw.OTHER_CHAIN,
                f"receipt {head.sequence} has another hash than the head that was kept",
                number,
            )
        last = found
    if first is None or last is None:
        raise BrokenChain(Flaw.EMPTY, "there is no receipt in it")
    _check_reaches_head(first, last, head)
    return VerifiedChain(workspace=last.workspace, first=first.sequence, head=last.head)


def _read(line: bytes, number: int) -> Receipt:
    if len(line) > MAX_LINE_BYTES:
        raise BrokenChain(Flaw.ALTERED, "it is longer than any receipt", number)
    try:
        return read(line)
    except InvalidReceipt as error:
        raise BrokenChain(Flaw.ALTERED, str(error), number) from None


def _check_first(found: Receipt, after: Head | None, number: int) -> Receipt:
    expected = after.sequence + 1 if after else found.sequence
    if found.sequence > expected:
        raise BrokenChain(
            Flaw.MISSING, f"{_format_range(expected, found.sequence)} should come first", number
        )
    if found.sequence < expected:
        raise BrokenChain(
            Flaw.REORDERED, f"it is receipt {found.sequence}, and {expected} should come first", number
        )
    if after is not None and found.previous != after.hash:
        raise BrokenChain(
            Flaw.OTHER_CHAIN, f"it does not follow receipt {after.sequence} as it was kept", number
        )
    if (found.sequence == 1) != (found.previous is None):
        raise BrokenChain(Flaw.ALTERED, "a chain's first receipt, and no other, follows nothing", number)
    return found


def _check_next(found: Receipt, last: Receipt, number: int, rest: Iterator[tuple[int, bytes]]) -> None:
    """Raise BrokenChain unless *found* follows *last*. *rest* is searched to distinguish missing from moved."""
    expected = last.sequence + 1
    if found.workspace != last.workspace:
        raise BrokenChain(
            Flaw.OTHER_WORKSPACE, f"it belongs to {found.workspace}, the others to {last.workspace}", number
        )
    if found.sequence < expected:
        raise BrokenChain(
            Flaw.REORDERED, f"it is receipt {found.sequence}, and {expected} should stand here", number
        )
    if found.sequence > expected:
        if (place := _find_line(expected, last.workspace, rest)) is not None:
            raise BrokenChain(
                Flaw.REORDERED, f"receipt {expected} should stand here, and stands on line {place}", number
            )
        raise BrokenChain(
            Flaw.MISSING, f"{_format_range(expected, found.sequence)} should come before it", number
        )
    if found.previous != last.hash:
        raise BrokenChain(
            Flaw.ALTERED,
            f"it was not written after receipt {last.sequence} as it stands here: one of both was replaced",
            number,
        )


def _find_line(sequence: int, workspace: str, rest: Iterator[tuple[int, bytes]]) -> int | None:
    for number, line in rest:
        try:
            found = _read(line, number)
        except BrokenChain:
            continue  # only the first broken line is reported
        if (found.sequence, found.workspace) == (sequence, workspace):
            return number
    return None


def _check_reaches_head(first: Receipt, last: Receipt, head: Head | None) -> None:
    if head is not None and last.sequence < head.sequence:
        missing = _format_range(last.sequence + 1, head.sequence + 1)
        raise BrokenChain(Flaw.MISSING, f"it ends with receipt {last.sequence}; {missing} should follow")
    if head is not None and first.sequence > head.sequence:
        raise BrokenChain(
            Flaw.MISSING, f"it begins with receipt {first.sequence}, after the head that was kept"
        )


def _format_range(first: int, beyond: int) -> str:
    """Format the range of receipts from *first* up to, but not including, *beyond*."""
    return f"receipt {first}" if beyond == first + 1 else f"receipts {first} to {beyond - 1}"
