"""The operations on webhooks: create, list, get, change, delete, rotate, test, events, replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Depends
from pydantic import Field, WithJsonSchema
from typing_extensions import TypeAliasType

from pipeline.api.http.dependencies import Call, Claim, Reader, Writer, path_id, replayed, require_kept
from pipeline.api.http.envelope import SuccessResponse, success
from pipeline.api.http.response_models import ResponseModel, Timestamp, is_empty, one_of
from pipeline.api.http.validation import Body, Query
from pipeline.api.openapi.introduction import WEBHOOKS
from pipeline.api.openapi.operation import Routes
from pipeline.api.posts.field_types import DateTime, EntityId, check_one_of
from pipeline.api.posts.pagination import cut_page
from pipeline.domain.validation_issue import build_issue
from pipeline.domain.webhook import (
    CHOICES,
    MAX_DESCRIPTION,
    MAX_URL,
    AttemptOutcome,
    EventState,
    EventType,
    PauseReason,
)
from pipeline.runtime.context import Context
from pipeline.stages.replay import Replayed
from pipeline.store.auth.keys import Caller
from pipeline.store.webhooks import webhooks as store
from pipeline.store.webhooks.events import Replay, StoredEvent, list_events
from pipeline.store.webhooks.webhooks import Webhook
from pipeline.webhooks import webhooks

MAX_IDS = 100
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
        """Refuse a body that selects both events and a span, or neither."""
        span = (self.since, self.until, self.state, self.cursor)
        if self.event_ids is not None and any(part is not None for part in span):
            message = "Give event_ids, or since with until, state and cursor; not both."
            yield build_issue(("event_ids",), message, "value_error")
        if self.event_ids is None and self.since is None:
            message = "Give event_ids, or since: the time from which on events are sent again."
            yield build_issue(("since",), message, "value_error")

    def to_replay(self) -> Replay:
        """Return the selection of events to send again."""
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
        "restricted key that made it is revoked or has expired; locked: its workspace was, and a rotation gives a "
        "new secret and resumes it."
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
        renamed = {"account_ids": found.accounts, "earlier_secret_until": found.earlier_until}
        return cls.from_rows(found, **renamed, events=found.types, paused=pause, secret=secret)


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
        return cls.from_rows(found, payload=json.loads(found.body))


class WebhookEvents(ResponseModel):
    """A page of events, newest first."""

    events: list[WebhookEvent]
    next_cursor: str | None


class WebhookReplay(ResponseModel):
    """How many events are sent again."""

    replayed: int
    next_cursor: str | None = Field(description="Not null: there may be more; repeat with it as cursor.")


routes = Routes(tag=WEBHOOKS, path="/webhooks")
WebhookId = Annotated[UUID, path_id("webhook_id", "webhook")]


async def _find(call: Reader, webhook_id: WebhookId) -> store.Webhook:
    found = await call.read(store.list_webhooks, call.caller, webhook_id)
    if not found:
        raise webhooks.no_such_webhook()
    return found[0]


FoundWebhook = Annotated[store.Webhook, Depends(_find)]


@routes.add(
    "POST",
    "",
    "The webhook, with its secret.",
    status=201,
    repeated="It was created before, with this Idempotency-Key; the secret is not shown again.",
    meanings={"validation_failed": "there are 20 webhooks already"},
)
async def create_webhook(call: Writer, body: WebhookBody, key: Claim) -> SuccessResponse[WebhookModel]:
    """Create a webhook: from now on, events are sent to its URL."""
    values = {"url": body.url, "types": body.events, "description": body.description, "key": key}
    try:
        found, secret = await call.act(webhooks.create, **values)
    except Replayed as earlier:
        return await _replay(call, earlier, "Webhook was created before")
    return success("Webhook created", WebhookModel.from_webhook(found, secret), code=201)


@routes.add("GET", "", "The webhooks, oldest first.")
async def list_webhooks(call: Reader) -> SuccessResponse[WebhookList]:
    """List the webhooks."""
    found = await call.read(store.list_webhooks, call.caller)
    return success("Webhooks retrieved", WebhookList(webhooks=[*map(WebhookModel.from_webhook, found)]))


@routes.add("GET", "/{webhook_id}", "The webhook.")
async def get_webhook(webhook: FoundWebhook) -> SuccessResponse[WebhookModel]:
    """Return one webhook."""
    return success("Webhook retrieved", WebhookModel.from_webhook(webhook))


@routes.add("PATCH", "/{webhook_id}", "The webhook.")
async def update_webhook(
    call: Writer, body: WebhookChanges, webhook_id: WebhookId
) -> SuccessResponse[WebhookModel]:
    """Change a webhook, pause it, or resume it."""
    changes = {"paused": None, **body.model_dump(exclude_unset=True)}
    if "events" in changes:
        changes["types"] = changes.pop("events")
    found = await call.act(webhooks.change, webhook_id, **changes)
    return success("Webhook updated", WebhookModel.from_webhook(found))


@routes.add(
    "POST",
    "/{webhook_id}/rotate",
    "The webhook, with its secret; without it if it was rotated before, with this Idempotency-Key.",
)
async def rotate_webhook_secret(
    call: Writer, key: Claim, webhook_id: WebhookId
) -> SuccessResponse[WebhookModel]:
    """Give a webhook a new secret; the one before signs too for a day."""
    try:
        found, secret = await call.act(webhooks.rotate, webhook_id, key)
    except Replayed as earlier:
        return await _replay(call, earlier, "Secret was rotated before")
    return success("Secret rotated", WebhookModel.from_webhook(found, secret))


@routes.add(
    "POST",
    "/{webhook_id}/test",
    "The event.",
    status=202,
    repeated="It was made before, with this Idempotency-Key.",
)
async def test_webhook(call: Writer, webhook_id: WebhookId, key: Claim) -> SuccessResponse[WebhookEvent]:
    """Send a test event; its tries are shown with the events."""
    try:
        event = await call.act(webhooks.test, webhook_id, key)
    except Replayed as earlier:
        event = require_kept(await call.act(_find_event, webhook_id, earlier.resource))
        return replayed("Test event was made before", WebhookEvent.from_event(event))
    return success("Test event made", WebhookEvent.from_event(event), code=202)


@routes.add("GET", "/{webhook_id}/events", "A page of events.")
async def list_webhook_events(
    call: Reader, webhook: FoundWebhook, query: EventQuery
) -> SuccessResponse[WebhookEvents]:
    """List the events of a webhook with their tries, newest first."""
    found = await call.read(
        list_events,
        webhook.id,
        limit=query.limit + 1,
        before=None if query.cursor is None else int(query.cursor),
        state=None if query.state is None else EventState(query.state),
        kind=query.type,
    )
    shown, cursor = cut_page(found, query.limit, lambda last: str(last.n))
    events = [*map(WebhookEvent.from_event, shown)]
    return success("Events retrieved", WebhookEvents(events=events, next_cursor=cursor))


@routes.add("POST", "/{webhook_id}/replay", "How many; they are sent from now on.", status=202)
async def replay_webhook_events(
    call: Writer, body: ReplayBody, webhook_id: WebhookId
) -> SuccessResponse[WebhookReplay]:
    """Send events again, under the same ids: some by their ids, or those of a span."""
    count, last = await call.act(webhooks.replay, webhook_id, body.to_replay())
    cursor = None if last is None else str(last)
    return success("Events replayed", WebhookReplay(replayed=count, next_cursor=cursor), code=202)


@routes.add("DELETE", "/{webhook_id}", "It is deleted.")
async def delete_webhook(call: Writer, webhook_id: WebhookId) -> SuccessResponse[DeletedWebhook]:
    """Delete a webhook and its events."""
    await call.act(webhooks.delete, webhook_id)
    return success("Webhook deleted", DeletedWebhook(id=webhook_id, deleted=True))


async def _replay(call: Call, earlier: Replayed, message: str) -> SuccessResponse[WebhookModel]:
    """Answer a replay: the webhook of now. Its secret is only in the first answer."""
    found = await call.read(store.list_webhooks, call.caller, earlier.resource)
    webhook = require_kept(next(iter(found), None))
    return replayed(f"{message}; its secret is shown once", WebhookModel.from_webhook(webhook))


def _find_event(context: Context, caller: Caller, webhook: UUID, event: UUID) -> StoredEvent | None:
    with context.database.begin() as c:
        is_seen = store.list_webhooks(c, caller, webhook)
        return next(iter(list_events(c, webhook, limit=1, identity=event)), None) if is_seen else None
