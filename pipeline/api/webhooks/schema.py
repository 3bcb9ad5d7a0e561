"""Queries and bodies of the operations on webhooks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypeAliasType

from pipeline.api.http.response_models import one_of
from pipeline.api.imports.schema import Query
from pipeline.api.posts.field_types import DateTime, EntityId, check_one_of
from pipeline.api.posts.schema import Body, build_invalid_payload
from pipeline.domain.validation_issue import build_issue
from pipeline.domain.webhook import CHOICES, EventState, EventType
from pipeline.store.webhooks.events import Replay

MAX_URL, MAX_DESCRIPTION, MAX_IDS = 2048, 200, 100
MAX_LIMIT, DEFAULT_LIMIT = 100, 50

WebhookEventType = TypeAliasType("WebhookEventType", Annotated[str, one_of([*EventType])])
WebhookEventState = TypeAliasType("WebhookEventState", Annotated[str, one_of([*EventState])])
_Choice = Annotated[str, check_one_of(CHOICES), one_of(CHOICES)]
_Type = Annotated[str, check_one_of([*EventType]), one_of([*EventType])]
_State = Annotated[str, check_one_of([*EventState]), one_of([*EventState])]
_Cursor = Annotated[str, Field(pattern="^[0-9]{1,18}$")]

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL, json_schema_extra={"format": "uri"})]
Types = Annotated[list[_Choice], Field(min_length=1, max_length=len(CHOICES))]
Description = Annotated[str, Field(min_length=1, max_length=MAX_DESCRIPTION)]


class WebhookBody(Body):
    """A webhook to create."""

    url: Url = Field(description="A public https address; redirects are not followed.")
    events: Types | None = Field(None, description="The types to send. Default: all.")
    description: Description | None = Field(None, description="For people.")


class WebhookChanges(Body):
    """The fields to change. At least one."""

    url: Url = Field("", description="What waits is sent there too.")
    events: Types | None = Field(None, description="For events from now on; null: all.")
    description: Description | None = None
    paused: bool = Field(
        default=False, description="true: keep events and send none. false: send what waits, in order."
    )


class ReplayBody(Body):
    """Which events to send again: event_ids, or a span."""

    event_ids: list[EntityId] | None = Field(None, min_length=1, max_length=MAX_IDS)
    since: DateTime | None = Field(None, description="Made at this time or later.")
    until: DateTime | None = Field(None, description="Made before this time.")
    state: _State | None = Field(None, description="Only those: `failed` leaves out what was delivered.")
    cursor: _Cursor | None = Field(None, description="next_cursor of the answer before: go on after it.")


class EventQuery(Query):
    """Which events of a webhook."""

    state: _State | None = None
    type: _Type | None = None
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: _Cursor | None = None


def to_replay(body: ReplayBody) -> Replay:
    """Return what to send again. Raises Refusal 422 unless it is events or a span."""
    span = (body.since, body.until, body.state, body.cursor)
    if body.event_ids is not None and any(part is not None for part in span):
        raise _refuse("event_ids", "Give event_ids, or since with until, state and cursor; not both.")
    if body.event_ids is None and body.since is None:
        raise _refuse("since", "Give event_ids, or since: the time from which on events are sent again.")
    return Replay(
        ids=body.event_ids,
        since=body.since,
        until=body.until,
        state=None if body.state is None else EventState(body.state),
        after=None if body.cursor is None else int(body.cursor),
    )


def _refuse(field: str, message: str) -> Exception:
    return build_invalid_payload([build_issue((field,), message, "value_error")])
