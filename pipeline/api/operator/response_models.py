"""Response models of the operator API: dead letters, what is known about them, and what became of them.

Bodies and queries of the operator API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self, TypeVar
from uuid import UUID

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.datastructures import QueryParams
from typing_extensions import TypeAliasType

from adapters.contract import Platform
from adapters.post_options import at_most
from pipeline.actions.dead_letters import DeadLetterCount, DeadLetterResult
from pipeline.api.http.json_body import validate_body
from pipeline.api.http.query import refuse_near_misses
from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.api.posts.field_types import EntityId
from pipeline.api.posts.schema import Body, build_invalid_payload
from pipeline.domain.delivery import Reason, State
from pipeline.domain.validation_issue import build_issue
from pipeline.store.deliveries.attempts import AttemptFacts
from pipeline.store.deliveries.dead_letters import Cause, DeadLetterFilter, Discard, Position, Scope
from pipeline.store.deliveries.dead_letters import DeadLetter as StoredDeadLetter
from pipeline.store.deliveries.inspection import MoveFacts

MAX_LETTERS = 500
"""Dead letters of one request; the cursor continues."""
B = TypeVar("B", bound=Body)
_NUMBERS = frozenset({"older_than", "newer_than", "limit"})
_Word = Annotated[str, Field(min_length=1, max_length=100)]
_Seconds = Annotated[float, Field(ge=0, le=1e9)]


def _parse_cursor(value: Any) -> Position:
    died, _, identity = str(value).partition("/")
    try:
        instant = datetime.fromisoformat(died)
        if instant.tzinfo is None:
            raise ValueError
        return instant, UUID(identity)
    except ValueError:
        raise PydanticCustomError(
            "cursor", "Not a cursor: send next_cursor of the previous page unchanged."
        ) from None


Cursor = Annotated[Position, BeforeValidator(_parse_cursor), WithJsonSchema({"type": "string"})]


class Filter(Body):
    """Select dead letters; an empty filter selects all."""

    platform: Annotated[_Word, WithJsonSchema({"type": "string", "enum": [*Platform]})] | None = None
    workspace_id: EntityId | None = Field(None, description="Within the caller's scope.")
    account_id: EntityId | None = None
    error_class: _Word | None = Field(None, description="Class of the error, for example Rejected.")
    code: _Word | None = Field(None, description="Code of the error.")
    older_than: _Seconds | None = Field(None, description="Seconds since it died, at least.")
    newer_than: _Seconds | None = Field(None, description="Seconds since it died, at most.")


class ListBody(Filter):
    """Query of a page of dead letters."""

    limit: int = Field(50, ge=1, le=MAX_LETTERS, description="Number of dead letters on the page.")
    cursor: Cursor | None = Field(None, description="next_cursor of the previous page.")


class _ActionBody(Body):
    ids: (
        Annotated[list[EntityId], Field(min_length=1, max_length=MAX_LETTERS), at_most(MAX_LETTERS)] | None
    ) = None
    filter: Filter | None = None
    dry_run: bool = Field(
        default=True, description="Default true: with a filter, only count. No effect with ids."
    )
    cursor: Cursor | None = Field(None, description="With a filter: next_cursor of the previous page.")


class ReplayBody(_ActionBody):
    """Dead letters to queue again, by id or by a filter."""

    per_minute: float | None = Field(None, ge=0.1, le=6000, description="Replays per minute and platform.")


class DiscardBody(_ActionBody):
    """Dead letters to give up, by id or by a filter."""

    why: str = Field(min_length=1, max_length=500, description="Kept with the evidence.")


def read(model: type[B], body: Any) -> B:
    """Validate a body or query. Raises Refusal 422 with every issue."""
    found = validate_body(model, body)
    if isinstance(found, _ActionBody) and (found.ids is None) == (found.filter is None):
        raise build_invalid_payload([build_issue((), "Send either ids or a filter.", "exclusive")])
    if isinstance(found, DiscardBody) and not found.why.strip():
        raise build_invalid_payload([build_issue(("why",), "It has no visible character.", "blank")])
    return found


def parse_query(raw: bytes) -> dict[str, Any]:
    """Return the query string as a `ListBody`, with numbers where it has numbers, without empty values.

    Raises Refusal 422 for a name that resembles a known one; other names are ignored.
    """
    known = ListBody.model_fields
    refuse_near_misses(raw, known)
    given = {name: text for name, text in QueryParams(raw).items() if text and name in known}
    return {name: _to_number(text) if name in _NUMBERS else text for name, text in given.items()}


def _to_number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return text


def select_letters(scope: Scope, chosen: Filter) -> DeadLetterFilter:
    """Return the store's filter, never wider than *scope*. Raises Refusal 422 for an unknown platform."""
    if chosen.platform is not None and chosen.platform not in set(Platform):
        raise build_invalid_payload(
            [
                build_issue(
                    ("platform",), f"Must be one of {', '.join(Platform)}.", "literal_error", chosen.platform
                )
            ]
        )
    if chosen.workspace_id is not None and scope.workspace is None:
        scope = replace(scope, workspace=chosen.workspace_id)
    return DeadLetterFilter(
        scope=scope,
        platform=chosen.platform,
        account=chosen.account_id,
        error_class=chosen.error_class,
        code=chosen.code,
        older=_to_timedelta(chosen.older_than),
        younger=_to_timedelta(chosen.newer_than),
    )


