"""One operation of the HTTP API: its route, and what the OpenAPI document says beyond what the handler shows.

The data of a successful response is documented from the handler's return type, ``SuccessResponse[Post]`` for example.
Bodies and queries are declared here, because handlers read them after the key and the plan: the error table of the
HTTP contract fixes that order, and FastAPI would read them first.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from fastapi import FastAPI
from pydantic import BaseModel, create_model
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pipeline.api.http.envelope import SuccessResponse
from pipeline.api.http.idempotency import HEADER, MAX_LENGTH, REPLAYED
from pipeline.api.http.response_models import Success
from pipeline.api.openapi.error_responses import RATE_HEADERS, REQUEST_ID_HEADER, Responses

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
    handler: Callable[[Request], Awaitable[Response]]
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
    """Of the successful response."""
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


def bodies_of(operations: Iterable[Operation]) -> list[type[BaseModel]]:
    """Return the models of the request bodies."""
    return [operation.body for operation in operations if operation.body is not None]


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
