"""One operation of the HTTP API: its route, and what the OpenAPI document says beyond what the handler shows.

The data of a successful response is documented from the handler's return type, ``SuccessResponse[Post]`` for example.
Rights, queries and bodies are dependencies of the handler (`http/dependencies.py`): `Routes` documents them, and the
errors that they make, from its signature. What a handler reads by itself is declared where it is added.

The documented responses of errors, made of the table of error codes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from fastapi import FastAPI
from pydantic import BaseModel, create_model
from starlette.responses import JSONResponse, Response

from pipeline.api.http import dependencies
from pipeline.api.http.dependencies import HEADER, MAX_LENGTH, REPLAYED, declare, is_model, list_hints
from pipeline.api.http.envelope import SuccessResponse
from pipeline.api.http.response_models import BadRequest, Conflict, Failure, InvalidRequest, Success
from pipeline.api.http.validation import Query
from pipeline.api.openapi.codes import CODES

Responses = dict[int | str, dict[str, Any]]
"""Documented responses by status, as FastAPI takes them."""

EVERY_REQUEST = ("bad_request", "method_not_allowed", "request_timeout", "headers_too_large", "unavailable")
"""Errors of every request, whatever its address: the server decides them before a handler does."""
KEY_ERRORS = ("invalid_token",)
"""Errors of every request with a key."""
BODY_ERRORS = (
    "payload_too_large",
    "unsupported_media_type",
    "invalid_json",
    "invalid_payload",
    "rate_limited",
)
"""Errors of every request with a JSON body."""
CLAIM_ERRORS = ("idempotency_key_reused", "not_found", "invalid_payload")
"""Errors of every request that takes an Idempotency-Key; not_found: what it made was removed."""
PLAN_ERRORS = ("subscription_required", "tier_not_allowed", "insufficient_scope", "rate_limited")
"""Errors of every request that needs a plan that publishes."""

_REQUEST_ID = {"schema": {"type": "string"}, "description": "The client's own id, or a generated one."}
REQUEST_ID_HEADER: Mapping[str, Any] = {"X-Request-Id": _REQUEST_ID}
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
_ALLOW = {"Allow": {"schema": {"type": "string"}, "description": "The methods that the address takes."}}
RATE_HEADERS: Mapping[str, Any] = {
    f"RateLimit-{name}": {"schema": {"type": kind}, "description": description}
    for name, kind, description in (
        (
            "Limit",
            "integer",
            "Posts that the key may send per minute, or per day if fewer of those are left. All RateLimit headers are "
            "absent if the key has no limit. Of a 429 for requests in progress, bytes or uploads: of that limit.",
        ),
        ("Remaining", "integer", "Posts of that limit that the key may still send."),
        (
            "Reset",
            "integer",
            "Seconds until the full limit is available, or after a refusal until the request may be repeated.",
        ),
        ("Policy", "string", "Each limit of the key with its length in seconds: 6000;w=60, 100000;w=86400."),
    )
}
"""Headers of each answer to a counted request, and of each 429."""
_HEADERS: Mapping[int, Mapping[str, Any]] = {
    405: _ALLOW,
    429: {**_RETRY_AFTER, **RATE_HEADERS},
    503: _RETRY_AFTER,
}
_MODELS: Mapping[int, type[Failure]] = {400: BadRequest, 422: InvalidRequest}
_MODELS_OF_CODES: Mapping[str, type[Failure]] = {"plan_changed": Conflict, "mandate_exceeded": BadRequest}


def error_responses(*codes: str, **meanings: str) -> Responses:
    """Return the documented responses for *codes* and those of every request, by status.

    *meanings* are codes with a meaning of their own.
    """
    by_status: dict[int, dict[str, str]] = {}
    for code in dict.fromkeys((*codes, *meanings, *EVERY_REQUEST)):
        for status in CODES[code].statuses:
            by_status.setdefault(status, {})[code] = meanings.get(code, CODES[code].meaning)
    return {status: _response(status, by_status[status]) for status in sorted(by_status)}


def _response(status: int, meanings: Mapping[str, str]) -> dict[str, Any]:
    content = {
        "schema": {"properties": {"code": {"const": status}, "error_code": {"enum": [*meanings]}}},
        "examples": {code: {"value": _example(status, code)} for code in meanings},
    }
    own = [_MODELS_OF_CODES[code] for code in meanings if code in _MODELS_OF_CODES]
    return {
        "model": next(iter(own), _MODELS.get(status, Failure)),
        "description": "; ".join(f"{code}: {meaning}" for code, meaning in meanings.items()) + ".",
        "headers": {**REQUEST_ID_HEADER, **_HEADERS.get(status, {})},
        "content": {"application/json": content},
    }


def _example(status: int, code: str) -> dict[str, Any]:
    example = {"ok": False, "code": status, "message": CODES[code].example, "error_code": code}
    if code == "invalid_payload":
        example["issues"] = [{"path": "caption", "message": "It is required.", "type": "missing"}]
    return example


PARTNER_API, OPERATOR_API = "/api/partner/v1", "/api/operator/v1"
"""Base paths of the APIs."""
Parameter = Mapping[str, Any]
ETAG_HEADER: Mapping[str, Any] = {
    "ETag": {"schema": {"type": "string"}, "description": "Version of the post, for If-Match."}
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """A handler at a method and path."""

    method: str
    path: str
    handler: Callable[..., Awaitable[Response]]
    id: str
    """Operation id, and the name of the route for ``url_path_for``."""
    tag: str
    returns: str
    """Description of the successful response."""
    status: int = 200
    errors: Responses = field(default_factory=dict)
    body: type[BaseModel] | None = None
    is_body_required: bool = True
    parameters: Sequence[Parameter] = ()
    headers: Mapping[str, Any] = field(default_factory=dict)
    """Headers of the successful response."""
    is_rate_limited: bool = False
    """True if it counts against the key's rate, and answers with the RateLimit headers, refused later or not."""
    needs_key: bool = True
    repeated: str = ""
    """Description of the 200 that a repeated request gets, with the same data."""
    takes_key: bool = False
    """True if it takes an Idempotency-Key."""
    links: Mapping[str, Any] = field(default_factory=dict)
    """OpenAPI links of the successful response."""
    request_body: Mapping[str, Any] | None = None
    """Documented body that is not JSON."""
    is_documented: bool = True
    api: str = PARTNER_API
    """The API in whose document it stands."""
    responses: Responses = field(default_factory=dict)
    """Further responses."""
    response_class: type[Response] = JSONResponse
    is_stream: bool = False
    """True if its answer is written while it is sent, so that it has no tag."""

    def add_to(self, app: FastAPI) -> None:
        """Add the route to *app*, for GET with a HEAD, which the server answers without the body."""
        head = f"{self.id}Head"
        if self.is_documented:  # the parameters of others are not declared
            app.state.query_names |= dict.fromkeys((self.id, head), self.query_names)
        if self.method == "GET":
            app.add_api_route(
                self.path,
                self.handler,
                methods=["HEAD"],
                name=head,
                response_model=None,
                include_in_schema=False,
            )
        app.add_api_route(
            self.path,
            self.handler,
            methods=[self.method],
            name=self.id,
            operation_id=self.id,
            tags=[self.tag],
            summary=(inspect.getdoc(self.handler) or "").partition(". ")[0].splitlines()[0].rstrip("."),
            status_code=self.status,
            response_model=success_model(self.handler) if self.is_documented else None,
            response_class=self.response_class,
            response_description=self.returns,
            responses=self._responses(),
            openapi_extra=self._extra(),
            include_in_schema=self.is_documented,
        )

    @property
    def is_conditional(self) -> bool:
        """Return True if it is a read that a key makes, which answers 304 to the tag of what it would return."""
        return self.method == "GET" and self.needs_key and not self.is_stream

    @property
    def query_names(self) -> frozenset[str]:
        """The names of its query parameters."""
        return frozenset(p["name"] for p in self.parameters if p["in"] == "query")

    def _responses(self) -> Responses:
        rate_headers = RATE_HEADERS if self.is_rate_limited else {}
        success: dict[str, Any] = {"headers": {**REQUEST_ID_HEADER, **self.headers, **rate_headers}}
        if self.takes_key:
            success["headers"] |= _REPLAYED_HEADER
        if self.links:
            success["links"] = self.links
        responses: Responses = {self.status: success}
        if self.repeated:
            model = success_model(self.handler)
            responses[200] = {"model": model, "description": self.repeated, **success}
        if self.is_conditional:
            success["headers"] = {**_ANY_ETAG, **success["headers"]}
            responses[304] = {"description": "The client has this answer already (If-None-Match)."}
        return {**responses, **self.errors, **self.responses}

    def _extra(self) -> dict[str, Any]:
        extra: dict[str, Any] = {"security": [{"key": []}] if self.needs_key else []}
        headers = [_IF_NONE_MATCH] * self.is_conditional + [_IDEMPOTENCY_KEY] * self.takes_key
        if self.parameters or headers:
            extra["parameters"] = [*self.parameters, *headers]
        if self.request_body is not None:
            extra["requestBody"] = self.request_body
        if self.body is not None:
            schema = {"$ref": f"#/components/schemas/{self.body.__name__}"}
            content = {"application/json": {"schema": schema}}
            extra["requestBody"] = {"required": self.is_body_required, "content": content}
        return extra


