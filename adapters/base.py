"""The bases of the platforms' adapters and of their checkpoints; ``<platform>/checkpoint.py`` adds the fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict

from adapters.contract import Pending, PlatformSettings, Ready
from adapters.errors import AdapterError, Permanent

if TYPE_CHECKING:  # requests is slow to import, and checkpoints make no call
    from adapters.http import HttpClient


class BaseAdapter:
    """The injected client and settings of an adapter: it has no other state."""

    def __init__(self, client: HttpClient, settings: PlatformSettings) -> None:
        self._http = client
        self._settings = settings


class BaseCheckpoint(BaseModel):
    """The state of an unfinished publish. With every field at its default it is the empty checkpoint: the start."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    def replace(self, **changed: Any) -> Self:
        """Return a copy with some fields changed."""
        return self.model_copy(update=changed)

    def to_dict(self) -> Mapping[str, Any]:
        """Return the JSON-able fields that differ from their defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def to_pending(self, wait: timedelta = timedelta(0)) -> Pending:
        """Return the result of a step that is not the last one: continue from here after *wait*."""
        return Pending(checkpoint=self.to_dict(), wait=wait)

    def to_ready(self) -> Ready:
        """Return the result of a finished ``prepare``."""
        return Ready(checkpoint=self.to_dict())


class PolledCheckpoint(BaseCheckpoint):
    """A checkpoint whose files are processed by the platform: it is read again, and restarted a few times."""

    polls: int = 0
    """Status reads so far of the container or file that is awaited."""
    restarts: int = 0
    """Restarts so far after a failure."""

    def poll_again(self, first: timedelta, longest: timedelta) -> Pending:
        """Return the result of a read that settles nothing; the pause doubles with each, from *first* to *longest*."""
        return self.replace(polls=self.polls + 1).to_pending(compute_backoff(first, self.polls, longest))

    def restart(self, fresh: Self, error: AdapterError, most: int, pause: timedelta) -> Pending:
        """Continue from *fresh* after a doubling *pause*; raise *error* if it is permanent or after *most* restarts."""
        if isinstance(error, Permanent) or self.restarts >= most:
            raise error
        wait: timedelta = pause * 2**self.restarts
        return fresh.replace(restarts=self.restarts + 1, polls=0).to_pending(wait)


def compute_backoff(first: timedelta, polls: int, longest: timedelta) -> timedelta:
    """Return the pause before the next read: *first*, doubled with each of *polls*, at most *longest*."""
    return min(longest, first * int(2 ** min(polls, 8)))
