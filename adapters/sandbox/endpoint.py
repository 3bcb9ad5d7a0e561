"""Endpoints of the fake platforms: authentication, fault injection, and a commit to disk before the response."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web

from adapters.sandbox.dialect import Refused, proxy_response
from adapters.sandbox.faults import AFTER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.dialect import Dialect
    from adapters.sandbox.store import LivePost, Record

Limit: TypeAlias = tuple[str, int, float | str, str]
"""Name of the window, requests, its span as of `RateWindows`, and row of the error."""

_RETRY_AFTER_S = 60
_DELETED = "deleted"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with timeout 0: close sends RST, not FIN
_ERRORS = {
    "5xx": "server_error",
    "token-expired": "expired",
    "token-revoked": "revoked",
    "spam-block": "spam_blocked",
}
"""Rows of the dialect that respond under a fault; without a row `spam_blocked`, that fault has no effect."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row of a platform's table of endpoints."""

    method: str
    """Several methods are separated by spaces."""
    path: str
    step: str | Callable[[Call], str]
    """The step by which faults address this endpoint; a function where the request decides."""
    handle: Callable[..., Awaitable[web.Response]]
    """Return the response to a call, and to its account where the endpoint authenticates."""
    quota: str | Callable[[Call], web.Response] | None = None
    """Row of the dialect that responds under the fault `quota-exhausted`, or a function; None: it has no effect."""
    owner: Callable[[Call], Record | None] | None = None
    """Return the account of a request that carries no access token, to match faults of one account."""
    dialect: Dialect | None = None
    """None: that of the table."""
    is_streamed: bool = False
    """The handler reads the body as a stream; otherwise it is read before."""
    authenticate: Callable[[Call], Record] | None = None
    """Return the account of the request's token; raises Refused."""
    also_faults_of: tuple[str, ...] = ()
    """Other platforms whose faults apply here too."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route of one platform."""

    route: Route
    platform: str
    dialect: Dialect

    async def serve(self, context: SandboxContext, request: web.Request) -> web.Response:
        """Handle one request: apply faults, call the handler, commit, respond."""
        call = Call(context=context, endpoint=self, request=request)
        if request.body_exists and not self.route.is_streamed:
            call.body = await request.read()
        try:
            if context.faults.is_active:
                await self._apply_faults_before(call)
            accounts = () if self.route.authenticate is None else (self.route.authenticate(call),)
            response = await self.route.handle(call, *accounts)
        except Refused as refusal:
            await context.commit()
            return refusal.response
        await context.commit()
        return self._apply_faults_after(call, response) if call.faults else response

    async def _apply_faults_before(self, call: Call) -> None:
        """Raise Refused if a fault responds in place of the handler; sleep for `latency`."""
        route, owner = self.route, call.account
        step = route.step if isinstance(route.step, str) else route.step(call)
        remote_id = None if owner is None else owner["remote_id"]
        platforms = (self.platform, *route.also_faults_of)
        call.faults = call.context.faults.find_matching(platforms, step, remote_id)
        for fault in list(call.faults):
            if fault["left"] == 0:  # spent by another request during this one's latency
                continue
            response = self._fault_response(call, fault, fault["fault"])
            if response is not None:
                call.context.faults.spend(fault)
                raise Refused(response)
            if fault["fault"] == "latency":
                call.context.faults.spend(fault)
                await asyncio.sleep(fault["delay_ms"] / 1000)

    def _fault_response(self, call: Call, fault: Record, kind: str) -> web.Response | None:
        match kind:
            case "429":
                return self.dialect.respond("rate_limited", wait=fault["retry_after"] or _RETRY_AFTER_S)
            case "drop":
                return reset_connection(call.request)
            case "answer":
                return proxy_response(fault["status"], fault["body"])
            case "quota-exhausted" if self.route.quota is not None:
                quota = self.route.quota
                return self.dialect.respond(quota) if isinstance(quota, str) else quota(call)
            case "spam-block" if "spam_blocked" not in self.dialect.rows:
                return None
            case "garbage":
                return web.Response(body=b'<html>\x00{"data":{"publish', content_type="text/html")
            case _:
                return self.dialect.respond(_ERRORS[kind]) if kind in _ERRORS else None

    def _apply_faults_after(self, call: Call, response: web.Response) -> web.Response:
        for fault in call.faults:
            if fault["fault"] in AFTER and fault["left"] != 0:
                call.context.faults.spend(fault)
                return (
                    self._fault_response(call, fault, fault["fault"].removeprefix("effect-then-")) or response
                )
        return response


