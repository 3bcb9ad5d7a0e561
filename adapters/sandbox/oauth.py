"""OAuth apps, authorization codes, refresh tokens, and the one token endpoint of every vendor.

A vendor's `TokenEndpoint` is a table: names of parameters and answered fields, errors by reason, rotation.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from adapters.sandbox.dialect import Dialect, Refused, json_response
from adapters.sandbox.endpoint import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.endpoint import Call
    from adapters.sandbox.store import Record

_APP = "app"
FORM = "application/x-www-form-urlencoded"


class GrantRefused(Exception):
    """The token endpoint refuses the request.

    `reason` is client, client.code, code, redirect, verifier, grant_type, refresh.unknown, refresh.expired,
    refresh.revoked or refresh.account.
    """

    def __init__(self, reason: str, message: str) -> None:
        """Describe the refusal; each platform answers in its own format."""
        super().__init__(message)
        self.reason = reason
        self.message = message


def register_app(
    context: SandboxContext,
    platform: str,
    client_id: str,
    secret: str,
    redirects: list[str],
    *,
    requires_proof: bool = False,
) -> None:
    """Register an app. From then on `platform` serves only registered apps. Empty `redirects` allows any URI.

    `requires_proof`: calls of Meta's Graph API without `appsecret_proof` are refused.
    """
    app = {"secret": secret, "redirects": redirects, "requires_proof": requires_proof}
    context.store.put(_APP, f"{platform}:{client_id}", app)


def list_apps(context: SandboxContext, platform: str) -> list[Record]:
    """Return the registered apps of a platform."""
    return [app for key, app in context.store.get_all(_APP).items() if key.startswith(f"{platform}:")]


def sign_request(secret: str, payload: Record) -> str:
    """Return Meta's `signed_request`: HMAC-SHA256 over the encoded payload, both parts in base64url without padding."""
    encoded = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=")
    signature = hmac.new(secret.encode(), encoded, hashlib.sha256).digest()
    return f"{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}.{encoded.decode()}"


def check_client(context: SandboxContext, platform: str, client_id: str | None, secret: str | None) -> None:
    """Raise GrantRefused unless id and secret belong to an app of that platform."""
    if not client_id or not secret:
        raise GrantRefused("client", "The client id or the client secret is missing.")
    app = _find_app(context, platform, client_id)
    if app is not None and not hmac.compare_digest(app["secret"].encode(), secret.encode()):
        raise GrantRefused("client", "The client secret is wrong.")


def check_redirect(context: SandboxContext, platform: str, client_id: str | None, redirect_uri: str) -> None:
    """Raise GrantRefused unless the app may use that redirect URI."""
    if not client_id:
        raise GrantRefused("client", "The client id is missing.")
    app = _find_app(context, platform, client_id)
    if app is not None and app["redirects"] and redirect_uri not in app["redirects"]:
        raise GrantRefused("redirect", "The redirect URI is not registered for this app.")


def _find_app(context: SandboxContext, platform: str, client_id: str) -> Record | None:
    """Return the app; None if the platform has no registered app and therefore accepts any."""
    apps = context.store.get_all(_APP)
    known = apps.get(f"{platform}:{client_id}")
    if known is None and any(key.startswith(f"{platform}:") for key in apps):
        raise GrantRefused("client", "The client id is unknown.")
    return known


def _check_grant(grant: Record, client_id: str | None, redirect_uri: str, verifier: str | None) -> None:
    if grant["client_id"] != client_id:
        raise GrantRefused("client.code", "The code was issued to another app.")
    if grant["redirect_uri"] != redirect_uri:
        raise GrantRefused("redirect", "The redirect URI differs from that of the authorization request.")
    challenge = grant["challenge"]
    if challenge is None:
        return
    if not verifier or not hmac.compare_digest(_compute_challenge(verifier, grant["method"]), challenge):
        raise GrantRefused("verifier", "The code verifier does not match the challenge.")


def _compute_challenge(verifier: str, method: str) -> str:
    if method == "plain":
        return verifier
    digest = hashlib.sha256(verifier.encode())
    if method == "hex":
        return digest.hexdigest()
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()


