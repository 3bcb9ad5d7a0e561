"""An unfinished publish as a checkpoint: what every platform's ``Progress`` can do with its own fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class BaseCheckpoint(BaseModel):
    """What is known of it; with every field at its default it is the beginning, an empty checkpoint."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    def replace(self, **changed: Any) -> Self:
        """The same with some fields changed."""
        return self.model_copy(update=changed)

    def to_dict(self) -> Mapping[str, Any]:
        """As JSON-able facts, without what is still as at the beginning."""
        return self.model_dump(mode="json", exclude_defaults=True)


def compute_backoff(first: timedelta, polls: int, longest: timedelta) -> timedelta:
    """The pause before the next read: doubled each time, up to ``longest``."""
    return min(longest, first * int(2 ** min(polls, 8)))
