"""The epoch file: the epoch's copy outside the database, in a folder that no backup holds and no restore puts back.

``mark.json`` holds the epoch; it is replaced as a whole and flushed to disk. ``forward-YYYY-MM.txt`` lists the
deliveries that a user brought forward: gave an earlier due time, or sent again or resumed as dead letters.
``deleted.txt`` lists the workspaces that were deleted. Any number of processes may share the folder. Every error is an
OSError; while there is one, nothing is sent.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO
from uuid import UUID

from pipeline.domain.restore import Epoch

OWNER_ONLY = 0o700
LOCK_SECONDS = 1.0
"""How long a writer waits for another one, which holds the lock while it flushes a file: milliseconds, unless it is
stopped."""
_UUID_LENGTH = len(str(UUID(int=0)))


class UnreadableEpochFile(OSError):
    """The file is there and holds no epoch; the message says which file, and what to do."""


class EpochFile:
    """The folder with the epoch file. It is created by the first write; a missing folder holds no epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "mark.json"

    def read(self) -> Epoch | None:
        """Return the epoch, None if there is no file. Raises OSError."""
        try:
            text = self._file.read_text()
        except FileNotFoundError:
            return None
        try:
            fields = json.loads(text)
            return Epoch(
                id=UUID(fields["epoch"]),
                number=int(fields["n"]),
                until=datetime.fromisoformat(fields["until"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableEpochFile(
                f"{self._file} is no epoch file: put back the right one, or remove it and say until when posts were "
                "sent (`slipway restore accept --until`)."
            ) from error

    def advance(self, epoch: Epoch) -> bool:
        """Write the epoch; return False if the file holds another epoch's id. Raises OSError.

        Number and time never decrease: where the file holds a greater one, that one stays.
        """
        with self._lock():
            found = self.read()
            if found is not None and found.id != epoch.id:
                return False
            if found is not None:
                epoch = Epoch(
                    id=epoch.id,
                    number=max(found.number, epoch.number),
                    until=max(found.until, epoch.until),
                )
            self._write(epoch)
            return True

    def begin(self, epoch: Epoch) -> None:
        """Write the first number of a new epoch over the file's content, readable or not. Raises OSError."""
        with self._lock():
            self._write(epoch)

    def record_brought_forward(self, deliveries: Sequence[UUID], at: datetime) -> None:
        """Append deliveries that were brought forward; flushed to disk before this returns. Raises OSError."""
        if not deliveries:
            return
        lines = "".join(f"{at.isoformat()} {delivery}\n" for delivery in deliveries)
        self._append(f"forward-{at:%Y-%m}.txt", lines)

    def record_deleted(self, workspace: UUID, *, is_settled: bool) -> None:
        """Append a workspace that is being deleted, and whether everything of it has settled. Raises OSError."""
        if self.list_deleted().get(workspace) not in (True, is_settled):
            self._append("deleted.txt", f"{workspace} {'settled' if is_settled else 'closed'}\n")

    def list_deleted(self) -> dict[UUID, bool]:
        """Return the deleted workspaces, and whether everything of each had settled. Raises OSError.

        A truncated line is skipped: nothing was erased before its line was flushed.
        """
        file = self.folder / "deleted.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        words = [line.split(" ") for line in lines]
        return {UUID(one[0]): one[1] == "settled" for one in words if one[-1] in ("closed", "settled")}

    def _append(self, name: str, lines: str) -> None:
        with self._lock(), (self.folder / name).open("a") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
            self._flush_folder()

    def list_brought_forward(self, since: datetime | None) -> frozenset[UUID]:
        """Return the deliveries brought forward since then, or ever. Raises OSError.

        A truncated line is skipped: its delivery was not sent, for a line is flushed before its delivery may be armed.
        """
        found = set()
        for file in sorted(self.folder.glob("forward-*.txt")):
            for line in file.read_text().splitlines():
                at, _, delivery = line.partition(" ")
                if len(delivery) == _UUID_LENGTH and (since is None or datetime.fromisoformat(at) >= since):
                    found.add(UUID(delivery))
        return frozenset(found)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            _take(lock)  # released when the process ends, however it ends
            yield

    def _write(self, epoch: Epoch) -> None:
        fresh = self._file.with_suffix(".new")
        fields = {"epoch": str(epoch.id), "n": epoch.number, "until": epoch.until.isoformat()}
        with fresh.open("w") as file:
            file.write(json.dumps(fields) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)
        self._flush_folder()

    def _flush_folder(self) -> None:
        """Flush the folder: only then is a new file's name on the disk (fsync(2))."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _take(lock: TextIO) -> None:
    """Take the lock. Raises TimeoutError, which names the file, if another process keeps it."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise TimeoutError(
                    f"a process that is stopped or hangs has held {lock.name} for {LOCK_SECONDS:g} s; "
                    "`fuser` with that file names it: let it go on, or end it"
                ) from None
        time.sleep(0.02)
