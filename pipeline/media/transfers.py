"""Limits on slow sources while media are uploaded: a minimum rate, and a share of the slots per workspace.

A source that sends a byte a second would hold the slot of its upload until the upload's own time is over. Each transfer
is measured, and ended when it stays below the minimum rate; a workspace may have a quarter of the process's slots in
transfers below it. The delivery is retried later, as after any source that does not answer.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock
from typing import Self
from uuid import UUID

from adapters.errors import Unavailable

SLOWEST = 64 * 1024
"""Bytes per second that a source must deliver, as in ``FetchPolicy``."""
SUSPECT_AFTER = 2.0
"""Seconds of waiting for the source after which a transfer below the rate counts as slow."""
WINDOW = 10.0
"""Seconds of waiting after which a slow transfer is ended; a faster one is measured again from zero."""
SHARE = 4
"""A workspace may have a quarter of the slots in slow transfers."""
PUT_OFF = (5.0, 30.0)
"""Seconds, at random, for which further deliveries of such a workspace are put off before anything is sent."""


class Transfer:
    """One range of one file on its way. Only the time spent waiting for the source counts. Not thread-safe."""

    def __init__(
        self,
        transfers: Transfers | None = None,
        workspace: UUID | None = None,
        while_waiting: Callable[[], None] | None = None,
    ) -> None:
        self._transfers, self._workspace, self._while_waiting = transfers, workspace, while_waiting
        self._waited = 0.0
        self._waiting_since: float | None = None
        self._bytes = 0
        self._is_slow = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time spent inside as waiting for the source."""
        self._waiting_since = time.monotonic()
        try:
            yield
        finally:
            self._waited, self._waiting_since = self._get_waited(), None

    def add(self, length: int) -> None:
        """Count bytes that have arrived."""
        self._bytes += length

    def watch(self) -> None:
        """Call ``while_waiting``; raise Unavailable if the transfer is too slow. For every second of waiting."""
        if self._while_waiting is not None:
            self._while_waiting()
        self._require_rate()

    def _require_rate(self) -> None:
        waited = self._get_waited()
        is_slow = waited >= SUSPECT_AFTER and self._bytes < SLOWEST * waited
        if is_slow != self._is_slow:
            if self._transfers is not None and self._workspace is not None:
                self._transfers.record(self._workspace, is_slow=is_slow)
            self._is_slow = is_slow
        if waited < WINDOW:
            return
        if is_slow:
            raise Unavailable(
                f"the media file could not be read: it comes at less than {SLOWEST // 1024} KiB per second",
                code="media_unavailable",
            )
        self._waited, self._bytes = 0.0, 0
        if self._waiting_since is not None:
            self._waiting_since = time.monotonic()

    def close(self) -> None:
        """Stop counting it as slow."""
        if self._is_slow and self._transfers is not None and self._workspace is not None:
            self._transfers.record(self._workspace, is_slow=False)
        self._is_slow = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _get_waited(self) -> float:
        if self._waiting_since is None:
            return self._waited
        return self._waited + time.monotonic() - self._waiting_since


class Transfers:
    """The slow transfers of this process, by workspace. Thread-safe."""

    def __init__(self, slots: int) -> None:
        self._share = max(1, slots // SHARE)
        self._slow: Counter[UUID] = Counter()
        self._lock = Lock()

    def open(self, workspace: UUID, while_waiting: Callable[[], None] | None = None) -> Transfer:
        """Begin a transfer. Raise Unavailable while the workspace has its share of slow ones."""
        with self._lock:
            self._require_share(workspace)
        return Transfer(self, workspace, while_waiting)

    def get_wait(self, workspace: UUID) -> timedelta:
        """Return how long a delivery of this workspace is best put off: zero unless its share is taken."""
        with self._lock:
            is_full = self._slow[workspace] >= self._share
        return timedelta(seconds=random.uniform(*PUT_OFF)) if is_full else timedelta(0)  # noqa: S311  spreads load

    def record(self, workspace: UUID, *, is_slow: bool) -> None:
        """Count a transfer that became slow, or no longer is. Raise Unavailable if it would be one too many."""
        with self._lock:
            if is_slow:
                self._require_share(workspace)
                self._slow[workspace] += 1
            else:
                self._slow[workspace] -= 1
                self._slow += Counter()  # drops workspaces without any

    def _require_share(self, workspace: UUID) -> None:
        if self._slow[workspace] >= self._share:  # a Counter stores nothing for a key it lacks
            raise Unavailable(
                f"the media file could not be read: {self._share} other files of this workspace come too slowly",
                code="media_unavailable",
            )
