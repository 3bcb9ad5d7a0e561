"""Response models of the operator API: dead letters, what is known about them, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import Field
from typing_extensions import TypeAliasType

from adapters.contract import Platform
from pipeline.actions.dead_letters import DeadLetterCount, DeadLetterResult
from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.domain.delivery import Reason, State
from pipeline.store.deliveries.attempts import AttemptFacts
from pipeline.store.deliveries.dead_letters import Cause, Discard
from pipeline.store.deliveries.dead_letters import DeadLetter as StoredDeadLetter
from pipeline.store.deliveries.inspection import MoveFacts


class DeadLetter(ResponseModel):
    """A delivery that failed or waits for a person."""

    id: UUID
    post_id: UUID
    workspace_id: UUID
    account_id: UUID
    platform: Platform
    username: str
    state: State
    reason: Reason | None
    died_at: Timestamp
    due_at: Timestamp
    attempts_spent: int
    crashes: int
    may_be_live: bool
    error: dict[str, Any] | None

    @classmethod
    def from_letter(cls, letter: StoredDeadLetter, **more: Any) -> Self:
        """Return the dead letter; *more* are the fields of a subclass."""
        values: Mapping[str, Any] = asdict(letter)
        known = {name: values[name] for name in DeadLetter.model_fields if name in values}
        return cls.model_validate(
            {**known, "attempts_spent": letter.spent, "may_be_live": letter.armed, **more}
        )


class Move(ResponseModel):
    """One change of state."""

    at: Timestamp
    mover: str
    origin: str | None
    target: str
    generation: int
    fence: int
    why: str | None


class Attempt(ResponseModel):
    """One attempt to publish."""

    n: int
    generation: int
    fence: int
    opened_at: Timestamp
    armed_at: Timestamp | None
    closed_at: Timestamp | None
    outcome: str | None
    remote_id: str | None
    error: dict[str, Any] | None
    late: list[dict[str, Any]] | None


class DiscardRecord(ResponseModel):
    """Who discarded the letter, and why."""

    generation: int
    why: str
    who: str
    at: Timestamp


class DeadLetterEvidence(DeadLetter):
    """A dead letter with its moves, attempts and discards. ``crashes`` counts over all its replays."""

    moves: list[Move]
    attempts: list[Attempt]
    discards: list[DiscardRecord]

    @classmethod
    def from_facts(
        cls,
        letter: StoredDeadLetter,
        crashes: int,
        moves: Sequence[MoveFacts],
        attempts: Sequence[AttemptFacts],
        discards: Sequence[Discard],
    ) -> Self:
        """Return the letter with its evidence, oldest first."""
        return cls.from_letter(
            letter,
            crashes=crashes,
            moves=moves,
            attempts=attempts,
            discards=discards,
        )


class DeadLetterCause(ResponseModel):
    """Number of dead letters with the same cause."""

    platform: str
    error_class: str | None
    code: str | None
    letters: int

    @classmethod
    def from_causes(cls, causes: Sequence[Cause]) -> list[Self]:
        """Return the causes as models."""
        return [*map(cls.model_validate, causes)]


class DeadLetterPage(ResponseModel):
    """A page of dead letters, oldest first."""

    letters: list[DeadLetter]
    causes: list[DeadLetterCause]
    next_cursor: str | None


class SkippedLetters(ResponseModel):
    """Letters that would be left unchanged for the same reason."""

    why: str
    letters: int


class DryRun(ResponseModel):
    """What would become of the letters that a filter selects; nothing was changed."""

    dry_run: Literal[True] = True
    letters: int = Field(description="Number of letters that would be replayed or discarded.")
    causes: list[DeadLetterCause] = Field(description="Of these letters.")
    skipped: list[SkippedLetters] = Field(description="The other letters, by the reason.")

    @classmethod
    def from_count(cls, count: DeadLetterCount) -> Self:
        """Return the count."""
        skipped = [SkippedLetters(why=why, letters=letters) for why, letters in count.skipped.items()]
        return cls(letters=count.letters, causes=DeadLetterCause.from_causes(count.causes), skipped=skipped)


class SkippedLetter(ResponseModel):
    """A letter that was left unchanged."""

    id: UUID
    why: str


def _skipped(result: DeadLetterResult) -> list[SkippedLetter]:
    return [SkippedLetter(id=letter, why=why) for letter, why in result.skipped.items()]


class ReplayResult(ResponseModel):
    """Which letters are queued again."""

    replayed: int
    ids: list[UUID]
    skipped: list[SkippedLetter]

    @classmethod
    def from_result(cls, result: DeadLetterResult, **more: Any) -> Self:
        """Return the answer to a replay; *more* are the fields of a subclass."""
        return cls(replayed=len(result.done), ids=result.done, skipped=_skipped(result), **more)


class ReplayPage(ReplayResult):
    """Which of the selected letters are queued again, and where to go on."""

    next_cursor: str | None


class DiscardResult(ResponseModel):
    """Which letters are discarded."""

    discarded: int
    ids: list[UUID]
    skipped: list[SkippedLetter]

    @classmethod
    def from_result(cls, result: DeadLetterResult, **more: Any) -> Self:
        """Return the answer to a discard; *more* are the fields of a subclass."""
        return cls(discarded=len(result.done), ids=result.done, skipped=_skipped(result), **more)


class DiscardPage(DiscardResult):
    """Which of the selected letters are discarded, and where to go on."""

    next_cursor: str | None


ReplayOutcome = TypeAliasType("ReplayOutcome", ReplayPage | ReplayResult | DryRun)
DiscardOutcome = TypeAliasType("DiscardOutcome", DiscardPage | DiscardResult | DryRun)
