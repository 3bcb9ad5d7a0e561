"""Records of the sandbox (accounts, tokens, tasks, containers, faults), durable through an append-only journal.

Each line of the journal is one atomic batch: the records that changed together with the ledger entries of that change.
A torn last line is ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]
"""A JSON object."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
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
