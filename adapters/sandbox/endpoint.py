"""Endpoints of the fake platforms: authentication, fault injection, and a commit to disk before the response."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web

from adapters.sandbox.faults import AFTER
from adapters.sandbox.responses import Refused, proxy_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.ledger import LivePost
    from adapters.sandbox.store import Record

_RETRY_AFTER_S = 60
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with timeout 0: close sends RST, not FIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The error responses of one platform."""

    read_token: Callable[[Call], str | None]
    """Return the access token of a request, or None."""
    unknown_token: Callable[[], web.Response]
    expired: Callable[[], web.Response]
    revoked: Callable[[], web.Response]
    missing_scope: Callable[[str], web.Response]
    rate_limited: Callable[[int], web.Response]
    """Takes the seconds to wait."""
    server_error: Callable[[], web.Response]
    malformed: Callable[[], web.Response]
    """Response to a body that cannot be parsed."""
    spam_blocked: Callable[[], web.Response] | None = None
    """Response under the fault `spam-block`; None: the fault has no effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The handler of one method and path, with its step, dialect and faults."""

    platform: str
    step: str | Callable[[Call], str]
    """The step by which faults address this endpoint; a function where the request decides."""
    handle: Callable[[Call], Awaitable[web.Response]]
    dialect: Dialect
    quota_exhausted: Callable[[Call], web.Response] | None = None
    """Response under the fault `quota-exhausted`; None: the fault has no effect."""
    owner: Callable[[Call], Record | None] | None = None
    """Return the account of a request that carries no access token, to match faults of one account."""
    is_streamed: bool = False
    """The handler reads the body as a stream; otherwise it is read before."""
    also_faults_of: tuple[str, ...] = ()
    """Other platforms whose faults apply here too."""

    async def serve(self, context: SandboxContext, request: web.Request) -> web.Response:
        """Handle one request: apply faults, call the handler, commit, respond."""
        call = Call(context=context, endpoint=self, request=request)
        if request.body_exists and not self.is_streamed:
            call.body = await request.read()
        try:
            if context.faults.is_active:
                await self._apply_faults_before(call)
            response = await self.handle(call)
        except Refused as refusal:
            await context.commit()
            return refusal.response
        await context.commit()
        return self._apply_faults_after(call, response) if call.faults else response

    async def _apply_faults_before(self, call: Call) -> None:
        """Raise Refused if a fault responds in place of the handler; sleep for `latency`."""
        step = self.step if isinstance(self.step, str) else self.step(call)
        owner = call.account
        remote_id = None if owner is None else owner["remote_id"]
        call.faults = call.context.faults.find_matching(
            (self.platform, *self.also_faults_of), step, remote_id
        )
        for fault in list(call.faults):
            if fault["left"] == 0:  # spent by another request during this one's latency
                continue
            response = self._fault_response(call, fault)
            if response is not None:
                call.context.faults.spend(fault)
                raise Refused(response)
            if fault["fault"] == "latency":
                call.context.faults.spend(fault)
                await asyncio.sleep(fault["delay_ms"] / 1000)

    def _fault_response(self, call: Call, fault: Record) -> web.Response | None:
        dialect = self.dialect
        match fault["fault"]:
            case "429":
                return dialect.rate_limited(fault["retry_after"] or _RETRY_AFTER_S)
            case "5xx":
                return dialect.server_error()
            case "drop":
                return reset_connection(call.request)
            case "answer":
                return proxy_response(fault["status"], fault["body"])
            case "token-expired":
                return dialect.expired()
            case "token-revoked":
                return dialect.revoked()
            case "quota-exhausted" if self.quota_exhausted is not None:
                return self.quota_exhausted(call)
            case "spam-block" if dialect.spam_blocked is not None:
                return dialect.spam_blocked()
            case _:
                return None

    def _apply_faults_after(self, call: Call, response: web.Response) -> web.Response:
        for fault in call.faults:
            if fault["fault"] not in AFTER or fault["left"] == 0:
                continue
            call.context.faults.spend(fault)
            if fault["fault"] == "effect-then-5xx":
                return self.dialect.server_error()
            if fault["fault"] == "effect-then-drop":
                return reset_connection(call.request)
            if fault["fault"] == "effect-then-answer":
                return proxy_response(fault["status"], fault["body"])
            return web.Response(body=b'<html>\x00{"data":{"publish', content_type="text/html")
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
        if self.endpoint.owner is not None:
            return self.endpoint.owner(self)
        text = self.endpoint.dialect.read_token(self)
        token = None if text is None else self.context.accounts.find_token(self.endpoint.platform, text)
        return None if token is None else self.context.accounts.find(token["platform"], token["remote_id"])

    def authenticate(self, *scopes: str) -> Record:
        """Return the account of a valid token with one of `scopes`; raises Refused."""
        dialect, accounts = self.endpoint.dialect, self.context.accounts
        text = dialect.read_token(self)
        token = None if text is None else accounts.find_token(self.endpoint.platform, text)
        if text is None or token is None or token["role"] not in ("access", "short"):
            raise Refused(dialect.unknown_token())
        state = accounts.get_token_state(token)
        if state != "valid":
            raise Refused(dialect.expired() if state == "expired" else dialect.revoked())
        account = accounts.find(token["platform"], token["remote_id"])
        if account is None:
            raise Refused(dialect.unknown_token())
        if scopes and not any(scope in accounts.list_granted_scopes(token, account) for scope in scopes):
            raise Refused(dialect.missing_scope(scopes[0]))
        accounts.use_token(text, token)
        return account

    def json(self) -> Record:
        """Return the body as a JSON object, {} if empty; raises Refused."""
        if not self.body:
            return {}
        try:
            body = json.loads(self.body)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Refused(self.endpoint.dialect.malformed())
        return body

    def find_own(self, kind: str, key: str, account: Record) -> Record | None:
        """Return the record of that kind and key if it belongs to `account`, else None."""
        record = self.context.store.get(kind, key)
        return record if record is not None and record["account"] == account["remote_id"] else None

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
        return live.visible_at <= self.context.clock.now()

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