def format_cursor(position: Position) -> str:
    """Return the cursor of the page after *position*, with microseconds."""
    died, identity = position
    return f"{died.isoformat()}/{identity}"


def _to_timedelta(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


class DeadLetter(ResponseModel):
    """A delivery that failed or waits for an operator."""

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
        """Return the dead letter with its evidence, oldest first."""
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
    """Dead letters that would be left unchanged for the same reason."""

    why: str
    letters: int


class DryRun(ResponseModel):
    """The result that an action on the dead letters of a filter would have; nothing was changed."""

    dry_run: Literal[True] = True
    letters: int = Field(description="Number of letters that would be replayed or discarded.")
    causes: list[DeadLetterCause] = Field(description="Of these dead letters.")
    skipped: list[SkippedLetters] = Field(description="The other letters, by the reason.")

    @classmethod
    def from_count(cls, count: DeadLetterCount) -> Self:
        """Return the count."""
        skipped = [SkippedLetters(why=why, letters=letters) for why, letters in count.skipped.items()]
        return cls(letters=count.letters, causes=DeadLetterCause.from_causes(count.causes), skipped=skipped)


class SkippedLetter(ResponseModel):
    """A dead letter that was left unchanged."""

    id: UUID
    why: str


def _skipped(result: DeadLetterResult) -> list[SkippedLetter]:
    return [SkippedLetter(id=letter, why=why) for letter, why in result.skipped.items()]


class ReplayResult(ResponseModel):
    """Which dead letters are queued again."""

    replayed: int
    ids: list[UUID]
    skipped: list[SkippedLetter]

    @classmethod
    def from_result(cls, result: DeadLetterResult, **more: Any) -> Self:
        """Return the answer to a replay; *more* are the fields of a subclass."""
        return cls(replayed=len(result.done), ids=result.done, skipped=_skipped(result), **more)


class ReplayPage(ReplayResult):
    """Which of the selected dead letters are queued again, and where to go on."""

    next_cursor: str | None


class DiscardResult(ResponseModel):
    """Which dead letters are discarded."""

    discarded: int
    ids: list[UUID]
    skipped: list[SkippedLetter]

    @classmethod
    def from_result(cls, result: DeadLetterResult, **more: Any) -> Self:
        """Return the answer to a discard; *more* are the fields of a subclass."""
        return cls(discarded=len(result.done), ids=result.done, skipped=_skipped(result), **more)


class DiscardPage(DiscardResult):
    """Which of the selected dead letters are discarded, and where to go on."""

    next_cursor: str | None


ReplayOutcome = TypeAliasType("ReplayOutcome", ReplayPage | ReplayResult | DryRun)
DiscardOutcome = TypeAliasType("DiscardOutcome", DiscardPage | DiscardResult | DryRun)
