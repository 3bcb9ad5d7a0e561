"""Checks an exported chain of receipts line by line, by nothing but the file and what its reader has kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from pipeline.domain.receipt import LONGEST, Head, NotAReceipt, Receipt, read


class Flaw(StrEnum):
    """What is wrong with the first line that is."""

    ALTERED = "altered"  #: not what it was when it was written, or the one before it is not
    MISSING = "missing"  #: receipts were taken out, at this place or at the end
    REORDERED = "reordered"  #: stands in another place than it was written in, or a second time
    OTHER_WORKSPACE = "from another workspace"
    OTHER_CHAIN = "not the chain of that head"  #: the file agrees with itself and not with what was kept
    EMPTY = "empty"


class Broken(Exception):
    """The chain does not hold. ``line`` counts from 1; None: no line is wrong, what should be there is not."""

    def __init__(self, flaw: Flaw, why: str, line: int | None = None) -> None:
        super().__init__(f"{flaw}: {why}" if line is None else f"line {line} is {flaw}: {why}")
        self.flaw = flaw
        self.line = line
        self.why = why


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """A chain that holds from its first to its last line."""

    workspace: str
    first: int
    head: Head

    @property
    def receipts(self) -> int:
        """How many there are."""
        return self.head.sequence - self.first + 1


def verify(lines: Iterable[bytes], *, head: Head | None = None, after: Head | None = None) -> Verified:
    """Follows the chain. Raises Broken at the first line that does not hold.

    ``head``: one that was kept; the file has to reach it and agree with it. ``after``: the head that the file's first
    receipt has to follow, for a file that goes on where an earlier one ended.
    """
    numbered = enumerate(lines, 1)
    first = last = None
    for number, line in numbered:
        found = _read(line, number)
        if last is None:
            first = _begins(found, after, number)
        else:
            _follows(found, last, number, numbered)
        if head is not None and found.sequence == head.sequence and found.hash != head.hash:
            raise Broken(
                Flaw.OTHER_CHAIN,
                f"receipt {head.sequence} has another hash than the head that was kept",
                number,
            )
        last = found
    if first is None or last is None:
        raise Broken(Flaw.EMPTY, "there is no receipt in it")
    _reaches(first, last, head)
    return Verified(workspace=last.workspace, first=first.sequence, head=last.head)


def _read(line: bytes, number: int) -> Receipt:
    if len(line) > LONGEST:
        raise Broken(Flaw.ALTERED, "it is longer than any receipt", number)
    try:
        return read(line)
    except NotAReceipt as error:
        raise Broken(Flaw.ALTERED, str(error), number) from None


def _begins(found: Receipt, after: Head | None, number: int) -> Receipt:
    expected = after.sequence + 1 if after else found.sequence
    if found.sequence > expected:
        raise Broken(Flaw.MISSING, f"{_span(expected, found.sequence)} should come first", number)
    if found.sequence < expected:
        raise Broken(
            Flaw.REORDERED, f"it is receipt {found.sequence}, and {expected} should come first", number
        )
    if after is not None and found.previous != after.hash:
        raise Broken(Flaw.OTHER_CHAIN, f"it does not follow receipt {after.sequence} as it was kept", number)
    if (found.sequence == 1) != (found.previous is None):
        raise Broken(Flaw.ALTERED, "a chain's first receipt, and no other, follows nothing", number)
    return found


def _follows(found: Receipt, last: Receipt, number: int, rest: Iterator[tuple[int, bytes]]) -> None:
    """Raises Broken unless one comes right after the other. ``rest`` is read on to tell missing from moved."""
    expected = last.sequence + 1
    if found.workspace != last.workspace:
        raise Broken(
            Flaw.OTHER_WORKSPACE, f"it belongs to {found.workspace}, the others to {last.workspace}", number
        )
    if found.sequence < expected:
        raise Broken(
            Flaw.REORDERED, f"it is receipt {found.sequence}, and {expected} should stand here", number
        )
    if found.sequence > expected:
        if (place := _place_of(expected, last.workspace, rest)) is not None:
            raise Broken(
                Flaw.REORDERED, f"receipt {expected} should stand here, and stands on line {place}", number
            )
        raise Broken(Flaw.MISSING, f"{_span(expected, found.sequence)} should come before it", number)
    if found.previous != last.hash:
        raise Broken(
            Flaw.ALTERED,
            f"it was not written after receipt {last.sequence} as it stands here: one of both was replaced",
            number,
        )


def _place_of(sequence: int, workspace: str, rest: Iterator[tuple[int, bytes]]) -> int | None:
    for number, line in rest:
        try:
            found = _read(line, number)
        except Broken:
            continue  # what is wrong with later lines is not what is told
        if (found.sequence, found.workspace) == (sequence, workspace):
            return number
    return None


def _reaches(first: Receipt, last: Receipt, head: Head | None) -> None:
    if head is not None and last.sequence < head.sequence:
        raise Broken(
            Flaw.MISSING,
            f"it ends with receipt {last.sequence}; {_span(last.sequence + 1, head.sequence + 1)} should follow",
        )
    if head is not None and first.sequence > head.sequence:
        raise Broken(Flaw.MISSING, f"it begins with receipt {first.sequence}, after the head that was kept")


def _span(first: int, beyond: int) -> str:
    """Receipts from ``first`` up to, and without, ``beyond``."""
    return f"receipt {first}" if beyond == first + 1 else f"receipts {first} to {beyond - 1}"
