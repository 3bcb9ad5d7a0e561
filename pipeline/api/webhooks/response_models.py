"""Response models of the operations on webhooks, with the functions that fill them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field

from pipeline.api.http.response_models import ResponseModel, Timestamp, is_empty, one_of
from pipeline.api.webhooks.schema import WebhookEventState, WebhookEventType
from pipeline.domain.webhook import AttemptOutcome, PauseReason
from pipeline.store.webhooks.events import StoredEvent
from pipeline.store.webhooks.webhooks import Webhook


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
