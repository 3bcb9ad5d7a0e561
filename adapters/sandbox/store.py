"""The sandbox's records (accounts, tokens, tasks, containers, faults), and the ledger of live posts.

Both are append-only files, flushed before the response; chaos tests check against the ledger. Each line of the records'
journal is one atomic batch: the records that changed together with the ledger entries of that change. A torn last line
is ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]
"""A JSON object."""
COMMENT = "comment"
"""The kind of comments, of their records and of their lines in the ledger."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_encode_entry = json.JSONEncoder(check_circular=False).encode
_COMPACT_BATCH = 500


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, also after a short write."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Store:
    """Records by kind and key. `put` a record after each change; the next commit writes it."""

    def __init__(self, path: Path) -> None:
        """Replay the journal at `path`. Call `start` before the first write."""
        self._path = path
        self._kinds: dict[str, dict[str, Record]] = {}
        self._changed: dict[tuple[str, str], Record | None] = {}
        self.replayed_entries: list[Record] = []
        for batch in _read_batches(path):
            self._replay(batch)
        self._descriptor = -1

    def start(self) -> None:
        """Compact the journal and open it. Its ledger entries are dropped: the ledger file has them by now."""
        self.replayed_entries = []
        self._compact()
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    @property
    def has_changes(self) -> bool:
        """True if there are unwritten changes."""
        return bool(self._changed)

    def get_all(self, kind: str) -> dict[str, Record]:
        """Return the records of a kind by key. Change it only through `put` and `drop`."""
        return self._kinds.setdefault(kind, {})

    def get(self, kind: str, key: str) -> Record | None:
        """Return the record, or None."""
        return self.get_all(kind).get(key)

    def put(self, kind: str, key: str, record: Record) -> None:
        """Add or replace a record."""
        self.get_all(kind)[key] = record
        self._changed[kind, key] = record

    def drop(self, kind: str, key: str) -> None:
        """Delete a record if it exists."""
        if self.get_all(kind).pop(key, None) is not None:
            self._changed[kind, key] = None

    def clear(self) -> None:
        """Delete every record, in memory and on disk."""
        for records in self._kinds.values():
            records.clear()
        self._changed.clear()
        os.ftruncate(self._descriptor, 0)

    def write(self, entries: list[Record]) -> None:
        """Append the changes and the ledger entries of the same batch as one line."""
        if not self._changed and not entries:
            return
        batch = {"o": [[kind, key, record] for (kind, key), record in self._changed.items()], "l": entries}
        self._changed.clear()
        write_all(self._descriptor, _encode(batch).encode() + b"\n")

    def close(self) -> None:
        """Close the journal."""
        os.close(self._descriptor)

    def _replay(self, batch: Record) -> None:
        for kind, key, record in batch["o"]:
            if record is None:
                self.get_all(kind).pop(key, None)
            else:
                self.get_all(kind)[key] = record
        self.replayed_entries.extend(batch["l"])

    def _compact(self) -> None:
        rows = [
            [kind, key, record] for kind, records in self._kinds.items() for key, record in records.items()
        ]
        compacted = self._path.with_suffix(".new")
        compacted.touch(mode=0o600)
        with compacted.open("wb") as file:
            for start in range(0, len(rows), _COMPACT_BATCH):
                file.write(_encode({"o": rows[start : start + _COMPACT_BATCH], "l": []}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        compacted.replace(self._path)


def _read_batches(path: Path) -> Iterator[Record]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):  # a torn last line was never committed
                yield json.loads(line)


@dataclass(slots=True, kw_only=True)
class LivePost:
    """One live post and when a platform's listings show it."""

    entry: Record
    created_at: float
    """Unix seconds."""
    visible_at: float
    """Unix seconds; before that the post is live, but neither listed nor readable."""


@dataclass(slots=True)
class _Index:
    by_account: dict[tuple[str, str], list[LivePost]] = field(default_factory=dict)
    by_id: dict[tuple[str, str], LivePost] = field(default_factory=dict)


class Ledger:
    """Append entries to a file and find them by platform and account, or by id."""

    def __init__(self, path: Path, *, start: int, missing: list[Record]) -> None:
        """Index the file from byte `start` and append the entries of `missing` that it lacks."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._path = path
        self._index = _Index()
        self.buffered: list[Record] = []
        _remove_torn_line(path, self._descriptor)
        known: set[tuple[str, str, str]] = set()
        for entry in self._entries(start):
            known.add(_key_of(entry))
            self._add_to_index(entry)
        for entry in missing:
            if _key_of(entry) not in known:
                self.add(entry)
        self.write(self.take_buffered())
        self.sync()

    def add(self, entry: Record) -> LivePost:
        """Add an entry to the index; the next commit writes it to the file."""
        self.buffered.append(entry)
        return self._add_to_index(entry)

    def take_buffered(self) -> list[Record]:
        """Return the entries not written yet and clear the buffer; the caller writes them."""
        entries, self.buffered = self.buffered, []
        return entries

    def write(self, entries: list[Record]) -> None:
        """Append the entries, one line each; `sync` makes them durable."""
        if entries:
            write_all(self._descriptor, "".join(_encode_entry(entry) + "\n" for entry in entries).encode())

    def sync(self) -> None:
        """Flush to disk; blocks."""
        os.fsync(self._descriptor)

    def list_for(self, platform: str, account: str) -> list[LivePost]:
        """Return the live posts of an account, oldest first."""
        return self._index.by_account.get((platform, account), [])

    def find(self, platform: str, remote_id: str) -> LivePost | None:
        """Return the live post with that id, or None."""
        return self._index.by_id.get((platform, remote_id))

    def clear(self, *, erase: bool) -> int:
        """Clear the index, and the file if `erase`. Return the file's size, from which the next start reads."""
        self._index = _Index()
        self.buffered = []
        if erase:
            os.ftruncate(self._descriptor, 0)
        return os.fstat(self._descriptor).st_size

    def read_json(self, platform: str | None, account: str | None) -> bytes:
        """Return the file as one JSON array, filtered. Blocks: call it in a thread."""
        expected = [
            line.rstrip(b"\n")
            for line in self._path.read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n") and _matches(line, platform, account)
        ]
        return b"[" + b",\n".join(expected) + b"]"

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _entries(self, start: int) -> Iterator[Record]:
        with self._path.open("rb") as file:
            file.seek(start)
            for line in file:
                yield json.loads(line)

    def _add_to_index(self, entry: Record) -> LivePost:
        created_at = datetime.fromisoformat(entry["at"]).timestamp()
        live = LivePost(
            entry=entry,
            created_at=created_at,
            visible_at=float(entry["extra"].get("visible_at", created_at)),
        )
        if entry["kind"] == COMMENT:  # listed with its post, by its record
            return live
        platform = entry["platform"]
        self._index.by_account.setdefault((platform, entry["account"]), []).append(live)
        self._index.by_id[platform, entry["remote_id"]] = live
        return live


def to_iso(instant: float) -> str:
    """Return Unix seconds as ISO 8601 in UTC with microseconds."""
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="microseconds")


def _key_of(entry: Record) -> tuple[str, str, str]:
    return entry["platform"], entry["handle"], entry["remote_id"]


def _matches(line: bytes, platform: str | None, account: str | None) -> bool:
    if platform is None and account is None:
        return True
    entry = json.loads(line)
    return (platform is None or entry["platform"] == platform) and (
        account is None or entry["account"] == account
    )


def _remove_torn_line(path: Path, descriptor: int) -> None:
    """Remove a last line without its newline, torn by a kill; the journal has the entry and it is written again."""
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        os.ftruncate(descriptor, data.rfind(b"\n") + 1)
