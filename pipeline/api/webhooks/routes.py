"""The operations on webhooks: create, list, get, change, delete, rotate, test, events, replay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from starlette.requests import Request

from pipeline.api.http.envelope import SuccessResponse, success
from pipeline.api.http.idempotency import read_idempotency_key, replayed, require_kept
from pipeline.api.http.json_body import parse_id, parse_json_or_empty, read_json_body, validate_body
from pipeline.api.imports.schema import read_query
from pipeline.api.openapi.error_responses import BODY_ERRORS, CLAIM_ERRORS, KEY_ERRORS, error_responses
from pipeline.api.openapi.introduction import WEBHOOKS
from pipeline.api.openapi.operation import PARTNER_API, Operation, path_parameter, query_parameter
from pipeline.api.posts.schema import Body, build_invalid_payload
from pipeline.api.state import AppState, get_app_state
from pipeline.api.webhooks import response_models as models
from pipeline.api.webhooks import schema
from pipeline.domain.validation_issue import build_issue
from pipeline.domain.webhook import EventState, EventType
from pipeline.runtime.context import Context
from pipeline.stages.replay import Replayed
from pipeline.store.auth.keys import Caller
from pipeline.store.webhooks import webhooks as store
from pipeline.store.webhooks.events import StoredEvent, list_events
from pipeline.webhooks import webhooks

BodyT = TypeVar("BodyT", bound=Body)


async def create_webhook(request: Request) -> SuccessResponse[models.WebhookModel]:
    """Create a webhook: from now on, events are sent to its URL."""
    body, caller = await _read_body(request, schema.WebhookBody)
    key = read_idempotency_key(request, caller, body)
    values = {"url": body.url, "types": body.events, "description": body.description, "key": key}
    try:
        found, secret = await _act(request, caller, webhooks.create, **values)
    except Replayed as earlier:
        return await _replay(request, caller, earlier, "Webhook was created before")
    return success("Webhook created", models.WebhookModel.from_webhook(found, secret), code=201)


async def list_webhooks(request: Request) -> SuccessResponse[models.WebhookList]:
    """List the webhooks."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.authenticate(request)
    found = await app_state.read_bulkhead.run(partial(_read, app_state, caller), caller.key_id)
    return success(
        "Webhooks retrieved", models.WebhookList(webhooks=[*map(models.WebhookModel.from_webhook, found)])
    )


async def get_webhook(request: Request) -> SuccessResponse[models.WebhookModel]:
    """Return one webhook."""
    _, _, found = await _find(request)
    return success("Webhook retrieved", models.WebhookModel.from_webhook(found))


async def update_webhook(request: Request) -> SuccessResponse[models.WebhookModel]:
    """Change a webhook, pause it, or resume it."""
    body, caller = await _read_body(request, schema.WebhookChanges)
    changes = body.model_dump(exclude_unset=True)
    if not changes:
        message = "Name at least one of url, events, description and paused."
        raise build_invalid_payload([build_issue((), message, "value_error")])
    if "events" in changes:
        changes["types"] = changes.pop("events")
    changes.setdefault("paused", None)
    found = await _act(request, caller, webhooks.change, _parse_id(request), **changes)
    return success("Webhook updated", models.WebhookModel.from_webhook(found))


async def delete_webhook(request: Request) -> SuccessResponse[models.DeletedWebhook]:
    """Delete a webhook and its events."""
    caller = await get_app_state(request).authenticator.require_writer(request)
    identity = _parse_id(request)
    await _act(request, caller, webhooks.delete, identity)
    return success("Webhook deleted", models.DeletedWebhook(id=identity, deleted=True))


async def rotate_webhook_secret(request: Request) -> SuccessResponse[models.WebhookModel]:
    """Give a webhook a new secret; the one before signs too for a day."""
    caller = await get_app_state(request).authenticator.require_writer(request)
    key = read_idempotency_key(request, caller)
    try:
        found, secret = await _act(request, caller, webhooks.rotate, _parse_id(request), key)
    except Replayed as earlier:
        return await _replay(request, caller, earlier, "Secret was rotated before")
    return success("Secret rotated", models.WebhookModel.from_webhook(found, secret))


