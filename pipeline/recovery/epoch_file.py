"""The mark's half outside the database: a small folder that no backup holds and no restore puts back.

One file with the mark, replaced whole and flushed to the disk; and one file a month with the deliveries that a person
brought forward. Any number of processes may share the folder. Every error is an OSError: then nothing is sent.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pipeline.domain.epoch import Mark

CLOSED = 0o700


class Unreadable(OSError):
    """The file is there and is no mark; the message says which and what to do."""


class Outside:
    """The folder. Nothing is made before the first mark is written: a folder that is not there holds none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "mark.json"

    def read(self) -> Mark | None:
        """The mark, None when there is none. Raises OSError."""
        try:
            text = self._file.read_text()
        except FileNotFoundError:
            return None
        try:
            told = json.loads(text)
            return Mark(
                epoch=UUID(told["epoch"]), n=int(told["n"]), until=datetime.fromisoformat(told["until"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise Unreadable(
                f"{self._file} is no mark: put back the right one, or remove it and say until when posts were sent."
            ) from error

    def advance(self, mark: Mark) -> bool:
        """Writes it, unless a later number stands there already. False: another epoch has begun. Raises OSError.

        What it said never gets less: neither the number nor the time.
        """
        with self._alone():
            found = self.read()
            if found is not None and found.epoch != mark.epoch:
                return False
            if found is not None:
                mark = Mark(epoch=mark.epoch, n=max(found.n, mark.n), until=max(found.until, mark.until))
            self._write(mark)
            return True

    def begin(self, mark: Mark) -> None:
        """Writes the first mark of another epoch over whatever stands there, readable or not. Raises OSError."""
        with self._alone():
            self._write(mark)

    def note(self, deliveries: Sequence[UUID], at: datetime) -> None:
        """Adds deliveries that were brought forward; flushed before this returns. Raises OSError."""
        if not deliveries:
            return
        lines = "".join(f"{at.isoformat()} {delivery}\n" for delivery in deliveries)
        with self._alone(), (self.folder / f"forward-{at:%Y-%m}.txt").open("a") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
            self._flush_folder()

    def noted(self, since: datetime | None) -> frozenset[UUID]:
        """What was brought forward since then, or ever. A line that was cut off names nothing that was sent."""
        found = set()
        for file in sorted(self.folder.glob("forward-*.txt")):
            for line in file.read_text().splitlines():
                at, _, delivery = line.partition(" ")
                if len(delivery) == LENGTH and (since is None or datetime.fromisoformat(at) >= since):
                    found.add(UUID(delivery))
        return frozenset(found)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(mode=CLOSED, parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the process, however that ends
            yield

    def _write(self, mark: Mark) -> None:
        fresh = self._file.with_suffix(".new")
        told = {"epoch": str(mark.epoch), "n": mark.n, "until": mark.until.isoformat()}
        with fresh.open("w") as file:
            file.write(json.dumps(told) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)
        self._flush_folder()

    def _flush_folder(self) -> None:
        """A file's name is on the disk when its folder is (fsync(2))."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


LENGTH = len(str(UUID(int=0)))
