"""The control API: accounts, faults, tokens, pace, media and the ledger, for tests and demos.

Parse request bodies of the control API; each error names what is allowed.
"""

import asyncio
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import ClientSession, web

from adapters.sandbox import comments
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.dialect import Refused, json_response
from adapters.sandbox.faults import FAULTS, STEPS, WITH_STATUS
from adapters.sandbox.media_host import NAME
from adapters.sandbox.oauth import register_app, sign_request
from adapters.sandbox.store import Record
from adapters.sandbox.uploads import receive_body

_DEFAULT_DELAY_MS = 1000
_STATUSES = (200, 599)


def error_response(status: int, message: str) -> web.Response:
    """Return an error response of the control API."""
    return json_response({"error": message}, status)


def _refuse(status: int, message: str) -> Refused:
    return Refused(error_response(status, message))


_KINDS: Record = {
    "text": (lambda value: isinstance(value, str) and value, "a non-empty string"),
    "string": (lambda value: isinstance(value, str), "a string"),
    "texts": (
        lambda value: isinstance(value, list) and all(isinstance(text, str) and text for text in value),
        "a list of non-empty strings",
    ),
    "flag": (lambda value: isinstance(value, bool), "true or false"),
    "whole": (lambda value: type(value) is int and value >= 0, "a whole number of at least 0"),
    "object": (lambda value: isinstance(value, dict), "an object"),
}
"""Kinds of fields: what holds for a value, and what the error says that it must be."""


class Body:
    """A JSON object whose fields are checked when they are read; each raises Refused (422) for a bad value."""

    def __init__(self, fields: Record) -> None:
        """Wrap the parsed fields."""
        self._fields = fields

    @classmethod
    async def read(cls, request: web.Request) -> "Body":
        """Parse the body of a request; an empty body is {}."""
        try:
            fields = json.loads(await request.read() or b"{}")
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise _refuse(422, "The body must be a JSON object.")
        return cls(fields)

    def has(self, name: str) -> bool:
        """Return whether the field is present and not null."""
        return self._fields.get(name) is not None

    def get(self, name: str, kind: str = "text") -> Any:
        """Return a field of one of the kinds."""
        is_good, words = _KINDS[kind]
        value = self._fields.get(name)
        if not is_good(value):
            raise _refuse(422, f"{name} must be {words}.")
        return value

    def get_or(self, name: str, kind: str, default: Any) -> Any:
        """Return a field of one of the kinds; `default` if it is absent or null."""
        return self.get(name, kind) if self.has(name) else default

    def get_one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        """Return one of the allowed values."""
        value = self._fields.get(name)
        if value not in allowed:
            raise _refuse(422, f"{name} must be one of: {', '.join(allowed)}; got {value!r}.")
        return str(value)


_FAULT_FIELDS: Record = {
    "times": ("whole", None),
    "account": ("text", None),
    "delay_ms": ("whole", _DEFAULT_DELAY_MS),
    "retry_after": ("whole", None),
    "reason": ("text", None),
    "body": ("string", ""),
}
"""Kind and default of the fields that every fault may have; without `times` it lasts until it is cleared."""


def parse_fault(body: Body, platforms: tuple[str, ...]) -> Record:
    """Return the fault in the body."""
    allowed = {"fault": FAULTS, "platform": platforms, "step": STEPS}
    fault: Record = {name: body.get_one_of(name, values) for name, values in allowed.items()}
    fault |= {name: body.get_or(name, kind, default) for name, (kind, default) in _FAULT_FIELDS.items()}
    return fault | {"status": _parse_status(body) if fault["fault"] in WITH_STATUS else None}


def _parse_status(body: Body) -> int:
    """Return the status that a fault responds with."""
    if not body.has("status"):
        raise _refuse(422, f"The faults {' and '.join(WITH_STATUS)} need a status.")
    status: int = body.get("status", "whole")
    if not _STATUSES[0] <= status <= _STATUSES[1]:
        raise _refuse(422, f"status must be from {_STATUSES[0]} to {_STATUSES[1]}.")
    return status


_MEDIA_BYTES = 256 << 20
_CODE_LIFE_S = 600.0
_SHORT_LIFE_S = 3600.0