async def test_webhook(request: Request) -> SuccessResponse[models.WebhookEvent]:
    """Send a test event; its tries are shown with the events."""
    caller = await get_app_state(request).authenticator.require_writer(request)
    webhook, key = _parse_id(request), read_idempotency_key(request, caller)
    try:
        event = await _act(request, caller, webhooks.test, webhook, key)
    except Replayed as earlier:
        event = require_kept(await _act(request, caller, _find_event, webhook, earlier.resource))
        return replayed("Test event was made before", models.WebhookEvent.from_event(event))
    return success("Test event made", models.WebhookEvent.from_event(event), code=202)


async def list_webhook_events(request: Request) -> SuccessResponse[models.WebhookEvents]:
    """List the events of a webhook with their tries, newest first."""
    app_state, caller, found = await _find(request)
    query = read_query(schema.EventQuery, request.scope["query_string"])
    page = await app_state.read_bulkhead.run(partial(_read_events, app_state, found.id, query), caller.key_id)
    return success("Events retrieved", page)


async def replay_webhook_events(request: Request) -> SuccessResponse[models.WebhookReplay]:
    """Send events again, under the same ids: some by their ids, or those of a span."""
    body, caller = await _read_body(request, schema.ReplayBody)
    chosen = schema.to_replay(body)
    count, last = await _act(request, caller, webhooks.replay, _parse_id(request), chosen)
    cursor = None if last is None else str(last)
    return success("Events replayed", models.WebhookReplay(replayed=count, next_cursor=cursor), code=202)


async def _read_body(request: Request, model: type[BodyT]) -> tuple[BodyT, Caller]:
    caller = await get_app_state(request).authenticator.require_writer(request)
    return validate_body(model, parse_json_or_empty(await read_json_body(request, caller.key_id))), caller


async def _act(
    request: Request, caller: Caller, action: Callable[..., Any], *arguments: Any, **more: Any
) -> Any:
    app_state = get_app_state(request)
    work = partial(action, app_state.context, caller, *arguments, **more)
    return await app_state.action_bulkhead.run(work, caller.key_id)


async def _replay(
    request: Request, caller: Caller, earlier: Replayed, message: str
) -> SuccessResponse[models.WebhookModel]:
    """Answer a replay: the webhook of now. Its secret is only in the first answer."""
    app_state = get_app_state(request)
    read = partial(_read, app_state, caller, earlier.resource)
    found = await app_state.read_bulkhead.run(read, caller.key_id)
    webhook = require_kept(next(iter(found), None))
    return replayed(f"{message}; its secret is shown once", models.WebhookModel.from_webhook(webhook))


def _find_event(context: Context, caller: Caller, webhook: UUID, event: UUID) -> StoredEvent | None:
    with context.database.begin() as c:
        is_seen = store.list_webhooks(c, caller, webhook)
        return next(iter(list_events(c, webhook, limit=1, identity=event)), None) if is_seen else None


async def _find(request: Request) -> tuple[AppState, Caller, store.Webhook]:
    app_state = get_app_state(request)
    caller = await app_state.authenticator.authenticate(request)
    read = partial(_read, app_state, caller, _parse_id(request))
    found = await app_state.read_bulkhead.run(read, caller.key_id)
    if not found:
        raise webhooks.no_such_webhook()
    return app_state, caller, found[0]


def _parse_id(request: Request) -> UUID:
    identity = parse_id(request.path_params["webhook_id"])
    if identity is None:
        raise webhooks.no_such_webhook()
    return identity


def _read(app_state: AppState, caller: Caller, identity: UUID | None = None) -> list[store.Webhook]:
    with app_state.context.database.begin() as c:
        return store.list_webhooks(c, caller, identity)


