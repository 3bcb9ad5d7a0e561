"""Response models of the operator API: what needs an operator, dead letters, and what became of them.

Bodies and queries of the operator API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from adapters.contract import Platform
from adapters.post_options import at_most
from pipeline.actions.attention import AttentionItem as Listed
from pipeline.actions.dead_letters import DeadLetterCount
from pipeline.actions.steer_letters import DeadLetterResult
from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.api.http.validation import Body, Query, build_invalid_payload
from pipeline.api.posts.field_types import EntityId
from pipeline.domain.attention import Kind
from pipeline.domain.delivery import Reason, State
from pipeline.domain.validation_issue import build_issue
from pipeline.store.deliveries.dead_letters import Cause, Position
from pipeline.store.deliveries.dead_letters import DeadLetter as StoredDeadLetter
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.deliveries.selection import ListFilter

MAX_LETTERS = 500
"""Dead letters of one request; the cursor continues."""
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


class ListQuery(Filter, Query):
    """Query of a page of dead letters."""

    model_config = ConfigDict(strict=True)
    limit: int = Field(50, ge=1, le=MAX_LETTERS, description="Number of dead letters on the page.")
    cursor: Cursor | None = Field(None, description="next_cursor of the previous page.")

    @model_validator(mode="before")
    @classmethod
    def _to_numbers(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: _to_number(text) if name in _NUMBERS else text for name, text in given.items()}


class _ActionBody(Body):
    ids: (
        Annotated[list[EntityId], Field(min_length=1, max_length=MAX_LETTERS), at_most(MAX_LETTERS)] | None
    ) = None
    filter: Filter | None = None
    dry_run: bool = Field(
        default=True, description="Default true: with a filter, only count. No effect with ids."
    )
    cursor: Cursor | None = Field(None, description="With a filter: next_cursor of the previous page.")

    def find_conflicts(self) -> Iterator[dict[str, Any]]:
        """Refuse both ways of selection, and none."""
        if (self.ids is None) == (self.filter is None):
            yield build_issue((), "Send either ids or a filter.", "exclusive")


class ReplayBody(_ActionBody):
    """Dead letters to queue again, by id or by a filter."""

    per_minute: float | None = Field(None, ge=0.1, le=6000, description="Replays per minute and platform.")


class DiscardBody(_ActionBody):
    """Dead letters to give up, by id or by a filter."""

    why: str = Field(min_length=1, max_length=500, description="Kept with the evidence.")

    def find_conflicts(self) -> Iterator[dict[str, Any]]:
        """Refuse a reason without words too."""
        yield from super().find_conflicts()
        if not self.why.strip():
            yield build_issue(("why",), "It has no visible character.", "blank")


def _to_number(text: Any) -> Any:
    try:
        return int(text) if isinstance(text, str) else text
    except ValueError:
        return text


def select_letters(scope: Scope, chosen: Filter) -> ListFilter:
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
    return ListFilter(
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
    def from_letter(cls, dead_letter: StoredDeadLetter, **more: Any) -> Self:
        """Return the dead letter; *more* are the fields of a subclass."""
        known = {"attempts_spent": dead_letter.spent, "may_be_live": dead_letter.armed, **more}
        return cls.from_rows(dead_letter, **known)


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
    return [SkippedLetter(id=dead_letter, why=why) for dead_letter, why in result.skipped.items()]


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


class AttentionItem(ResponseModel):
    """Things of one kind and cause."""

    kind: Kind
    platform: Platform | None
    state: State | None = Field(description="Of deliveries that are late.")
    reason: str | None = Field(
        description="Why deliveries are blocked or held; the name of a queue; the scope of pauses; "
        "why webhooks are paused; the kind that could not be read in time."
    )
    error_class: str | None
    code: str | None
    count: int
    count_capped: bool = Field(description="10,000 rows were read, and there may be more.")
    oldest: Timestamp | None = Field(
        description="Since when the oldest is so; of deliveries that are late since when they are, which is their due "
        "time or the end of a limit; of grants their end."
    )
    command: str = Field(description="For the person who runs the server.")

    @classmethod
    def from_item(cls, item: Listed) -> Self:
        """Return the item."""
        return cls.from_rows(item.matter, item, count_capped=item.matter.is_capped)


class AttentionList(ResponseModel):
    """What needs an operator, the most urgent kind first. Empty: nothing does."""

    items: list[AttentionItem]