class Control:
    """Handlers of everything under /control/."""

    def __init__(self, context: SandboxContext) -> None:
        """Control `context`."""
        self._context = context

    async def health(self, _: web.Request) -> web.Response:
        """GET /control/health."""
        return json_response({"ok": True})

    async def add_account(self, request: web.Request) -> web.Response:
        """POST /control/accounts."""
        body = await Body.read(request)
        platform = body.get_one_of("platform", tuple(self._context.accounts.kinds))
        username = body.get("username")
        kinds = {"display_name": "text", "private": "flag", "options": "object"}
        changes = {name: body.get(name, kind) for name, kind in kinds.items() if body.has(name)}
        account = self._context.accounts.ensure(platform, username, changes)
        answer = self._issue_tokens(account)
        if (provision := self._context.accounts.kinds[platform].provision) is not None:
            answer["settings"] = provision(account)
        return json_response(answer, 201)

    def _issue_tokens(self, account: Record) -> Record:
        accounts = self._context.accounts
        kind = accounts.kinds[account["platform"]]
        return {
            **{name: account[name] for name in ("platform", "remote_id", "username")},
            **accounts.issue_tokens(account, age=kind.initial_age),
            "scopes": accounts.list_scopes(account),
            "connection": accounts.get_connection(account),
        }

    async def ledger(self, request: web.Request) -> web.Response:
        """GET /control/ledger?platform=&account=."""
        await self._context.commit()
        platform, account = request.query.get("platform"), request.query.get("account")
        data = await asyncio.to_thread(self._context.ledger.read_json, platform, account)
        return web.Response(body=data, content_type="application/json")

    async def reset(self, request: web.Request) -> web.Response:
        """POST /control/reset."""
        body = await Body.read(request)
        await self._context.reset(erase_ledger=body.get_or("ledger", "flag", default=False))
        return json_response({"ok": True})

    async def add_fault(self, request: web.Request) -> web.Response:
        """POST /control/faults."""
        fault = parse_fault(await Body.read(request), (*self._context.accounts.kinds, "media"))
        return json_response({"id": self._context.faults.add(fault)["id"]}, 201)

    async def faults(self, _: web.Request) -> web.Response:
        """GET /control/faults."""
        return json_response(self._context.faults.list_all())

    async def clear_fault(self, request: web.Request) -> web.Response:
        """DELETE /control/faults and /control/faults/<id>."""
        key = request.match_info.get("id")
        faults = self._context.faults
        if key is not None and not faults.remove(key):
            raise _refuse(404, f"There is no fault {key}.")
        if key is None:
            for fault in faults.list_all():
                faults.remove(fault["id"])
        await self._context.processing.resume_stuck()
        return json_response({"ok": True})

    async def tokens(self, request: web.Request) -> web.Response:
        """POST /control/tokens: `valid` issues new tokens, as after a new consent."""
        body = await Body.read(request)
        account = self._find_account(body)
        state = body.get_one_of("state", ("expired", "revoked", "valid"))
        if state == "valid":
            return json_response(self._issue_tokens(account))
        changed = self._context.accounts.set_token_state(account["platform"], account["remote_id"], state)
        return json_response({"changed": changed})

    async def deauthorize(self, request: web.Request) -> web.Response:
        """POST /control/deauthorize: the account's user removes the app, which is called at `url` by a signed form."""
        body = await Body.read(request)
        account, accounts = self._find_account(body), self._context.accounts
        platform, url, secret = account["platform"], body.get("url"), body.get("client_secret")
        if (get_user := accounts.kinds[platform].get_user) is None:
            raise _refuse(422, f"{platform} calls no app.")
        user = get_user(account)
        for one in accounts.list_all(platform):
            if get_user(one) == user:
                accounts.set_token_state(platform, one["remote_id"], "revoked")
        said = {"algorithm": "HMAC-SHA256", "issued_at": int(self._context.clock.now()), "user_id": user}
        form = {"signed_request": sign_request(secret, said)}
        async with ClientSession() as session, session.post(url, data=form) as answer:
            return json_response({"status": answer.status, **form})

    async def add_comment(self, request: web.Request) -> web.Response:
        """POST /control/comments: a comment on a live post, by someone else or by one of the accounts itself."""
        body, context = await Body.read(request), self._context
        platform = body.get_one_of("platform", tuple(comments.NEW_IDS))
        live = context.ledger.find(platform, body.get("on"))
        if live is None:
            raise _refuse(404, f"There is no live post of {platform} with that remote_id.")
        text, name = body.get("text"), body.get_or("username", "text", "stranger")
        author = context.accounts.find_by_username(platform, name)
        if author is None:
            author = {"username": name, "remote_id": context.accounts.kinds[platform].make_id({})}
        return json_response({"id": comments.add(context, live, author, text)["key"]}, 201)

    def _find_account(self, body: Body) -> Record:
        platform = body.get_one_of("platform", tuple(self._context.accounts.kinds))
        account = self._context.accounts.find(platform, body.get("remote_id"))
        if account is None:
            raise _refuse(404, f"There is no {platform} account with that remote_id.")
        return account

    async def code(self, request: web.Request) -> web.Response:
        """POST /control/oauth/code: an authorization code as from a consent page, and a short-lived token."""
        account = self._find_account(await Body.read(request))
        accounts = self._context.accounts
        prefix = accounts.kinds[account["platform"]].access_prefix
        code = accounts.create_token(account, "code", "code-", _CODE_LIFE_S)
        short = accounts.create_token(account, "short", prefix, _SHORT_LIFE_S)
        return json_response({"code": code, "short_lived_token": short}, 201)

    async def add_app(self, request: web.Request) -> web.Response:
        """POST /control/apps: register an app; the platform then refuses apps that are not registered."""
        body = await Body.read(request)
        platform = body.get_one_of("platform", tuple(self._context.accounts.kinds))
        client, secret = body.get("client_id"), body.get("client_secret")
        redirects = body.get_or("redirect_uris", "texts", [])
        requires_proof = body.get_or("requires_proof", "flag", default=False)
        register_app(self._context, platform, client, secret, redirects, requires_proof=requires_proof)
        return json_response({"ok": True}, 201)

    async def pace(self, request: web.Request) -> web.Response:
        """POST /control/pace."""
        body = await Body.read(request)
        pace = body.get_one_of("pace", ("real", "instant"))
        quotas = body.get_or("quotas", "flag", not self._context.rate_windows.is_lifted)
        self._context.set_pace(instant=pace == "instant", quotas=quotas)
        return json_response({"pace": pace, "quotas": quotas})

    async def clock(self, request: web.Request) -> web.Response:
        """POST /control/clock: advance the sandbox's clock."""
        body = await Body.read(request)
        self._context.advance_clock(float(body.get("advance_s", "whole")))
        return json_response({"ahead_s": self._context.clock.ahead})

    async def put_media(self, request: web.Request) -> web.Response:
        """PUT /control/media/<name>."""
        name = request.match_info["name"]
        if not NAME.match(name):
            raise _refuse(422, "The name may have at most 120 letters, digits, '.', '_' and '-'.")
        part = self._context.uploads / f"media-{secrets.token_hex(8)}"
        try:
            taken = await receive_body(request, part, 0, _MEDIA_BYTES)
            if taken.is_too_large or taken.is_aborted:
                raise _refuse(413, f"A media file may have at most {_MEDIA_BYTES} bytes.")
            part.replace(self._context.media / name)
        finally:
            part.unlink(missing_ok=True)
        self._context.fetcher.clear_cache()
        settings = self._context.settings
        return json_response({"url": f"http://{settings.host}:{settings.media_port}/media/{name}"}, 201)


