"""Receipts: one line of canonical JSON (RFC 8785) for each final move of a delivery, chained by hashes.

``hash`` is the SHA-256 of the line without its ``hash``; ``previous`` is the hash of the workspace's previous receipt.
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
