"""Record the platforms' answers and failures in the ledger, at most once a few seconds per platform and process.

A platform that refuses our app as a whole is paused for an operator.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable
from datetime import timedelta
from uuid import UUID

from adapters.contract import Platform
from adapters.errors import AppRefused
from pipeline.store.database import Database, Unreachable
from pipeline.store.deliveries import platform_health as store
from pipeline.store.deliveries.pauses import pause_platform

log = logging.getLogger("slipway.platform_health")

_LONGEST_WHY = 1000
EVERY = 5.0
"""Seconds between two writes about one platform's answers, or one account's failures."""


class PlatformHealth:
    """The recorder of one process. Thread-safe. Its errors stop no publish: the next answer is recorded instead."""

    def __init__(self, database: Database, probe: timedelta, every: float = EVERY) -> None:
        self._database = database
        self._probe, self._every = probe, every
        self._written: dict[Hashable, float] = {}

    def record_answer(self, platform: Platform, *, force: bool = False) -> None:
        """Record that a platform answered in its own envelope. *force*: whatever was recorded last."""
        if not self._is_due(platform, force=force):
            return
        try:
            with self._database.begin() as c:
                was_open = store.record_answer(c, platform)
        except Unreachable:
            self._written.pop(platform, None)
            return
        if was_open:
            log.warning("%s answers again: its circuit breaker is closed", platform)

    def record_failure(self, platform: Platform, account: UUID, workspace: UUID) -> None:
        """Record that a platform's own hosts failed in a call for this account."""
        if not self._is_due((platform, account), force=self._written.pop(platform, None) is not None):
            return
        try:
            with self._database.begin() as c:
                opened = store.record_failure(c, platform, account, workspace, probe=self._probe)
        except Unreachable:
            self._written.pop((platform, account), None)
            return
        if opened:
            log.error(
                "the circuit breaker of %s is open: its deliveries wait, and one at a time probes it",
                platform,
            )

    def record_app_refusal(self, platform: Platform, error: AppRefused) -> None:
        """Pause a platform that refuses our app as a whole, with one alarm; an operator lifts the pause."""
        why = " ".join(filter(None, (error.message, error.next_action, error.platform_message)))
        try:
            with self._database.begin() as c:
                is_new = pause_platform(c, platform, why[:_LONGEST_WHY])
        except Unreachable:
            return  # the next refusal pauses it
        if is_new:
            log.error(
                "ALARM publishing to %s is paused: %s Then: slipway pause lift platform %s",
                platform,
                why,
                platform,
            )

    def _is_due(self, subject: Hashable, *, force: bool) -> bool:
        now = time.monotonic()
        if not force and now - self._written.get(subject, float("-inf")) < self._every:
            return False
        self._written[subject] = now
        return True
