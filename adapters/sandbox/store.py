"""Keeps the sandbox's objects (accounts, tokens, tasks, containers, faults) so that a killed process forgets none.

One append-only journal. Each line is one batch, whole or torn, never half true: the objects that changed and the
ledger entries that belong to that change stand on the same line.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Record: TypeAlias = dict[str, Any]
"""A JSON object."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_COMPACT_BATCH = 500


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte of `data`; a short write is continued."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Store:
    """Records by kind and key. Change a record, then `put` it: what is put is written by the next commit."""

    def __init__(self, path: Path) -> None:
        """Replay the journal at `path`; nothing can be written before `start`."""
        self._path = path
        self._kinds: dict[str, dict[str, Record]] = {}
        self._changed: dict[tuple[str, str], Record | None] = {}
        self.replayed_entries: list[Record] = []
        for batch in _batches(path):
            self._replay(batch)
        self._descriptor = -1

    def start(self) -> None:
        """Rewrite the journal without its history, and the ledger entries it carried: the ledger has them by now."""
        self.replayed_entries = []
        self._compact()
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    @property
    def changed(self) -> bool:
        """Whether anything waits to be written."""
        return bool(self._changed)

    def get_all(self, kind: str) -> dict[str, Record]:
        """Every record of one kind by key. Read it; change it through `put` and `drop`."""
        return self._kinds.setdefault(kind, {})

    def get(self, kind: str, key: str) -> Record | None:
        """One record, or None."""
        return self.get_all(kind).get(key)

    def put(self, kind: str, key: str, record: Record) -> None:
        """Add or change one record."""
        self.get_all(kind)[key] = record
        self._changed[kind, key] = record

    def drop(self, kind: str, key: str) -> None:
        """Forget one record; no error when there is none."""
        if self.get_all(kind).pop(key, None) is not None:
            self._changed[kind, key] = None

    def clear(self) -> None:
        """Forget everything, on disk at once."""
        for records in self._kinds.values():
            records.clear()
        self._changed.clear()
        os.ftruncate(self._descriptor, 0)

    def write(self, entries: list[Record]) -> None:
        """Append what changed, with the ledger entries of the same change, as one line."""
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
        fresh = self._path.with_suffix(".new")
        fresh.touch(mode=0o600)
        with fresh.open("wb") as file:
            for start in range(0, len(rows), _COMPACT_BATCH):
                file.write(_encode({"o": rows[start : start + _COMPACT_BATCH], "l": []}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def _batches(path: Path) -> Iterator[Record]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):  # a last line without its end was never answered: it did not happen
                yield json.loads(line)