def success_model(handler: Callable[..., Any]) -> type[BaseModel] | None:
    """Return the envelope around the data that *handler* declares, or None if it declares none."""
    returned = get_type_hints(handler)["return"]
    for hint in (returned, *get_args(returned)):
        if get_origin(hint) is SuccessResponse:
            return _envelope(get_args(hint)[0])
    return None


@cache
def _envelope(data: Any) -> type[BaseModel]:
    """Return ``Success[data]`` under a name that suits a generated client: ``PostResponse`` for ``Post``.

    *data* is a response model, or a named alias of several.
    """
    return create_model(f"{data.__name__}Response", __base__=Success[data])


def path_parameter(name: str, schema: Mapping[str, Any]) -> Parameter:
    """Return a documented part of the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def query_parameter(
    name: str, schema: Mapping[str, Any], description: str = "", *, required: bool = False
) -> Parameter:
    """Return a documented query parameter; an optional one may be empty, which is the same as absent."""
    found = {"name": name, "in": "query", "required": required, "schema": schema, "description": description}
    return found if required else {**found, "allowEmptyValue": True}


def header_parameter(name: str, schema: Mapping[str, Any], description: str = "") -> Parameter:
    """Return a documented optional request header."""
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": description}


_ANY_ETAG: Mapping[str, Any] = {
    "ETag": {"schema": {"type": "string"}, "description": "Tag of the answer, for If-None-Match."}
}
_IF_NONE_MATCH = header_parameter("If-None-Match", {"type": "string"}, "ETag of an earlier answer.")
_IDEMPOTENCY_KEY = header_parameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "pattern": "^[ -~]+$"},
    "The same key and request within a day: what the first request made. Printable ASCII.",
)
_REPLAYED_HEADER: Mapping[str, Any] = {
    name: {
        "schema": {"type": "string", "enum": [value]},
        "description": "Present if an equal request came before.",
    }
    for name, value in REPLAYED.items()
}

# --- operations of signatures ----------------------------------------------------------------------------------------

_READS = ("rate_limited", "internal_error", *KEY_ERRORS)
_RIGHTS: Mapping[Any, Sequence[str]] = {
    dependencies.Reader: _READS,
    dependencies.Writer: (*_READS, "insufficient_scope"),
    dependencies.Publisher: (*_READS, "insufficient_scope", *PLAN_ERRORS),
    dependencies.PrincipalReader: ("internal_error", *KEY_ERRORS),
    dependencies.PrincipalWriter: (*_READS, "insufficient_scope"),
    dependencies.PrincipalPublisher: (*_READS, "insufficient_scope", *PLAN_ERRORS),
    dependencies.RawBody: BODY_ERRORS,
    dependencies.Claim: CLAIM_ERRORS,
}
"""The errors of what a handler takes."""
HandlerT = TypeVar("HandlerT", bound=Callable[..., Awaitable[Response]])


@dataclass(frozen=True, kw_only=True, slots=True)
class Routes:
    """The operations of one group, each documented from the signature of its handler."""

    tag: str
    path: str
    api: str = PARTNER_API
    base: str | None = None
    """Where the paths begin, if it is not where those of the API do."""
    operations: list[Operation] = field(default_factory=list)

    def __iter__(self) -> Iterator[Operation]:
        """Yield the operations."""
        return iter(self.operations)

    def add(
        self,
        method: str,
        path: str,
        returns: str,
        *codes: str,
        meanings: Mapping[str, str] = {},
        **more: Any,
    ) -> Callable[[HandlerT], HandlerT]:
        """Add the handler at *path* below the group's. *codes* and *meanings* are as of `error_responses`."""

        def register(handler: HandlerT) -> HandlerT:
            path_ = f"{self.api if self.base is None else self.base}{self.path}{path}"
            facts = {**_read_signature(handler, path_, codes, meanings), **more}
            self.operations.append(
                Operation(
                    method=method,
                    path=path_,
                    handler=handler,
                    tag=self.tag,
                    api=self.api,
                    returns=returns,
                    **facts,
                )
            )
            return handler

        return register


