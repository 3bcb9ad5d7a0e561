"""The bases of the platforms' adapters and of their checkpoints; ``<platform>/checkpoint.py`` adds the fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from adapters.contract import (
    Account,
    CheckpointData,
    Draft,
    LookResult,
    Pending,
    PlatformSettings,
    Problem,
    Ready,
)
from adapters.errors import AdapterError, Permanent
from adapters.words import Words

if TYPE_CHECKING:  # requests is slow to import, and checkpoints make no call
    from adapters.http import HttpClient


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


State = TypeVar("State", bound=BaseCheckpoint)
Client = TypeVar("Client")


@dataclass(frozen=True, slots=True)
class Publish(Generic[State, Client]):
    """A publish as a look sees it: the draft, its account, how far it is, and the client that acts for the account."""

    draft: Draft
    account: Account
    state: State
    client: Client
    taken: Container[str]
    """Remote ids of other deliveries."""


@dataclass(frozen=True, slots=True)
class ArmedPublish(Publish[State, Client]):
    """A publish whose visible call may have been made."""

    armed_at: datetime


class BaseAdapter:
    """The injected client and settings of an adapter: it has no other state."""

    def __init__(self, client: HttpClient, settings: PlatformSettings) -> None:
        self._http = client
        self._settings = settings


class PublishingAdapter(BaseAdapter, ABC, Generic[State, Client]):
    """What the adapters of posts share: how a call begins, and that a look depends on whether the publish is armed."""

    checkpoint_model: type[State]
    find_problems: ClassVar[staticmethod[[Draft, Account], Sequence[Problem]]]
    find_words: ClassVar[staticmethod[[Draft], Words]]

    @abstractmethod
    def _build_client(self, account: Account) -> Client:
        """Return the platform's endpoints with the token of an account."""

    @abstractmethod
    def _look_unarmed(self, publish: Publish[State, Client]) -> LookResult:
        """Return the state of a publish before arming: Ready means that ``prepare`` has a next request."""

    @abstractmethod
    def _look_armed(self, publish: ArmedPublish[State, Client]) -> LookResult:
        """Return the state of an armed publish."""

    def write_words(self, draft: Draft) -> Words:
        """Return the words that a publish of this draft sends."""
        return self.find_words(draft)

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:
        """Return every limit that the draft is known to break, and what would be published differently."""
        return self.find_problems(draft, account)

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        """Return the state of the publish; reads only."""
        state, client = self._open(account, checkpoint)
        if armed_at is None:
            return self._look_unarmed(Publish(draft, account, state, client, taken))
        return self._look_armed(ArmedPublish(draft, account, state, client, taken, armed_at))

    def _open(self, account: Account, checkpoint: CheckpointData) -> tuple[State, Client]:
        """Return what a call begins with: the checkpoint's state, and a client for the account."""
        return self.checkpoint_model.model_validate(checkpoint), self._build_client(account)
