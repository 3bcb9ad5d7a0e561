"""The common part of all platforms' checkpoints; ``<platform>/checkpoint.py`` adds the fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class BaseCheckpoint(BaseModel):
    """The state of an unfinished publish. With every field at its default it is the empty checkpoint: the start."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    def replace(self, **changed: Any) -> Self:
        """Return a copy with some fields changed."""
        return self.model_copy(update=changed)

    def to_dict(self) -> Mapping[str, Any]:
        """Return the JSON-able fields that differ from their defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)


def compute_backoff(first: timedelta, polls: int, longest: timedelta) -> timedelta:
    """Return the pause before the next read: *first*, doubled with each of *polls*, at most *longest*."""
    return min(longest, first * int(2 ** min(polls, 8)))
