"""Counts against limits of a calendar day, which a platform sets back at its own midnight."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

_KIND = "day"


class DailyQuota:
    """One count for each name, kept across a kill; a new day starts at 0."""

    def __init__(self, context: SandboxContext, zone: str) -> None:
        """Let the day end at midnight in `zone` (an IANA name)."""
        self._context = context
        self._zone = ZoneInfo(zone)

    def count_used(self, name: str) -> int:
        """How much of today is used."""
        record = self._context.store.get(_KIND, name)
        return int(record["used"]) if record is not None and record["day"] == self._today() else 0

    def take(self, name: str, limit: int, cost: int = 1) -> bool:
        """Count `cost` if there is room for it. Nothing is counted while limits are lifted."""
        if self._context.rate_windows.lifted:
            return True
        used = self.count_used(name)
        if used + cost > limit:
            return False
        self._context.store.put(_KIND, name, {"day": self._today(), "used": used + cost})
        return True

    def _today(self) -> str:
        return datetime.fromtimestamp(self._context.clock.now(), self._zone).date().isoformat()
