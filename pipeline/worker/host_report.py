"""Report what this worker's host sees of what all hosts share: the store of uploaded files, and the epoch file."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from config.settings import Settings
from pipeline.recovery.epoch_file import EpochFile
from pipeline.store.canaries import record_host
from pipeline.store.database import Database, Unreachable
from pipeline.wiring import build_storage

log = logging.getLogger("slipway.host")
REPORT_EVERY = 10.0
"""Seconds between two reports."""


class HostReport(threading.Thread):
    """Reports until the worker begins to shut down, and then that it stopped. A disk that hangs hangs this alone."""

    def __init__(self, s: Settings, database: Database, queues: Collection[str]) -> None:
        super().__init__(name="host-report", daemon=True)
        self._settings, self._database, self._queues = s, database, queues
        self._storage, self._epoch_file = build_storage(s), EpochFile(s.mark_folder)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stop reporting."""
        self._stopped.set()

    def run(self) -> None:
        """Report. An outage of the database is logged elsewhere."""
        while not self._stopped.is_set():
            self._record(self._look())
            self._stopped.wait(REPORT_EVERY)
        self._record(None)

    def _record(self, facts: Mapping[str, Any] | None) -> None:
        try:
            with self._database.once() as c:
                record_host(c, self._queues, socket.gethostname(), facts)
        except Unreachable:
            pass
        except Exception:
            log.exception("the report of this host failed; the next one tries again")

    def _look(self) -> Mapping[str, Any]:
        seen = None
        with suppress(OSError):
            seen = self._epoch_file.read()
        return {
            "files": self._storage.identify(),
            "epoch": seen and str(seen.id),
            "keeps_epoch": self._settings.mark.keep,
        }
