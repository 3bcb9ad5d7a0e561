"""Quotas of a calendar day, which a platform resets at midnight in its own time zone."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

_KIND = "day"


class DailyQuota:
    """Usage by name, from 0 each day; survives a kill."""

    def __init__(self, context: SandboxContext, zone: str) -> None:
        """Reset at midnight in `zone` (an IANA name)."""
        self._context = context
        self._zone = ZoneInfo(zone)

    def count_used(self, name: str) -> int:
        """Return today's usage."""
        record = self._context.store.get(_KIND, name)
        return int(record["used"]) if record is not None and record["day"] == self._today() else 0

    def take(self, name: str, limit: int, cost: int = 1) -> bool:
        """Add `cost` and return True, or return False if it exceeds `limit`. Counts nothing while limits are lifted."""
        if self._context.rate_windows.is_lifted:
            return True
        used = self.count_used(name)
        if used + cost > limit:
            return False
        self._context.store.put(_KIND, name, {"day": self._today(), "used": used + cost})
        return True

    def _today(self) -> str:
        return datetime.fromtimestamp(self._context.clock.now(), self._zone).date().isoformat()
