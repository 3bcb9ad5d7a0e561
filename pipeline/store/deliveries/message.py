"""The message that dispatches a delivery to a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pipeline.store.deliveries.claimed import ClaimedDelivery


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message, sent after the commit: ids, generation and fence, never content."""

    delivery: UUID
    platform: str
    generation: int
    fence: int

    @classmethod
    def of(cls, claimed: ClaimedDelivery) -> Message:
        """Return the message that continues a delivery after the end of a slice."""
        return cls(
            delivery=claimed.id,
            platform=claimed.account.platform,
            generation=claimed.generation,
            fence=claimed.fence,
        )

    @classmethod
    def from_row(cls, found: Any) -> Message:
        """Return the message of a row of deliveries."""
        return cls(delivery=found.id, platform=found.platform, generation=found.generation, fence=found.fence)