class Route(NamedTuple):
    """One row of a platform's table of endpoints, with the fields of `Endpoint`."""

    method: str
    """Several methods are separated by spaces."""
    path: str
    step: str | Callable[[Call], str]
    handle: Callable[[Call], Awaitable[web.Response]]
    quota_exhausted: Callable[[Call], web.Response] | None = None
    owner: Callable[[Call], Record | None] | None = None
    dialect: Dialect | None = None
    """None: that of the table."""
    is_streamed: bool = False
    also_faults_of: tuple[str, ...] = ()

    def make_endpoint(self, platform: str, dialect: Dialect) -> Endpoint:
        """Return the endpoint of this row."""
        more = self._asdict()
        more["dialect"] = self.dialect or dialect
        del more["method"], more["path"]
        return Endpoint(platform=platform, **more)


def mount_routes(
    app: web.Application, context: SandboxContext, platform: str, dialect: Dialect, routes: Iterable[Route]
) -> None:
    """Serve a platform's table of endpoints."""
    for route in routes:
        for method in route.method.split():
            mount(app, context, method, route.path, route.make_endpoint(platform, dialect))


def make_dialect(
    render: Callable[..., web.Response],
    rows: Mapping[str, tuple[Any, ...]],
    read_token: Callable[[Call], str | None] | None = None,
) -> Dialect:
    """Return the dialect whose errors are rows of a table: the arguments of `render`, a last dict by keyword.

    `{scope}` in a row is the missing scope. `render` takes the seconds to wait as `wait`. Without rows of their own,
    expired and revoked tokens get the row `unknown_token`.
    """

    def answer(name: str, scope: str = "", **more: Any) -> web.Response:
        row = rows.get(name) or rows["unknown_token"]
        if isinstance(row[-1], dict):
            row, more = row[:-1], more | row[-1]
        return render(
            *(part.replace("{scope}", scope) if isinstance(part, str) else part for part in row), **more
        )

    return Dialect(
        read_token=read_token or read_bearer_token,
        unknown_token=lambda: answer("unknown_token"),
        expired=lambda: answer("expired"),
        revoked=lambda: answer("revoked"),
        missing_scope=lambda scope: answer("missing_scope", scope),
        rate_limited=lambda wait: answer("rate_limited", wait=wait),
        server_error=lambda: answer("server_error"),
        malformed=lambda: answer("malformed"),
        spam_blocked=(lambda: answer("spam_blocked")) if "spam_blocked" in rows else None,
    )


def read_bearer_token(call: Call) -> str | None:
    """Return the Bearer token of the request, or None."""
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    return text if scheme == "Bearer" and text else None


def get_no_owner(_: Call) -> Record | None:
    """Return None: the request belongs to no account."""
    return None


def mount(app: web.Application, context: SandboxContext, method: str, path: str, endpoint: Endpoint) -> None:
    """Serve `endpoint` at a method and path of `app`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await endpoint.serve(context, request)

    app.router.add_route(method, path, answer)


def reset_connection(request: web.Request) -> web.Response:
    """Reset the connection with a TCP RST. The returned response is never sent."""
    transport = request.transport
    if transport is not None:
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    return web.Response(status=500)
