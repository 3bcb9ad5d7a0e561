"""One endpoint of a stand-in: who asks, which faults strike, what is answered, and that it is on disk before."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.faults import AFTER
from adapters.sandbox.responses import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.store import Record

_RETRY_AFTER_S = 60
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close sends RST, not FIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one platform says no."""

    read_token: Callable[[Call], str | None]
    """The access token a request carries."""
    unknown_token: Callable[[], web.Response]
    expired: Callable[[], web.Response]
    revoked: Callable[[], web.Response]
    missing_scope: Callable[[str], web.Response]
    rate_limited: Callable[[int], web.Response]
    """Given the seconds to wait."""
    server_error: Callable[[], web.Response]
    malformed: Callable[[], web.Response]
    """The body cannot be read."""
    spam_blocked: Callable[[], web.Response] | None = None
    """The answer under `spam-block`; None: that fault does not strike here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What is served at one method and path."""

    platform: str
    step: str | Callable[[Call], str]
    """The step a fault names to strike here; a function where the body decides."""
    handle: Callable[[Call], Awaitable[web.Response]]
    dialect: Dialect
    quota_exhausted: Callable[[Call], web.Response] | None = None
    """The answer under `quota-exhausted`; None: that fault does not strike here."""
    owner: Callable[[Call], Record | None] | None = None
    """Whose account it is, where no token says so."""
    is_streamed: bool = False
    """The handler reads the body itself."""
    also_faults_of: tuple[str, ...] = ()
    """Other platforms whose faults strike here too."""

    async def serve(self, context: SandboxContext, request: web.Request) -> web.Response:
        """Answer one request."""
        call = Call(context=context, endpoint=self, request=request)
        if request.body_exists and not self.is_streamed:
            call.body = await request.read()
        try:
            if context.faults.active:
                await self._strike_before(call)
            response = await self.handle(call)
        except Refused as refusal:
            await context.commit()
            return refusal.response
        await context.commit()
        return self._strike_after(call, response) if call.faults else response

    async def _strike_before(self, call: Call) -> None:
        """Raise Refused when a fault answers in the place of the platform."""
        step = self.step if isinstance(self.step, str) else self.step(call)
        owner = call.account
        remote_id = None if owner is None else owner["remote_id"]
        call.faults = call.context.faults.find_matching((self.platform, *self.also_faults_of), step, remote_id)
        for fault in list(call.faults):
            if fault["left"] == 0:  # another request spent it while this one waited
                continue
            answer = self._answer_before(call, fault)
            if answer is not None:
                call.context.faults.spend(fault)
                raise Refused(answer)
            if fault["fault"] == "latency":
                call.context.faults.spend(fault)
                await asyncio.sleep(fault["delay_ms"] / 1000)

    def _answer_before(self, call: Call, fault: Record) -> web.Response | None:
        dialect = self.dialect
        match fault["fault"]:
            case "429":
                return dialect.rate_limited(fault["retry_after"] or _RETRY_AFTER_S)
            case "5xx":
                return dialect.server_error()
            case "drop":
                return reset_connection(call.request)
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

    def _strike_after(self, call: Call, response: web.Response) -> web.Response:
        for fault in call.faults:
            if fault["fault"] not in AFTER or fault["left"] == 0:
                continue
            call.context.faults.spend(fault)
            if fault["fault"] == "effect-then-5xx":
                return self.dialect.server_error()
            if fault["fault"] == "effect-then-drop":
                return reset_connection(call.request)
            return web.Response(body=b'<html>\x00{"data":{"publish', content_type="text/html")
        return response


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way through an endpoint."""

    context: SandboxContext
    endpoint: Endpoint
    request: web.Request
    body: bytes = b""
    faults: list[Record] = field(default_factory=list)
    parameters: Record | None = None
    """What query and body say, once somebody has read it."""

    @property
    def account(self) -> Record | None:
        """Whose token it is, whatever state the token is in; None when nobody's."""
        if self.endpoint.owner is not None:
            return self.endpoint.owner(self)
        text = self.endpoint.dialect.read_token(self)
        token = None if text is None else self.context.accounts.find_token(self.endpoint.platform, text)
        return None if token is None else self.context.accounts.find(token["platform"], token["remote_id"])

    def authenticate(self, *scopes: str) -> Record:
        """The account behind a token that is valid and has one of `scopes`; raises Refused."""
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
        """The body as a JSON object, {} when empty; raises Refused."""
        if not self.body:
            return {}
        try:
            body = json.loads(self.body)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Refused(self.endpoint.dialect.malformed())
        return body

    def take_fault(self, fault: str) -> Record | None:
        """Spend one strike of a fault of the `WITHIN` kind that concerns this request; None when it is not on."""
        for record in self.faults:
            if record["fault"] == fault and record["left"] != 0:
                self.context.faults.spend(record)
                return record
        return None

    def take_visibility_delay(self) -> float:
        """Seconds that `late-visibility` holds a post back from listings."""
        fault = self.take_fault("late-visibility")
        return 0.0 if fault is None else fault["delay_ms"] / 1000

    def take_processing_faults(self) -> Record:
        """What faults do to the record this call makes: `stuck` (a fault's id), `doom` (a reason); {} mostly."""
        if not self.faults:
            return {}
        fate: Record = {}
        if (stuck := self.take_fault("stuck-processing")) is not None:
            fate["stuck"] = stuck["id"]
        if (doom := self.take_fault("fail-processing")) is not None:
            fate["fail_reason"] = doom["reason"]
        if late := self.take_visibility_delay():
            fate["late"] = late
        return fate


def mount(app: web.Application, context: SandboxContext, method: str, path: str, endpoint: Endpoint) -> None:
    """Serve an endpoint at a path."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await endpoint.serve(context, request)

    app.router.add_route(method, path, answer)


def reset_connection(request: web.Request) -> web.Response:
    """Cut the connection so that the client sees it reset; what is returned is never sent."""
    transport = request.transport
    if transport is not None:
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    return web.Response(status=500)