def _read_events(app_state: AppState, webhook: UUID, query: schema.EventQuery) -> models.WebhookEvents:
    with app_state.context.database.begin() as c:
        found = list_events(
            c,
            webhook,
            limit=query.limit + 1,
            before=None if query.cursor is None else int(query.cursor),
            state=None if query.state is None else EventState(query.state),
            kind=query.type,
        )
    shown = found[: query.limit]
    return models.WebhookEvents(
        events=[*map(models.WebhookEvent.from_event, shown)],
        next_cursor=str(shown[-1].n) if len(found) > query.limit else None,
    )


WEBHOOK_PATH = f"{PARTNER_API}/webhooks/{{webhook_id}}"
_ID = path_parameter("webhook_id", {"type": "string", "format": "uuid"})
_READS = (*KEY_ERRORS, "rate_limited", "internal_error")
_WRITES = (*_READS, "insufficient_scope")


def _operation(
    name: str, method: str, verb: str, handler: Callable[[Request], Awaitable[Any]], returns: str, **more: Any
) -> Operation:
    """Return an operation on one webhook."""
    errors = more.pop("errors", error_responses(*_WRITES, "not_found"))
    parameters = [_ID, *more.pop("parameters", ())]
    return Operation(
        id=name,
        method=method,
        path=WEBHOOK_PATH + verb,
        handler=handler,
        tag=WEBHOOKS,
        returns=returns,
        parameters=parameters,
        errors=errors,
        **more,
    )


OPERATIONS = (
    Operation(
        id="createWebhook",
        method="POST",
        path=f"{PARTNER_API}/webhooks",
        handler=create_webhook,
        tag=WEBHOOKS,
        status=201,
        returns="The webhook, with its secret.",
        body=schema.WebhookBody,
        repeated="It was created before, with this Idempotency-Key; the secret is not shown again.",
        takes_key=True,
        errors=error_responses(
            *_WRITES, *BODY_ERRORS, *CLAIM_ERRORS, validation_failed="there are 20 webhooks already"
        ),
    ),
    Operation(
        id="listWebhooks",
        method="GET",
        path=f"{PARTNER_API}/webhooks",
        handler=list_webhooks,
        tag=WEBHOOKS,
        returns="The webhooks, oldest first.",
        errors=error_responses(*_READS),
    ),
    _operation(
        "getWebhook", "GET", "", get_webhook, "The webhook.", errors=error_responses(*_READS, "not_found")
    ),
    _operation(
        "updateWebhook",
        "PATCH",
        "",
        update_webhook,
        "The webhook.",
        body=schema.WebhookChanges,
        errors=error_responses(*_WRITES, *BODY_ERRORS, "not_found"),
    ),
    _operation(
        "rotateWebhookSecret",
        "POST",
        "/rotate",
        rotate_webhook_secret,
        "The webhook, with its secret; without it if it was rotated before, with this Idempotency-Key.",
        takes_key=True,
        errors=error_responses(*_WRITES, *CLAIM_ERRORS),
    ),
    _operation(
        "testWebhook",
        "POST",
        "/test",
        test_webhook,
        "The event.",
        status=202,
        repeated="It was made before, with this Idempotency-Key.",
        takes_key=True,
        errors=error_responses(*_WRITES, *CLAIM_ERRORS),
    ),
    _operation(
        "listWebhookEvents",
        "GET",
        "/events",
        list_webhook_events,
        "A page of events.",
        parameters=[
            query_parameter("state", {"type": "string", "enum": [*EventState]}),
            query_parameter("type", {"type": "string", "enum": [*EventType]}),
            query_parameter(
                "limit",
                {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": schema.MAX_LIMIT,
                    "default": schema.DEFAULT_LIMIT,
                },
            ),
            query_parameter("cursor", {"type": "string"}, "next_cursor of the previous page."),
        ],
        errors=error_responses(*_READS, "not_found", invalid_payload="a value of the query"),
    ),
    _operation(
        "replayWebhookEvents",
        "POST",
        "/replay",
        replay_webhook_events,
        "How many; they are sent from now on.",
        status=202,
        body=schema.ReplayBody,
        errors=error_responses(*_WRITES, *BODY_ERRORS, "not_found"),
    ),
    _operation("deleteWebhook", "DELETE", "", delete_webhook, "It is deleted."),
)
