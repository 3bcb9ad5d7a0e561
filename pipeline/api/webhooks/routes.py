"""The operations on webhooks: create, list, get, change, delete, rotate, test, events, replay."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from pipeline.api.http.dependencies import Call, Claim, Reader, Writer, path_id, replayed, require_kept
from pipeline.api.http.envelope import SuccessResponse, success
from pipeline.api.openapi.introduction import WEBHOOKS
from pipeline.api.openapi.operation import Routes
from pipeline.api.posts.pagination import cut_page
from pipeline.api.webhooks import models
from pipeline.domain.webhook import EventState
from pipeline.runtime.context import Context
from pipeline.stages.replay import Replayed
from pipeline.store.auth.keys import Caller
from pipeline.store.webhooks import webhooks as store
from pipeline.store.webhooks.events import StoredEvent, list_events
from pipeline.webhooks import webhooks

routes = Routes(tag=WEBHOOKS, path="/webhooks")
WebhookId = Annotated[UUID, path_id("webhook_id", webhooks.no_such_webhook)]


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
async def create_webhook(
    call: Writer, body: models.WebhookBody, key: Claim
) -> SuccessResponse[models.WebhookModel]:
    """Create a webhook: from now on, events are sent to its URL."""
    values = {"url": body.url, "types": body.events, "description": body.description, "key": key}
    try:
        found, secret = await call.act(webhooks.create, **values)
    except Replayed as earlier:
        return await _replay(call, earlier, "Webhook was created before")
    return success("Webhook created", models.WebhookModel.from_webhook(found, secret), code=201)


@routes.add("GET", "", "The webhooks, oldest first.")
async def list_webhooks(call: Reader) -> SuccessResponse[models.WebhookList]:
    """List the webhooks."""
    found = await call.read(store.list_webhooks, call.caller)
    return success(
        "Webhooks retrieved", models.WebhookList(webhooks=[*map(models.WebhookModel.from_webhook, found)])
    )


@routes.add("GET", "/{webhook_id}", "The webhook.")
async def get_webhook(webhook: FoundWebhook) -> SuccessResponse[models.WebhookModel]:
    """Return one webhook."""
    return success("Webhook retrieved", models.WebhookModel.from_webhook(webhook))


@routes.add("PATCH", "/{webhook_id}", "The webhook.")
async def update_webhook(
    call: Writer, body: models.WebhookChanges, webhook_id: WebhookId
) -> SuccessResponse[models.WebhookModel]:
    """Change a webhook, pause it, or resume it."""
    changes = {"paused": None, **body.model_dump(exclude_unset=True)}
    if "events" in changes:
        changes["types"] = changes.pop("events")
    found = await call.act(webhooks.change, webhook_id, **changes)
    return success("Webhook updated", models.WebhookModel.from_webhook(found))


@routes.add(
    "POST",
    "/{webhook_id}/rotate",
    "The webhook, with its secret; without it if it was rotated before, with this Idempotency-Key.",
)
async def rotate_webhook_secret(
    call: Writer, key: Claim, webhook_id: WebhookId
) -> SuccessResponse[models.WebhookModel]:
    """Give a webhook a new secret; the one before signs too for a day."""
    try:
        found, secret = await call.act(webhooks.rotate, webhook_id, key)
    except Replayed as earlier:
        return await _replay(call, earlier, "Secret was rotated before")
    return success("Secret rotated", models.WebhookModel.from_webhook(found, secret))


@routes.add(
    "POST",
    "/{webhook_id}/test",
    "The event.",
    status=202,
    repeated="It was made before, with this Idempotency-Key.",
)
async def test_webhook(
    call: Writer, webhook_id: WebhookId, key: Claim
) -> SuccessResponse[models.WebhookEvent]:
    """Send a test event; its tries are shown with the events."""
    try:
        event = await call.act(webhooks.test, webhook_id, key)
    except Replayed as earlier:
        event = require_kept(await call.act(_find_event, webhook_id, earlier.resource))
        return replayed("Test event was made before", models.WebhookEvent.from_event(event))
    return success("Test event made", models.WebhookEvent.from_event(event), code=202)


@routes.add("GET", "/{webhook_id}/events", "A page of events.")
async def list_webhook_events(
    call: Reader, webhook: FoundWebhook, query: models.EventQuery
) -> SuccessResponse[models.WebhookEvents]:
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
    events = [*map(models.WebhookEvent.from_event, shown)]
    return success("Events retrieved", models.WebhookEvents(events=events, next_cursor=cursor))


@routes.add("POST", "/{webhook_id}/replay", "How many; they are sent from now on.", status=202)
async def replay_webhook_events(
    call: Writer, body: models.ReplayBody, webhook_id: WebhookId
) -> SuccessResponse[models.WebhookReplay]:
    """Send events again, under the same ids: some by their ids, or those of a span."""
    count, last = await call.act(webhooks.replay, webhook_id, body.to_replay())
    cursor = None if last is None else str(last)
    return success("Events replayed", models.WebhookReplay(replayed=count, next_cursor=cursor), code=202)


@routes.add("DELETE", "/{webhook_id}", "It is deleted.")
async def delete_webhook(call: Writer, webhook_id: WebhookId) -> SuccessResponse[models.DeletedWebhook]:
    """Delete a webhook and its events."""
    await call.act(webhooks.delete, webhook_id)
    return success("Webhook deleted", models.DeletedWebhook(id=webhook_id, deleted=True))


async def _replay(call: Call, earlier: Replayed, message: str) -> SuccessResponse[models.WebhookModel]:
    """Answer a replay: the webhook of now. Its secret is only in the first answer."""
    found = await call.read(store.list_webhooks, call.caller, earlier.resource)
    webhook = require_kept(next(iter(found), None))
    return replayed(f"{message}; its secret is shown once", models.WebhookModel.from_webhook(webhook))


def _find_event(context: Context, caller: Caller, webhook: UUID, event: UUID) -> StoredEvent | None:
    with context.database.begin() as c:
        is_seen = store.list_webhooks(c, caller, webhook)
        return next(iter(list_events(c, webhook, limit=1, identity=event)), None) if is_seen else None