def error_response(error: str, description: str, status: int = 400, wait: int | None = None) -> web.Response:
    """Return an error response of RFC 6749, section 5.2."""
    return json_response({"error": error, "error_description": description}, status, wait=wait)


def read_form(call: Call) -> Record:
    """Return the form of the body."""
    return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEndpoint:
    """The token endpoint of one vendor."""

    platform: str
    render: Callable[..., web.Response]
    """Return an error response."""
    errors: Mapping[str, tuple[Any, ...]]
    """Arguments of `render` by reason of GrantRefused, by its part before the dot, or by `any`.

    `{message}` is the refusal's.
    """
    fields: tuple[str, ...] = ()
    """Fields of the answer, in order: those of `_respond`."""
    dialect: Dialect | None = None
    read: Callable[[Call], Record] = read_form
    """Return the parameters of a request."""
    respond: Callable[[Record], web.Response] = json_response
    check: Callable[[Call, Record], None] = lambda _, __: None
    """Raise Refused or GrantRefused for a request that is refused before its grant is looked at."""
    client: str = "client_id"
    """Name of the parameter with the app's id."""
    code: str = "code"
    """Name of the parameter with the authorization code."""
    read_client: Callable[[Call], tuple[str | None, str | None]] | None = None
    """Return the app's id and secret where they are no parameters."""
    grants: tuple[str, ...] | None = ("authorization_code", "refresh_token")
    """Grant types that are served; None: the parameter is ignored and a code is redeemed."""
    is_rotating: bool = True
    """A refresh token is replaced when it is used."""
    repeats_refresh_token: bool = False
    """A refresh token that does not rotate is part of the answer."""
    has_refresh_token: Callable[[Call, Record, Record], bool] = lambda *_: True
    """Return whether the exchange of a code gives a refresh token, by account and code."""
    check_refresh: Callable[[Call, Record, Record], None] = lambda *_: None
    """Raise GrantRefused for a refresh token (account, record) that the vendor no longer accepts."""
    issue: Callable[[Call, Record, Record], Record] | None = None
    """Return the whole answer, by account and code, in place of `fields`."""
    scope_separator: str = " "
    token_type: str = "Bearer"  # noqa: S105 - RFC 6750's name
    owner_fields: tuple[str, ...] = ("refresh_token", "code", "token")
    """Parameters whose token names the account, to match faults of one account."""

    def route(
        self,
        path: str,
        method: str = "POST",
        step: str | None = None,
        handle: Callable[[Call], Awaitable[web.Response]] | None = None,
    ) -> Route:
        """Return the endpoint at `path`, or that of another handler (step `oauth`) with the same parameters."""
        step_of = step or (self.get_step if handle is None else "oauth")
        return Route(method, path, step_of, handle or self.serve, owner=self.find_owner, dialect=self.dialect)

    async def serve(self, call: Call) -> web.Response:
        """Exchange a code or a refresh token for tokens."""
        form = self.read(call)
        try:
            self.check(call, form)
            return self._grant(call, form)
        except GrantRefused as refusal:
            raise self.refuse(refusal) from None

    async def revoke(self, call: Call) -> web.Response:
        """End the grant of a valid token: all tokens of its account."""
        form, accounts = self.read(call), call.context.accounts
        try:
            self.check(call, form)
            found = accounts.find_token(self.platform, str(form.get("token") or form.get("access_token")))
            if found is None or accounts.get_token_state(found) != "valid":
                raise GrantRefused("refresh.revoked", "The token is unknown, revoked or expired.")
        except GrantRefused as refusal:
            raise self.refuse(refusal) from None
        accounts.set_token_state(self.platform, found["remote_id"], "revoked")
        return self.respond({})

    def _grant(self, call: Call, form: Record) -> web.Response:
        grant = form.get("grant_type")
        if self.grants is not None and grant not in self.grants:
            raise GrantRefused("grant_type", str(grant))
        client, secret = form.get(self.client), form.get("client_secret")
        if self.read_client is not None:
            client, secret = self.read_client(call)
        check_client(call.context, self.platform, client, secret)
        if self.grants is not None and grant == "refresh_token":
            return self._refresh(call, form.get("refresh_token", ""))
        return self._exchange(call, form, client)

    def _exchange(self, call: Call, form: Record, client: str | None) -> web.Response:
        account, found = self._redeem_code(call, form, client)
        if self.issue is not None:
            return self.respond(self.issue(call, account, found))
        issued = call.context.accounts.issue_tokens(
            account, source=found, with_refresh_token=self.has_refresh_token(call, account, found)
        )
        return self._respond(call, account, found, issued, "authorization_code")

    def _redeem_code(self, call: Call, form: Record, client: str | None) -> tuple[Record, Record]:
        """Redeem an authorization code; return its account and its record. Raises GrantRefused.

        A code issued by the control API is valid for every redirect URI.
        """
        accounts, code, redirect_uri = call.context.accounts, form.get(self.code), form.get("redirect_uri")
        found = accounts.find_token(self.platform, code) if isinstance(code, str) else None
        if found is None or found["role"] != "code" or accounts.get_token_state(found) != "valid":
            raise GrantRefused("code", "The code is unknown, already used, or expired.")
        if not redirect_uri:
            raise GrantRefused("redirect", "The redirect URI is missing.")
        if "grant" in found:
            _check_grant(found["grant"], client, redirect_uri, form.get("code_verifier"))
        account = accounts.find(self.platform, found["remote_id"])
        if account is None:
            raise GrantRefused("code", "The account no longer exists.")
        accounts.drop_token(str(code))
        return account, found

    def _refresh(self, call: Call, text: str) -> web.Response:
        account, found = self._redeem_refresh_token(call, text)
        self.check_refresh(call, account, found)
        issued = call.context.accounts.issue_tokens(
            account,
            replaces=text if self.is_rotating else None,
            source=found,
            with_refresh_token=self.is_rotating,
        )
        if self.repeats_refresh_token:
            left = int(found["expires_at"] - call.context.clock.now())
            issued |= {"refresh_token": text, "refresh_expires_in": left}
        return self._respond(call, account, found, issued, "refresh_token")

    def _redeem_refresh_token(self, call: Call, text: object) -> tuple[Record, Record]:
        """Use a refresh token; return its account and its record. Raises GrantRefused."""
        accounts, message = call.context.accounts, "The refresh token is unknown, revoked or expired."
        found = accounts.find_token(self.platform, text) if isinstance(text, str) else None
        if found is None or found["role"] != "refresh":
            raise GrantRefused("refresh.unknown", message)
        if (state := accounts.get_token_state(found)) != "valid":
            raise GrantRefused(f"refresh.{state}", message)
        account = accounts.find(self.platform, found["remote_id"])
        if account is None:
            raise GrantRefused("refresh.account", "The account no longer exists.")
        accounts.use_token(str(text), found)
        return account, found

    def _respond(
        self, call: Call, account: Record, source: Record, issued: Record, grant: str
    ) -> web.Response:
        life = issued.get("refresh_expires_in")
        known = issued | {
            "refresh_token_expires_in": life,
            "refresh_token_expires_at": None if life is None else int(call.context.clock.now()) + life,
            "open_id": account["remote_id"],
            "scope": self.scope_separator.join(call.context.accounts.list_granted_scopes(source, account)),
            "token_type": self.token_type,
            "response_type": grant,
        }
        return self.respond({name: known[name] for name in self.fields if known.get(name) is not None})

    def refuse(self, refusal: GrantRefused) -> Refused:
        """Return the exception that responds with the vendor's error for a refused grant."""
        names = (refusal.reason, refusal.reason.partition(".")[0])
        name = next((name for name in names if name in self.errors), "any")
        return Dialect(self.render, self.errors).refuse(name, message=refusal.message)

    def get_step(self, call: Call) -> str:
        """Return the step of a request."""
        return "refresh" if self.read(call).get("grant_type") == "refresh_token" else "oauth"

    def find_owner(self, call: Call) -> Record | None:
        """Return the account that a token or code among the parameters belongs to, or None."""
        try:
            form = self.read(call)
        except Refused:
            return None
        for name in self.owner_fields:
            token = call.context.accounts.find_token(self.platform, str(form.get(name) or ""))
            if token is not None:
                return call.context.accounts.find(self.platform, token["remote_id"])
        return None
