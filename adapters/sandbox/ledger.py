"""The list of what went live: append-only, on disk before the answer, the judge of every chaos test."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapters.sandbox.store import Record, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_encode = json.JSONEncoder(check_circular=False).encode


@dataclass(slots=True, kw_only=True)
class LivePost:
    """One thing that went live, as the listings of a platform see it."""

    entry: Record
    created_at: float
    """Unix seconds."""
    visible_at: float
    """Unix seconds; before that it is live but not yet listed or readable."""


@dataclass(slots=True)
class _Shelf:
    by_account: dict[tuple[str, str], list[LivePost]] = field(default_factory=dict)
    by_id: dict[tuple[str, str], LivePost] = field(default_factory=dict)


class Ledger:
    """Writes entries and finds them again by platform and account, or by id."""

    def __init__(self, path: Path, *, start: int, missing: list[Record]) -> None:
        """Read the ledger from byte `start` on and append those of `missing` that it does not have yet."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._path = path
        self._shelf = _Shelf()
        self.buffered: list[Record] = []
        _cut_torn_line(path, self._descriptor)
        known: set[tuple[str, str, str]] = set()
        for entry in self._entries(start):
            known.add(_identity(entry))
            self._shelve(entry)
        for entry in missing:
            if _identity(entry) not in known:
                self.add(entry)
        self.write(self.take())
        self.sync()

    def add(self, entry: Record) -> LivePost:
        """Take up one entry; the next commit writes it."""
        self.buffered.append(entry)
        return self._shelve(entry)

    def take(self) -> list[Record]:
        """What waits to be written; the caller writes it."""
        entries, self.buffered = self.buffered, []
        return entries

    def write(self, entries: list[Record]) -> None:
        """Append the entries, one line each; `sync` makes them durable."""
        if entries:
            write_all(self._descriptor, "".join(_encode(entry) + "\n" for entry in entries).encode())

    def sync(self) -> None:
        """Flush to the disk; blocks."""
        os.fsync(self._descriptor)

    def list_for(self, platform: str, account: str) -> list[LivePost]:
        """What one account has live, oldest first."""
        return self._shelf.by_account.get((platform, account), [])

    def find(self, platform: str, remote_id: str) -> LivePost | None:
        """The one live thing with that id, or None."""
        return self._shelf.by_id.get((platform, remote_id))

    def clear(self, *, erase: bool) -> int:
        """Empty the listings, and the file too when `erase`. Returns the byte from which the file counts again."""
        self._shelf = _Shelf()
        self.buffered = []
        if erase:
            os.ftruncate(self._descriptor, 0)
        return os.fstat(self._descriptor).st_size

    def read_json(self, platform: str | None, account: str | None) -> bytes:
        """The file as one JSON array, filtered; blocks, so call it from a thread."""
        wanted = [
            line.rstrip(b"\n")
            for line in self._path.read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n") and _matches(line, platform, account)
        ]
        return b"[" + b",\n".join(wanted) + b"]"

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _entries(self, start: int) -> Iterator[Record]:
        with self._path.open("rb") as file:
            file.seek(start)
            for line in file:
                yield json.loads(line)

    def _shelve(self, entry: Record) -> LivePost:
        created_at = datetime.fromisoformat(entry["at"]).timestamp()
        live = LivePost(
            entry=entry,
            created_at=created_at,
            visible_at=float(entry["extra"].get("visible_at", created_at)),
        )
        platform = entry["platform"]
        self._shelf.by_account.setdefault((platform, entry["account"]), []).append(live)
        self._shelf.by_id[platform, entry["remote_id"]] = live
        return live


def to_iso(moment: float) -> str:
    """Unix seconds as ISO 8601 in UTC with microseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")


def _identity(entry: Record) -> tuple[str, str, str]:
    return entry["platform"], entry["handle"], entry["remote_id"]


def _matches(line: bytes, platform: str | None, account: str | None) -> bool:
    if platform is None and account is None:
        return True
    entry = json.loads(line)
    return (platform is None or entry["platform"] == platform) and (
        account is None or entry["account"] == account
    )


def _cut_torn_line(path: Path, descriptor: int) -> None:
    """A last line without its end was cut by a kill; the journal still has it whole and it is written again."""
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        os.ftruncate(descriptor, data.rfind(b"\n") + 1)