@dataclass(slots=True, kw_only=True)
class Call:
    """One request and the faults that match it."""

    context: SandboxContext
    endpoint: Endpoint
    request: web.Request
    body: bytes = b""
    faults: list[Record] = field(default_factory=list)
    parameters: Record | None = None
    """Query and body as one mapping, once parsed."""

    @property
    def account(self) -> Record | None:
        """The account of the token, even if expired or revoked; None if the token is unknown."""
        if self.endpoint.route.owner is not None:
            return self.endpoint.route.owner(self)
        return self.find_token_owner(self.find_token())

    def find_token(self) -> Record | None:
        """Return the record of the request's token, or None."""
        text = self.endpoint.dialect.read_token(self)
        return None if text is None else self.context.accounts.find_token(self.endpoint.platform, text)

    def find_token_owner(self, token: Record | None) -> Record | None:
        """Return the account of a token's record, or None."""
        return None if token is None else self.context.accounts.find(token["platform"], token["remote_id"])

    def authenticate(self, *scopes: str) -> Record:
        """Return the account of a valid token with one of `scopes`; raises Refused."""
        dialect, accounts = self.endpoint.dialect, self.context.accounts
        token = self.find_token()
        if token is None or token["role"] not in ("access", "short"):
            raise dialect.refuse("unknown_token")
        if (state := accounts.get_token_state(token)) != "valid":
            raise dialect.refuse(state)
        account = self.find_token_owner(token)
        if account is None:
            raise dialect.refuse("unknown_token")
        if scopes and not any(scope in accounts.list_granted_scopes(token, account) for scope in scopes):
            raise dialect.refuse("missing_scope", scope=scopes[0])
        accounts.use_token(str(dialect.read_token(self)), token)
        return account

    def json(self, schema: str | None = None, *place: str) -> Record:
        """Return the body as a JSON object, {} if empty; raises Refused, also where it breaks the schema."""
        try:
            body = json.loads(self.body or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self.endpoint.dialect.refuse("malformed")
        if schema is not None:
            self.endpoint.dialect.check_types(schema, body, *place)
        return body

    def check_limit(self, limit: Limit, owner: str) -> None:
        """Raise Refused if the owner has reached a limit of the table."""
        name, most, span, error = limit
        if self.context.rate_windows.is_full(f"{name}:{owner}", most, span):
            raise self.endpoint.dialect.refuse(error)

    def count(self, limit: Limit, owner: str) -> None:
        """Count a request against a limit of the table; raise Refused if the owner has reached it."""
        self.check_limit(limit, owner)
        self.context.rate_windows.add(f"{limit[0]}:{owner}", limit[2])

    def read_number(self, name: str, default: int, error: str) -> int:
        """Return a whole number of the query, `default` if it is absent; raises Refused with the row `error`."""
        text = self.request.query.get(name)
        if text is None:
            return default
        if not text.isdecimal():
            raise self.endpoint.dialect.refuse(error, name=name)
        return int(text)

    def create(self, kind: str, key: str, account: Record, /, **fields: Any) -> Record:
        """Create and store a record of an account, with the fields that faults add."""
        record: Record = {"key": key, "account": account["remote_id"], "created": self.context.clock.now()}
        record |= {**fields, **self.take_processing_faults()}
        return self.save(kind, record)

    def save(self, kind: str, record: Record, /, **changes: Any) -> Record:
        """Change and store a record, and return it."""
        record |= changes
        self.context.store.put(kind, record["key"], record)
        return record

    async def start_processing(self, kind: str, record: Record, /, **changes: Any) -> None:
        """Change and store a record, and start to process it."""
        await self.context.processing.start(kind, self.save(kind, record, **changes))

    def find_own(self, kind: str, key: str, account: Record) -> Record | None:
        """Return the record of that kind and key if it belongs to `account`, else None."""
        record = self.context.store.get(kind, key)
        return record if record is not None and record["account"] == account["remote_id"] else None

    def get_own(self, kind: str, key: object, account: Record, error: str, /, **values: object) -> Record:
        """Return the record of that kind and key. Raises Refused with the row `error` unless it is the account's."""
        record = self.find_own(kind, str(key), account)
        if record is None:
            raise self.endpoint.dialect.refuse(error, **values)
        return record

    def list_own(self, kind: str, account: Record) -> list[Record]:
        """Return the account's records of a kind, oldest first."""
        records = self.context.store.get_all(kind).values()
        return [record for record in records if record["account"] == account["remote_id"]]

    def find_record_owner(self, record: Record | None) -> Record | None:
        """Return the account of a record, to match the faults of a request without a token."""
        accounts = self.context.accounts
        return None if record is None else accounts.find(self.endpoint.platform, record["account"])

    def is_visible(self, live: LivePost) -> bool:
        """Return whether listings and reads show the post now."""
        is_deleted = self.context.store.get(_DELETED, f"{self.endpoint.platform}:{live.entry['remote_id']}")
        return is_deleted is None and live.visible_at <= self.context.clock.now()

    def find_live(self, remote_id: str) -> LivePost | None:
        """Return the live post of that id if reads show it now; a matching fault `late-visibility` hides it."""
        live = self.context.ledger.find(self.endpoint.platform, remote_id)
        is_hidden = (
            live is None or not self.is_visible(live) or self.take_fault("late-visibility") is not None
        )
        return None if is_hidden else live

    def delete_live(self, live: LivePost) -> None:
        """Hide a post from listings and reads; its line in the ledger stays."""
        key = f"{self.endpoint.platform}:{live.entry['remote_id']}"
        self.context.store.put(_DELETED, key, {"key": key})

    def list_live(self, account_id: str) -> list[LivePost]:
        """Return the posts of an account that listings show now, newest first."""
        posts = self.context.ledger.list_for(self.endpoint.platform, account_id)
        return [live for live in reversed(posts) if self.is_visible(live)]

    def take_fault(self, fault: str) -> Record | None:
        """Spend one use of a matching fault of the `WITHIN` kind and return it; None if there is none."""
        for record in self.faults:
            if record["fault"] == fault and record["left"] != 0:
                self.context.faults.spend(record)
                return record
        return None

    def take_visibility_delay(self) -> float:
        """Return the seconds by which `late-visibility` delays a post in listings; 0 without that fault."""
        fault = self.take_fault("late-visibility")
        return 0.0 if fault is None else fault["delay_ms"] / 1000

    def take_processing_faults(self) -> Record:
        """Return the fields that faults add to a new record: `stuck` (fault id), `fail_reason`, `late` (seconds)."""
        if not self.faults:
            return {}
        fields: Record = {}
        if (stuck := self.take_fault("stuck-processing")) is not None:
            fields["stuck"] = stuck["id"]
        if (failing := self.take_fault("fail-processing")) is not None:
            fields["fail_reason"] = failing["reason"]
        if late := self.take_visibility_delay():
            fields["late"] = late
        return fields


def read_routes(rows: Iterable[Any], **modules: object) -> list[Route]:
    """Return the rows of a table's `routes`: method, path, step, handler, and the rest of `Route` by name.

    `modules` hold what the rows name, such as `api.read_user`; a part that names something is a list, in which the
    further arguments of the function may follow.
    """

    def resolve(part: Any) -> Any:
        if not isinstance(part, tuple):
            return part
        module, _, name = part[0].rpartition(".")
        named = getattr(modules[module], name)
        return named if len(part) == 1 else lambda call, *account: named(call, *account, *part[1:])

    return [
        Route(
            method,
            path,
            resolve(step),
            resolve(handler if isinstance(handler, tuple) else (handler,)),
            **{k: resolve(v) for k, v in rest.items()},
        )
        for method, path, step, handler, rest in ((*row, {})[:5] for row in rows)
    ]


def mount_routes(
    app: web.Application, context: SandboxContext, platform: str, dialect: Dialect, routes: Iterable[Route]
) -> None:
    """Serve a platform's table of endpoints."""
    for route in routes:
        for method in route.method.split():
            _mount(app, context, method, Endpoint(route, platform, route.dialect or dialect))


def _mount(app: web.Application, context: SandboxContext, method: str, endpoint: Endpoint) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await endpoint.serve(context, request)

    app.router.add_route(method, endpoint.route.path, answer)


def get_no_owner(_: Call) -> Record | None:
    """Return None: the request belongs to no account."""
    return None


def reset_connection(request: web.Request) -> web.Response:
    """Reset the connection with a TCP RST. The returned response is never sent."""
    transport = request.transport
    if transport is not None:
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    return web.Response(status=500)