def _read_signature(
    handler: Callable[..., Any], path: str, codes: Sequence[str], meanings: Mapping[str, str]
) -> dict[str, Any]:
    """Return the fields of an operation that its handler's signature says, and let FastAPI solve its dependencies."""
    hints = [*list_hints(handler)]
    models = [hint for hint in hints if is_model(hint)]
    query = next((model for model in models if issubclass(model, Query)), None)
    body = next((model for model in models if model is not query), None)
    names = re.findall(r"{(\w+)", path)
    declare(handler)
    errors = error_responses(
        *codes,
        *(code for hint in hints for code in _RIGHTS.get(hint, ())),
        *(BODY_ERRORS if body else ()),
        *(["not_found"] if names else ()),
        **{**({"invalid_payload": "a value of the query"} if query else {}), **meanings},
    )
    first, *rest = handler.__name__.split("_")
    return {
        "id": first + "".join(map(str.capitalize, rest)),
        "body": body,
        "errors": errors,
        "takes_key": dependencies.Claim in hints,
        "is_rate_limited": dependencies.Charge in hints,
        "parameters": [
            *(path_parameter(name, {"type": "string", "format": "uuid"}) for name in names),
            *(list_parameters(query) if query else ()),
        ],
    }


def list_parameters(query: type[Query]) -> Iterator[Parameter]:
    """Yield the parameters of a query from the model that reads them."""
    for name, part in query.model_json_schema()["properties"].items():
        schema = {
            key: value
            for key, value in part.get("anyOf", [part])[0].items()
            if key not in ("title", "description") and value is not None and value is not False
        }
        yield query_parameter(name, schema, part.get("description", ""))