_Handler = Callable[[web.Request], Awaitable[web.Response]]


def mount_control(app: web.Application, context: SandboxContext) -> None:
    """Serve the control API on `app`."""
    control = Control(context)
    expected = f"Bearer {context.settings.control_token}".encode()

    def require_token(handler: _Handler) -> _Handler:
        async def answer(request: web.Request) -> web.Response:
            sent = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(sent, expected):
                return error_response(
                    401, "The control API requires its token: Authorization: Bearer <control token>."
                )
            try:
                response = await handler(request)
            except Refused as refusal:
                response = refusal.response
            await context.commit()
            return response

        return answer

    app.router.add_get("/control/health", control.health)
    for method, path, handler in (
        ("PUT", "media/{name}", control.put_media),
        ("GET", "ledger", control.ledger),
        ("GET", "faults", control.faults),
        ("DELETE", "faults", control.clear_fault),
        ("DELETE", "faults/{id}", control.clear_fault),
        ("POST", "accounts", control.add_account),
        ("POST", "reset", control.reset),
        ("POST", "faults", control.add_fault),
        ("POST", "comments", control.add_comment),
        ("POST", "tokens", control.tokens),
        ("POST", "oauth/code", control.code),
        ("POST", "deauthorize", control.deauthorize),
        ("POST", "apps", control.add_app),
        ("POST", "pace", control.pace),
        ("POST", "clock", control.clock),
    ):
        app.router.add_route(method, f"/control/{path}", require_token(handler))
