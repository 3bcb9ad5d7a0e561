"""Queries, bodies and answers of the operations on webhooks, with the functions that fill the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, WithJsonSchema
from typing_extensions import TypeAliasType

from pipeline.api.http.response_models import ResponseModel, Timestamp, is_empty, one_of
from pipeline.api.http.validation import Body, Query
from pipeline.api.posts.field_types import DateTime, EntityId, check_one_of
from pipeline.domain.validation_issue import build_issue
from pipeline.domain.webhook import CHOICES, AttemptOutcome, EventState, EventType, PauseReason
from pipeline.store.webhooks.events import Replay, StoredEvent
from pipeline.store.webhooks.webhooks import Webhook

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

    def find_conflicts(self) -> Iterator[dict[str, Any]]:
        """Refuse a body without a change."""
        if not self.model_fields_set:
            message = "Name at least one of url, events, description and paused."
            yield build_issue((), message, "value_error")


class ReplayBody(Body):
    """Which events to send again: event_ids, or a span."""

    event_ids: list[EntityId] | None = Field(None, min_length=1, max_length=MAX_IDS)
    since: DateTime | None = Field(None, description="Made at this time or later.")
    until: DateTime | None = Field(None, description="Made before this time.")
    state: _State | None = Field(None, description="Only those: `failed` leaves out what was delivered.")
    cursor: _Cursor | None = Field(None, description="next_cursor of the answer before: go on after it.")

    def find_conflicts(self) -> Iterator[dict[str, Any]]:
        """Refuse what is neither events nor a span."""
        span = (self.since, self.until, self.state, self.cursor)
        if self.event_ids is not None and any(part is not None for part in span):
            message = "Give event_ids, or since with until, state and cursor; not both."
            yield build_issue(("event_ids",), message, "value_error")
        if self.event_ids is None and self.since is None:
            message = "Give event_ids, or since: the time from which on events are sent again."
            yield build_issue(("since",), message, "value_error")

    def to_replay(self) -> Replay:
        """Return what to send again."""
        return Replay(
            ids=self.event_ids,
            since=self.since,
            until=self.until,
            state=None if self.state is None else EventState(self.state),
            after=None if self.cursor is None else int(self.cursor),
        )


class EventQuery(Query):
    """Which events of a webhook."""

    state: _State | None = None
    type: _Type | None = None
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: Annotated[_Cursor, WithJsonSchema({"type": "string"})] | None = Field(
        None, description="next_cursor of the previous page."
    )


class WebhookPause(ResponseModel):
    """Why a webhook is paused. Its events are kept."""

    why: Annotated[str, one_of([*PauseReason])] = Field(
        description="person; gone: its server answered 410; dead: no try succeeded for three days; key_revoked: the "
        "restricted key that made it is revoked or has expired."
    )
    since: Timestamp


class WebhookModel(ResponseModel):
    """One webhook."""

    id: UUID
    url: str
    events: list[str] | None = Field(description="null: every type.")
    description: str | None
    account_ids: list[UUID] | None = Field(
        description="Those of the restricted key that made it: it gets no other events. null: all of the workspace."
    )
    created_at: Timestamp
    paused: WebhookPause | None
    failing_since: Timestamp | None = Field(description="The first failed try since one succeeded.")
    earlier_secret_until: Timestamp | None = Field(
        description="Until then the secret of before the last rotation signs too."
    )
    secret: str = Field(
        default="",
        exclude_if=is_empty,
        description="Signs its events. Shown when it is made and when it is rotated, and never again.",
    )

    @classmethod
    def from_webhook(cls, found: Webhook, secret: str = "") -> Self:
        """Return the webhook as the API shows it."""
        pause = None
        if found.paused_at is not None and found.paused_why is not None:
            pause = WebhookPause(why=found.paused_why, since=found.paused_at)
        return cls(
            id=found.id,
            url=found.url,
            events=None if found.types is None else [*found.types],
            description=found.description,
            account_ids=None if found.accounts is None else [*found.accounts],
            created_at=found.created_at,
            paused=pause,
            failing_since=found.failing_since,
            earlier_secret_until=found.earlier_until,
            secret=secret,
        )


class WebhookList(ResponseModel):
    """The webhooks that the key may see."""

    webhooks: list[WebhookModel]


class DeletedWebhook(ResponseModel):
    """The resource that was deleted."""

    id: UUID
    deleted: bool


class WebhookAttempt(ResponseModel):
    """One try to send an event."""

    n: int
    at: Timestamp
    ended_at: Timestamp | None
    outcome: Annotated[str | None, one_of([*AttemptOutcome])] = Field(
        description="delivered: 2xx; http_error: any other status; gone: 410; unanswered: no answer in ten seconds; "
        "refused: no public https address; unknown: the sender died; null: it is being sent."
    )
    status: int | None
    error: str | None
    answer: str | None = Field(description="The first 1,000 characters, if it is no success.")


class WebhookEvent(ResponseModel):
    """One event of a webhook, and its tries."""

    id: UUID = Field(description="`webhook-id` of every request that sends it.")
    type: WebhookEventType
    state: WebhookEventState = Field(description="failed: ten tries failed.")
    created_at: Timestamp
    tries: int = Field(description="Since it was made, replayed, or its webhook resumed.")
    next_at: Timestamp | None = Field(
        description="When it is tried next. null: it is not pending, or an earlier event of its post is."
    )
    payload: dict[str, Any] = Field(description="The body of the request: type, timestamp and data.")
    attempts: list[WebhookAttempt] = Field(description="At most ten, newest first.")

    @classmethod
    def from_event(cls, found: StoredEvent) -> Self:
        """Return the event as the API shows it."""
        fields = {name: getattr(found, name) for name in ("id", "type", "created_at", "tries", "next_at")}
        attempts = [WebhookAttempt.model_validate(dict(attempt)) for attempt in found.attempts]
        return cls(**fields, state=found.state, payload=json.loads(found.body), attempts=attempts)


class WebhookEvents(ResponseModel):
    """A page of events, newest first."""

    events: list[WebhookEvent]
    next_cursor: str | None


class WebhookReplay(ResponseModel):
    """How many events are sent again."""

    replayed: int
    next_cursor: str | None = Field(description="Not null: there may be more; repeat with it as cursor.")
