"""A receipt: one line of canonical JSON (RFC 8785) for one last word on a delivery, tied to the receipt before it.

``hash`` is the SHA-256 of the line without its ``hash``; ``previous`` is the hash of the workspace's receipt before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

VERSION = 1
LONGEST = 65_536
"""Bytes of a line; ours have less than two thousand."""
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
"""What RFC 8785 asks for, of strings, whole numbers and nulls under ASCII names: there is nothing else in a receipt.

The library of that name gives the same (a test compares them) in five times the time.
"""
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


class NoHead(ValueError):
    """Not a head; ``str()`` is a sentence for whoever wrote it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A place in a workspace's chain: a receipt's sequence number, from 1 on, and its hash. Written ``12:9f86…``."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def read(cls, text: str) -> Head:
        """Raises NoHead."""
        number, _, digest = text.partition(":")
        if not re.fullmatch(r"[1-9]\d{0,15}", number, re.ASCII) or not _HEX.fullmatch(digest):
            raise NoHead(
                f"{text!r} is no head: `slipway receipts head` prints them, a number, a colon and 64 hex digits."
            )
        return cls(sequence=int(number), hash=digest)


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What of a line makes the chain."""

    workspace: str
    sequence: int
    previous: str | None
    hash: str

    @property
    def head(self) -> Head:
        """The chain's head while this was its last receipt."""
        return Head(sequence=self.sequence, hash=self.hash)


class NotAReceipt(ValueError):
    """A line that is not a receipt, or no longer what it was when it was written; ``str()`` says which."""


def issue(workspace: UUID, after: Head | None, facts: Mapping[str, Any]) -> tuple[str, Head]:
    """The next line of a workspace's chain, without its line break, and the head it makes."""
    sequence = after.sequence + 1 if after else 1
    body = {
        "version": VERSION,
        "workspace": str(workspace),
        "sequence": sequence,
        "previous": after.hash if after else None,
        **{name: _plain(value) for name, value in facts.items()},
    }
    head = Head(sequence=sequence, hash=_digest(body))
    return _encode({**body, "hash": head.hash}), head


def read(line: bytes) -> Receipt:
    """A line, with or without its line break. Raises NotAReceipt."""
    text = line.removesuffix(b"\n").removesuffix(b"\r")
    try:
        body = json.loads(text)
        if not isinstance(body, dict) or _encode(body).encode() != text:
            raise NotAReceipt("it is not one JSON object in canonical form (RFC 8785)")
        found = _chained(body)
    except NotAReceipt:
        raise
    except (ValueError, RecursionError):
        raise NotAReceipt("it is not JSON") from None
    del body["hash"]
    if _digest(body) != found.hash:
        raise NotAReceipt("its hash is not that of its content")
    return found


def content_sha256(caption: str, media: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of what a post says: ``caption`` and ``media``, as the API takes and shows them."""
    return _digest({"caption": caption, "media": dict(media)})


def _chained(body: Mapping[str, Any]) -> Receipt:
    match body:
        case {
            "workspace": str(workspace),
            "sequence": int(sequence),
            "previous": str() | None as previous,
            "hash": str(digest),
        } if sequence > 0 and not isinstance(sequence, bool):
            return Receipt(workspace=workspace, sequence=sequence, previous=previous, hash=digest)
    raise NotAReceipt("it lacks workspace, sequence, previous or hash")


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_encode(dict(body)).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value) if isinstance(value, UUID) else value
