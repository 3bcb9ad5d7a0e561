"""Arguments of handlers, as FastAPI's dependencies: a key's rights, ids, the query, the JSON body, an Idempotency-Key.

They are solved in the order of the handler's parameters, and each refuses: with rights first, nothing of a request is
read before its key may make it. All are coroutines: FastAPI would run others on threads of its own, past the bulkheads.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, TypeVar, get_type_hints
from uuid import UUID

from fastapi import Depends, params
from pydantic_core import to_jsonable_python
from starlette.requests import Request

from pipeline.api.http.auth import require_right
from pipeline.api.http.envelope import HttpRefusal, SuccessResponse, refuse_unknown, success
from pipeline.api.http.request import get_header, read_body, require_json
from pipeline.api.http.response_models import DataT
from pipeline.api.http.validation import Body, Query, build_invalid_payload, validate_body
from pipeline.api.state import AppState, get_app_state
from pipeline.domain import strict_json
from pipeline.domain.audit import OPERATOR_TOKEN, Actor
from pipeline.domain.explanation_action import Right
from pipeline.domain.validation_issue import build_issue
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.ownership import OPERATOR, Scope
from pipeline.store.idempotency_keys import IdempotencyKey

T = TypeVar("T")
UUID_LENGTH = 36
"""With hyphens; ``UUID()`` itself also accepts braces and urn:uuid:."""

# --- rights ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request whose key may make it: who calls, and where the work of the request runs."""

    request: Request
    app_state: AppState
    caller: Caller

    async def read(self, work: Callable[..., T], *arguments: Any, **more: Any) -> T:
        """Return what *work* reads with a connection, on the threads of reads."""
        run = partial(self.app_state.transact, work, *arguments, **more)
        return await self.app_state.read_bulkhead.run(run, self.caller.key_id)

    async def act(self, work: Callable[..., T], *arguments: Any, **more: Any) -> T:
        """Run an action of the caller, which opens its own transactions, on the threads of actions."""
        run = partial(work, self.app_state.context, self.caller, *arguments, **more)
        return await self.app_state.action_bulkhead.run(run, self.caller.key_id)


def _authenticate(right: Right) -> Callable[[Request], Awaitable[Call]]:
    async def authenticate(request: Request) -> Call:
        """Return the call of a key with the right. Raises Refusal 401, 402 and 403."""
        app_state = get_app_state(request)
        request.state.caller = await app_state.authenticator.authenticate(request, right)
        return Call(request=request, app_state=app_state, caller=request.state.caller)

    return authenticate


