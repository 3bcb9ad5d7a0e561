"""What requests to the operator API may hold, and what of it is meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from adapters.contract import Platform
from pipeline.api.posts.field_types import Identity, at_most
from pipeline.api.posts.schema import Body, invalid
from pipeline.api.posts.unsafe_text import hostile
from pipeline.api.posts.validation_issue import issue, of_pydantic
from pipeline.store.deliveries.dead_letters import Position, Scope, Which

MOST = 500
"""Letters dealt with in one request; more by the cursor."""
B = TypeVar("B", bound=Body)
_Word = Annotated[str, Field(min_length=1, max_length=100)]
_Seconds = Annotated[float, Field(ge=0, le=1e9)]


def _position(value: Any) -> Position:
    died, _, identity = str(value).partition("/")
    try:
        moment = datetime.fromisoformat(died)
        if moment.tzinfo is None:
            raise ValueError
        return moment, UUID(identity)
    except ValueError:
        raise PydanticCustomError(
            "cursor", "Not a cursor: take next_cursor of the answer before, as it is."
        ) from None


Cursor = Annotated[Position, BeforeValidator(_position)]


class Filter(Body):
    """Which letters; nothing of it is all of them."""

    platform: _Word | None = None
    workspace_id: Identity | None = Field(None, description="Within what the caller may see.")
    account_id: Identity | None = None
    error_class: _Word | None = None
    code: _Word | None = None
    older_than: _Seconds | None = Field(None, description="Seconds it has been dead for at least.")
    newer_than: _Seconds | None = Field(None, description="Seconds it has been dead for at most.")


class ListBody(Filter):
    """A page of letters."""

    limit: int = Field(50, ge=1, le=MOST)
    cursor: Cursor | None = None


class _Chosen(Body):
    ids: Annotated[list[Identity], Field(min_length=1, max_length=MOST), at_most(MOST)] | None = None
    filter: Filter | None = None
    dry_run: bool = Field(
        default=True, description="With a filter: only count. Letters named by id are dealt with."
    )
    cursor: Cursor | None = Field(None, description="With a filter: next_cursor of the answer before.")


class ReplayBody(_Chosen):
    """Letters to send again, named or by a filter."""

    per_minute: float | None = Field(None, ge=0.1, le=6000, description="Of each platform.")


class DiscardBody(_Chosen):
    """Letters to give up, named or by a filter."""

    why: str = Field(min_length=1, max_length=500, description="For whoever asks later.")


def read(model: type[B], body: Any) -> B:
    """The body. Raises Refusal 422 with everything that is wrong with it."""
    if not isinstance(body, dict):
        raise invalid([issue((), "The body must be a JSON object.", "model_type")])
    if found := hostile(body):
        raise invalid(found)
    try:
        read_one = model.model_validate(body)
    except ValidationError as error:
        known = tuple(model.model_fields)
        raise invalid(of_pydantic(error.errors(include_url=False), {}, lambda _: known)) from None
    if isinstance(read_one, _Chosen) and (read_one.ids is None) == (read_one.filter is None):
        raise invalid([issue((), "Send either ids or a filter.", "exclusive")])
    if isinstance(read_one, DiscardBody) and not read_one.why.strip():
        raise invalid([issue(("why",), "It has no visible character.", "blank")])
    return read_one


def query(raw: Mapping[str, str]) -> dict[str, Any]:
    """A query string as the body it stands for: numbers where numbers are meant."""
    told: dict[str, Any] = {}
    for name, text in raw.items():
        told[name] = _number(text) if name in {"older_than", "newer_than", "limit"} else text
    return told


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return text


def which_of(scope: Scope, chosen: Filter) -> Which:
    """The letters a filter means, never more than the scope. Raises Refusal 422 for a platform there is none of."""
    if chosen.platform is not None and chosen.platform not in set(Platform):
        raise invalid(
            [issue(("platform",), f"Must be one of {', '.join(Platform)}.", "enum", chosen.platform)]
        )
    if chosen.workspace_id is not None and scope.workspace is None:
        scope = replace(scope, workspace=chosen.workspace_id)
    return Which(
        scope=scope,
        platform=chosen.platform,
        account=chosen.account_id,
        error_class=chosen.error_class,
        code=chosen.code,
        older=_span(chosen.older_than),
        younger=_span(chosen.newer_than),
    )


def written(position: Position) -> str:
    """Where a page ended, to the microsecond."""
    died, identity = position
    return f"{died.isoformat()}/{identity}"


def _span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
