"""What the OpenAPI page says about each route beyond what its code shows: bodies, queries, every status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from adapters.contract import Platform
from pipeline.api.accounts.connect import ConnectBody
from pipeline.api.openapi.error_codes import spell_out
from pipeline.api.openapi.intro import introduce
from pipeline.api.openapi.samples import add_samples
from pipeline.api.posts import response_models as answers
from pipeline.api.posts.schema import EXTERNAL_ID, PostBody
from pipeline.domain.post import PostStatus

Responses = dict[int | str, dict[str, Any]]

_ID_HEADER = {
    "X-Request-Id": {"schema": {"type": "string"}, "description": "The client's own id, or a new one."}
}
_WAIT_HEADER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
LIMIT_HEADERS = {
    f"RateLimit-{name}": {"schema": {"type": "integer"}, "description": description}
    for name, description in (
        ("Limit", "Posts a minute of this key; the three are left out where there is no limit."),
        ("Remaining", "Posts that it may send at once."),
        ("Reset", "Seconds until it may send as many as ever, or after a refusal until it may send again."),
    )
}


def says(
    model: type[BaseModel], description: str, headers: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """One documented answer."""
    return {"model": model, "description": description, "headers": {**_ID_HEADER, **(headers or {})}}


READ: Responses = {
    401: says(answers.Failure, "invalid_token: the key is missing, malformed, unknown, revoked or expired."),
    500: says(answers.Failure, "internal_error: a fault of this server."),
    503: says(answers.Failure, "unavailable: the database is away, or too much is under way.", _WAIT_HEADER),
}
_POST_ID = "$response.body#/data/id"
_STEERED: Mapping[str, Any] = {"post_ids": [_POST_ID]}
LINKS: dict[str, Any] = {
    **{
        name: {"operationId": name, "parameters": {"post_id": _POST_ID}} for name in ("getPost", "updatePost")
    },
    **{name: {"operationId": name, "requestBody": _STEERED} for name in ("retryPosts", "cancelPosts")},
    "deletePosts": {"operationId": "deletePosts", "requestBody": {"postIds": [_POST_ID]}},
}
"""What may be done with a post that was taken."""
READ_ONLY: Responses = {403: says(answers.Failure, "insufficient_scope: the key may only read.")}
BUSY: Responses = {
    429: says(answers.Failure, "rate_limited: this key has too many requests under way.", _WAIT_HEADER)
}
CREATE: Responses = {
    201: {**says(answers.ScheduledAnswer, "The post was stored.", LIMIT_HEADERS), "links": LINKS},
    200: {
        **says(
            answers.ScheduledAnswer,
            "An equal request was taken before: the original post, duplicate: true.",
            LIMIT_HEADERS,
        ),
        "links": LINKS,
    },
    400: says(
        answers.Failure,
        "invalid_json, unknown_accounts, missing_accounts, validation_failed, invalid_music_url or media_unreachable.",
    ),
    402: says(answers.Failure, "subscription_required: no active Creator, Professional or Business plan."),
    403: says(
        answers.Failure, "tier_not_allowed: the Scheduler tier; insufficient_scope: the key may only read."
    ),
    408: says(answers.Failure, "request_timeout: the body did not arrive in time."),
    409: says(answers.Failure, "create_failed: the external_id was used for another body."),
    413: says(answers.Failure, "payload_too_large."),
    415: says(answers.Failure, "unsupported_media_type: the body is not application/json in UTF-8."),
    422: says(answers.Invalid, "invalid_payload: JSON, but not this schema."),
    429: says(
        answers.Failure,
        "rate_limited: this key has sent its posts for now, or has too many requests under way.",
        {**_WAIT_HEADER, **LIMIT_HEADERS},
    ),
    **READ,
    500: says(answers.Failure, "create_failed: safe to repeat."),
}
LIST: Responses = {
    200: says(answers.PageAnswer, "A page of posts."),
    422: says(answers.Invalid, "invalid_payload: a value of the query."),
    **BUSY,
    **READ,
}
SHOW: Responses = {
    200: says(
        answers.PostAnswer,
        "The post.",
        {"ETag": {"schema": {"type": "string"}, "description": "Its version, for If-Match."}},
    ),
    404: says(answers.Failure, "not_found: not there, or not within the key's scope."),
    **BUSY,
    **READ,
}
ACCOUNTS: Responses = {200: says(answers.AccountsAnswer, "The accounts."), **BUSY, **READ}
SUBSCRIPTION: Responses = {200: says(answers.SubscriptionAnswer, "The subscription."), **READ}
CONNECT: Responses = {
    201: says(answers.ConsentAnswer, "Send the person to this address."),
    403: says(
        answers.Failure,
        "insufficient_scope: the key may only read, or is bound to accounts and was to connect others.",
    ),
    400: says(answers.Failure, "invalid_json, or validation_failed: there is no such connection."),
    404: says(answers.Failure, "not_found: no such platform, or no such account to connect again."),
    408: CREATE[408],
    409: says(answers.Failure, "account_inactive: the operator took the account out of use."),
    413: CREATE[413],
    415: CREATE[415],
    422: CREATE[422],
    **BUSY,
    **READ,
    500: says(answers.Failure, "not_configured: the message names the setting; internal_error."),
}
_PEOPLE: dict[str, Any] = {"content": {"text/html": {}}, "headers": _ID_HEADER}
CALLBACK: Responses = {
    200: {
        "description": "The accounts that were connected, or a form that asks which of them to connect.",
        **_PEOPLE,
    },
    400: {
        "description": "The answer cannot be read, is unknown or late, or the code was refused.",
        **_PEOPLE,
    },
    401: {"description": "A key was shown, and it is unknown or was revoked.", **_PEOPLE},
    403: {"description": "The person said no, a permission is missing, or somebody else began.", **_PEOPLE},
    404: {
        "description": "not_found: no such platform.",
        "headers": _ID_HEADER,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
    },
    409: {"description": "Used before, no account, or not the account to connect again.", **_PEOPLE},
    500: {"description": "A fault of this server.", **_PEOPLE},
    502: {"description": "The platform did not answer, or refused.", **_PEOPLE},
    503: {"description": "The database is away, or too much is under way.", **_PEOPLE},
}
ALIVE: Responses = {200: says(answers.AliveAnswer, "Alive.")}
READY: Responses = {
    200: says(answers.ReadinessAnswer, "The database answers; the other parts as told."),
    503: says(
        answers.Unready,
        "unavailable: the database is away, or nothing is sent: the message says why.",
        _WAIT_HEADER,
    ),
}
METRICS: Responses = {
    200: {
        "description": "Prometheus' text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}

SECURED: dict[str, Any] = {"security": [{"key": []}]}


def _query(name: str, schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


_MOMENT = {"type": "string", "format": "date-time"}
CREATE_EXTRA = {
    **SECURED,
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PostBody"}}},
    },
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": EXTERNAL_ID},
            "description": "Taken as external_id when the body has none.",
        }
    ],
}
LIST_EXTRA = {
    **SECURED,
    "parameters": [
        _query(
            "status", {"type": "string", "enum": [s.value for s in PostStatus]}, "Only posts of this status."
        ),
        _query(
            "limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}, "Posts of one page."
        ),
        _query("since", _MOMENT, "Created at or after; needs an offset, whose + may stand unescaped."),
        _query("until", _MOMENT, "Created at or before."),
        _query("cursor", {"type": "string"}, "next_cursor of the page before."),
    ],
}
SHOW_EXTRA = {
    **SECURED,
    "parameters": [
        {"name": "post_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
    ],
}
READ_EXTRA = SECURED
_PLATFORM = {
    "name": "platform",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "enum": [*Platform]},
}
CONNECT_EXTRA = {
    **SECURED,
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ConnectBody"}}},
    },
    "parameters": [_PLATFORM],
}
CALLBACK_EXTRA = {
    "parameters": [
        _PLATFORM,
        {"name": "state", "in": "query", "required": True, "schema": {"type": "string"}},
        _query("code", {"type": "string"}, "What the platform gives when the person allows it."),
        _query("error", {"type": "string"}, "What it gives instead, access_denied for one."),
    ]
}
CHOICE: Responses = {
    **CALLBACK,
    408: {"description": "The form did not arrive in time.", **_PEOPLE},
    413: {"description": "The form is too large.", **_PEOPLE},
}
CHOICE_EXTRA: dict[str, Any] = {
    "parameters": [_PLATFORM],
    "requestBody": {
        "required": True,
        "description": "The form of the page that the callback shows where several accounts were found.",
        "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
    },
}


def describe(app: FastAPI, bodies: Sequence[type[BaseModel]] = ()) -> dict[str, Any]:
    """The OpenAPI document, built once. ``bodies``: further ones that the routes read."""
    if app.openapi_schema is None:
        spec = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        components = spec.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        models: list[type[BaseModel]] = [PostBody, *bodies]
        for model in models:
            body = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update({**body.pop("$defs", {}), model.__name__: body})
        components["schemas"]["ConnectBody"] = ConnectBody.model_json_schema()
        components["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "<public id>.<secret>"}
        }
        introduce(spec)
        spell_out(spec)
        add_samples(spec)
        app.openapi_schema = spec
    return app.openapi_schema
