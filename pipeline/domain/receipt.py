"""Receipts: one line of canonical JSON (RFC 8785) for each final move of a delivery, chained by hashes.

``hash`` is the SHA-256 of the line without its ``hash``; ``previous`` is the hash of the workspace's previous receipt.

An exported chain is verified line by line, from the file and the heads that its reader has kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

VERSION = 1
MAX_LINE_BYTES = 65_536
"""The longest line that is read; written lines have less than 6,000 bytes."""
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
"""RFC 8785 encoding for strings, integers and nulls under ASCII names, which is all that a receipt holds.

The library ``rfc8785`` gives the same result (a test compares them) and takes five times as long.
"""
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


class InvalidHead(ValueError):
    """The text is not a head; the message is for the user who typed it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A position in a workspace's chain: a receipt's sequence number, from 1 on, and its hash. Written ``12:9f86…``."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Parse a head as ``str()`` writes it. Raises InvalidHead."""
        number, _, digest = text.partition(":")
        if not re.fullmatch(r"[1-9]\d{0,15}", number, re.ASCII) or not _HEX.fullmatch(digest):
            raise InvalidHead(
                f"{text!r} is not a head: a number, a colon and 64 hex digits, as `slipway receipts head` prints it."
            )
        return cls(sequence=int(number), hash=digest)


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The fields of a line that form the chain."""

    workspace: str
    sequence: int
    previous: str | None
    hash: str

    @property
    def head(self) -> Head:
        """The head of the chain that ends with this receipt."""
        return Head(sequence=self.sequence, hash=self.hash)


class InvalidReceipt(ValueError):
    """The line is not a receipt, or was altered after it was written; the message says which."""


def issue(workspace: UUID, after: Head | None, facts: Mapping[str, Any]) -> tuple[str, Head]:
    """Return the next line of a workspace's chain, without a line break, and the chain's new head."""
    sequence = after.sequence + 1 if after else 1
    body = {
        "version": VERSION,
        "workspace": str(workspace),
        "sequence": sequence,
        "previous": after.hash if after else None,
        **{name: _to_json(value) for name, value in facts.items()},
    }
    head = Head(sequence=sequence, hash=_hash(body))
    return _encode({**body, "hash": head.hash}), head


def read(line: bytes) -> Receipt:
    """Parse a line, with or without its line break, and check its hash. Raises InvalidReceipt."""
    text = line.removesuffix(b"\n").removesuffix(b"\r")
    try:
        body = json.loads(text)
        if not isinstance(body, dict) or _encode(body).encode() != text:
            raise InvalidReceipt("it is not one JSON object in canonical form (RFC 8785)")
        found = _parse_chain_fields(body)
    except InvalidReceipt:
        raise
    except (ValueError, RecursionError):
        raise InvalidReceipt("it is not JSON") from None
    del body["hash"]
    if _hash(body) != found.hash:
        raise InvalidReceipt("its hash is not that of its content")
    return found


def content_sha256(caption: str, media: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of a post's ``caption`` and ``media``, as the API shows them."""
    return _hash({"caption": caption, "media": dict(media)})


def _parse_chain_fields(body: Mapping[str, Any]) -> Receipt:
    match body:
        case {
            "workspace": str(workspace),
            "sequence": int(sequence),
            "previous": str() | None as previous,
            "hash": str(digest),
        } if sequence > 0 and not isinstance(sequence, bool):
            return Receipt(workspace=workspace, sequence=sequence, previous=previous, hash=digest)
    raise InvalidReceipt("it lacks workspace, sequence, previous or hash")


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_encode(dict(body)).encode()).hexdigest()


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value) if isinstance(value, UUID) else value


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
        try:
            found = _read(line)
            if last is None:
                first = _check_first(found, after)
            else:
                _check_next(found, last, numbered)
            if head is not None and found.sequence == head.sequence and found.hash != head.hash:
                why = f"receipt {head.sequence} has another hash than the head that was kept"
                raise BrokenChain(Flaw.OTHER_CHAIN, why)
        except BrokenChain as broken:
            raise BrokenChain(broken.flaw, broken.why, number) from None
        last = found
    if first is None or last is None:
        raise BrokenChain(Flaw.EMPTY, "there is no receipt in it")
    _check_reaches_head(first, last, head)
    return VerifiedChain(workspace=last.workspace, first=first.sequence, head=last.head)


def _read(line: bytes) -> Receipt:
    if len(line) > MAX_LINE_BYTES:
        raise BrokenChain(Flaw.ALTERED, "it is longer than any receipt")
    try:
        return read(line)
    except InvalidReceipt as error:
        raise BrokenChain(Flaw.ALTERED, str(error)) from None


def _check_first(found: Receipt, after: Head | None) -> Receipt:
    expected = after.sequence + 1 if after else found.sequence
    if found.sequence > expected:
        raise BrokenChain(Flaw.MISSING, f"{_format_range(expected, found.sequence)} should come first")
    if found.sequence < expected:
        why = f"it is receipt {found.sequence}, and {expected} should come first"
        raise BrokenChain(Flaw.REORDERED, why)
    if after is not None and found.previous != after.hash:
        raise BrokenChain(Flaw.OTHER_CHAIN, f"it does not follow receipt {after.sequence} as it was kept")
    if (found.sequence == 1) != (found.previous is None):
        raise BrokenChain(Flaw.ALTERED, "a chain's first receipt, and no other, follows nothing")
    return found


def _check_next(found: Receipt, last: Receipt, rest: Iterator[tuple[int, bytes]]) -> None:
    """Raise BrokenChain unless *found* follows *last*. *rest* is searched to distinguish missing from moved."""
    expected = last.sequence + 1
    if found.workspace != last.workspace:
        why = f"it belongs to {found.workspace}, the others to {last.workspace}"
        raise BrokenChain(Flaw.OTHER_WORKSPACE, why)
    if found.sequence < expected:
        why = f"it is receipt {found.sequence}, and {expected} should stand here"
        raise BrokenChain(Flaw.REORDERED, why)
    if found.sequence > expected:
        if (place := _find_line(expected, last.workspace, rest)) is not None:
            why = f"receipt {expected} should stand here, and stands on line {place}"
            raise BrokenChain(Flaw.REORDERED, why)
        raise BrokenChain(Flaw.MISSING, f"{_format_range(expected, found.sequence)} should come before it")
    if found.previous != last.hash:
        raise BrokenChain(
            Flaw.ALTERED,
            f"it was not written after receipt {last.sequence} as it stands here: one of both was replaced",
        )


def _find_line(sequence: int, workspace: str, rest: Iterator[tuple[int, bytes]]) -> int | None:
    for number, line in rest:
        try:
            found = _read(line)
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