authenticate_reader = _authenticate(Right.READ)
authenticate_writer = _authenticate(Right.WRITE)
authenticate_publisher = _authenticate(Right.PUBLISH)
Reader = Annotated[Call, Depends(authenticate_reader)]
Writer = Annotated[Call, Depends(authenticate_writer)]
Publisher = Annotated[Call, Depends(authenticate_publisher)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """The authenticated party of the operator API. ``caller`` None: the operator, who reaches all workspaces."""

    app_state: AppState
    scope: Scope
    actor: Actor
    caller: Caller | None = None

    @property
    def key_id(self) -> UUID | None:
        """The key; None: the operator."""
        return None if self.caller is None else self.caller.key_id

    async def read(self, work: Callable[..., T], *arguments: Any) -> T:
        """Return what *work* reads with a connection, on the threads of reads."""
        return await self.app_state.read_bulkhead.run(partial(self.app_state.transact, work, *arguments))

    async def charge(self, request: Request, count: int) -> None:
        """Count *count* dead letters against the key's limits. Raises Refusal 429; never the operator."""
        if self.caller is not None:
            await self.app_state.charge_rate_limit(request, self.caller, count)


async def _find_principal(request: Request) -> Principal:
    """Return the party behind the request's token. Raises Refusal 401, and Unreachable."""
    app_state = get_app_state(request)
    locate = partial(app_state.authenticator.locate, request=request)
    if _is_operator(request, app_state.context.settings.api.operator_token.get_secret_value()):
        request.state.caller = None
        return Principal(app_state=app_state, scope=OPERATOR, actor=locate(OPERATOR_TOKEN))
    caller = await app_state.authenticator.authenticate(request)
    request.state.caller = caller
    scope, actor = Scope(workspace=caller.workspace_id, accounts=caller.accounts), caller.require_actor()
    return Principal(app_state=app_state, scope=scope, actor=locate(actor), caller=caller)


def _is_operator(request: Request, token: str) -> bool:
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    is_equal = hmac.compare_digest(shown.strip().encode("utf-8", "replace"), token.encode())
    return bool(token) and is_equal and scheme.lower() == "bearer"


def _authenticate_principal(right: Right) -> Callable[[Request], Awaitable[Principal]]:
    async def authenticate(request: Request) -> Principal:
        """Return the operator, or a key with the right. Raises Refusal 401, 402 and 403."""
        principal = await _find_principal(request)
        if principal.caller is not None:
            require_right(principal.caller, right)
        return principal

    return authenticate


PrincipalReader = Annotated[Principal, Depends(_authenticate_principal(Right.READ))]
PrincipalWriter = Annotated[Principal, Depends(_authenticate_principal(Right.WRITE))]
PrincipalPublisher = Annotated[Principal, Depends(_authenticate_principal(Right.PUBLISH))]

# --- ids -------------------------------------------------------------------------------------------------


def parse_id(text: str) -> UUID | None:
    """Return the id, or None if *text* is not a UUID with hyphens."""
    try:
        return UUID(text) if len(text) == UUID_LENGTH else None
    except ValueError:
        return None


def path_id(name: str, what: str) -> Any:
    """Return the dependency of the id of *what* in the path; a text that is no id is refused like an unknown one."""

    async def read(request: Request) -> UUID:
        identity = parse_id(request.path_params[name])
        if identity is None:
            raise refuse_unknown(what)
        return identity

    return Depends(read)


# --- bodies ----------------------------------------------------------------------------------------------------------


async def _read_raw(request: Request) -> bytes:
    caller: Caller | None = request.state.caller
    return await read_json_body(request, caller.key_id if caller else None)


RawBody = Annotated[bytes, Depends(_read_raw)]
"""A JSON body before it is parsed; it stands after the right."""


async def _charge(request: Request) -> None:
    await get_app_state(request).charge_rate_limit(request, request.state.caller)


Charge = Annotated[None, Depends(_charge)]
"""One post counts against the key's limits, whatever becomes of it; it stands where the request may be refused 429."""


async def read_json_body(request: Request, key: UUID | None, max_size: int | None = None) -> bytes:
    """Return the body before it is parsed. Raises Refusal 408, 413, 415, and 429 or 503 as ``BodyBudget`` does.

    *key*: the id of the request's API key, None for the operator. *max_size*: bytes, by default the setting's.
    """
    app_state = get_app_state(request)
    reservation = app_state.body_budget.open(request.scope, key)
    raw = await read_body(request, max_size or app_state.context.settings.api.max_body, reservation)
    require_json(request, raw)
    return raw


def parse_json(raw: bytes, parts: int = strict_json.PARTS) -> Any:
    """Return the parsed body, of at most *parts* brackets, braces and commas. Raises Refusal 400."""
    try:
        return strict_json.parse(raw, parts)
    except strict_json.InvalidJson as error:
        raise HttpRefusal(400, "invalid_json", str(error)) from None


def parse_json_or_empty(raw: bytes) -> Any:
    """Return the parsed body; an empty one is an object without keys, refused for the keys it lacks."""
    return parse_json(raw) if raw else {}


# --- idempotency keys ------------------------------------------------------------------------------------------------

HEADER = "Idempotency-Key"
MAX_LENGTH = 255
REPLAYED = {"Idempotency-Replayed": "true"}
"""Header of the answer to a replay."""
_PRINTABLE = re.compile(f"[ -~]{{1,{MAX_LENGTH}}}")


def read_idempotency_key(request: Request, caller: Caller, *asked: Any) -> IdempotencyKey | None:
    """Return the request's key. *asked*: what must be the same in a replay, with the path. Raises Refusal 422."""
    value = get_header(request, HEADER.lower().encode())
    if value is None:
        return None
    if not _PRINTABLE.fullmatch(value):
        message = f"It is 1 to {MAX_LENGTH} printable ASCII characters; this one has {len(value)} characters."
        raise build_invalid_payload([build_issue((HEADER,), message, "value_error", value)])
    whole = json.dumps([request.path_params, *asked], sort_keys=True, default=to_jsonable_python)
    return IdempotencyKey(
        key_id=caller.key_id,
        operation=request.scope["route"].name,
        value=value,
        request_sha256=hashlib.sha256(whole.encode()).digest(),
    )


async def _claim(request: Request) -> IdempotencyKey | None:
    body = getattr(request.state, "body", None)
    return read_idempotency_key(request, request.state.caller, *([] if body is None else [body]))


Claim = Annotated[IdempotencyKey | None, Depends(_claim)]
"""The key of a request whose path and body must be the same in a replay; it stands after the body."""


def replayed(message: str, found: DataT) -> SuccessResponse[DataT]:
    """Return the answer to a replay: what the first request made, without its secret."""
    return success(message, found, headers=REPLAYED)


def require_kept(found: T | None) -> T:
    """Return the resource of a replay. Raises Refusal 404 if it was removed since."""
    if found is None:
        message = (
            f"What the request with this {HEADER} made was removed since. Use a new key to make another."
        )
        raise HttpRefusal(404, "not_found", message)
    return found


# --- signatures ------------------------------------------------------------------------------------------------------


@cache
def _reader_of(model: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """Return the dependency that reads a model: a `Query` from the query string, else the JSON body."""

    async def read(request: Request) -> Body:
        if issubclass(model, Query):
            return model.read(request.scope["query_string"])
        request.state.body = validate_body(model, parse_json_or_empty(await _read_raw(request)))
        return request.state.body  # type: ignore[no-any-return]

    return read


def list_hints(handler: Callable[..., Any]) -> Iterator[Any]:
    """Yield the types of a handler's parameters, and those of the dependencies among them."""
    for name, hint in get_type_hints(handler, include_extras=True).items():
        if name != "return":
            yield hint
            for found in getattr(hint, "__metadata__", ()):
                if isinstance(found, params.Depends) and found.dependency is not None:
                    yield from list_hints(found.dependency)


def declare(handler: Callable[..., Any]) -> None:
    """Tell FastAPI how to read the models among the handler's parameters: a model is a dependency by its type."""
    hints = get_type_hints(handler, include_extras=True)
    parameters = [
        parameter.replace(annotation=_to_dependency(hints[name]))
        for name, parameter in inspect.signature(handler).parameters.items()
    ]
    handler.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]


def is_model(hint: Any) -> bool:
    """Return True for the model of a query or a body."""
    return isinstance(hint, type) and issubclass(hint, Body)


def _to_dependency(hint: Any) -> Any:
    return Annotated[hint, Depends(_reader_of(hint))] if is_model(hint) else hint
