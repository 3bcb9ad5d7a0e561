"""Report what this worker's host sees of what all hosts share: the store of uploaded files, and the epoch file."""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress

from config.settings import Settings
from pipeline.runtime.epoch_file import EpochFile
from pipeline.store.canaries import record_host
from pipeline.store.database import Database, Unreachable
from pipeline.wiring import build_storage

REPORT_EVERY = 5.0
"""Seconds between two reports."""


class HostReport(threading.Thread):
    """Reports until the worker begins to shut down, then that it stopped. A disk that hangs keeps this thread alone."""

    def __init__(self, s: Settings, database: Database, queues: Collection[str]) -> None:
        super().__init__(name="host-report", daemon=True)
        self._settings, self._database, self._queues = s, database, queues
        self._storage, self._epoch_file = build_storage(s), EpochFile(s.mark_folder)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stop reporting."""
        self._stopped.set()

    def run(self) -> None:
        """Report. The ticker logs an outage of the database."""
        while not self._stopped.is_set():
            self._record(self._look())
            self._stopped.wait(REPORT_EVERY)
        self._record(None)

    def _record(self, facts: Mapping[str, str | None] | None) -> None:
        with suppress(Unreachable), self._database.once() as c:
            record_host(c, self._queues, socket.gethostname(), facts)

    def _look(self) -> Mapping[str, str | None]:
        """Return the identity of the files, and the epoch where this process keeps it; None: there is none."""
        files = {"files": self._storage.identify()}
        if not self._settings.mark.keep:
            return files
        try:
            seen = self._epoch_file.read()
        except OSError:
            seen = None
        return {**files, "epoch": str(seen.id) if seen else None}
