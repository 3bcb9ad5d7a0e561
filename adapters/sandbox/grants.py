"""OAuth apps, authorization codes and refresh tokens: the checks of every token endpoint."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.store import Record

_APP = "app"


class GrantRefused(Exception):
    """The token endpoint refuses the request; `reason` is client, code, redirect or verifier."""

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


def check_client(context: SandboxContext, platform: str, client_id: str | None, secret: str | None) -> None:
    """Raise GrantRefused unless id and secret are those of an app of that platform."""
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


def redeem_code(
    context: SandboxContext,
    platform: str,
    code: str | None,
    *,
    client_id: str | None,
    secret: str | None,
    redirect_uri: str | None,
    verifier: str | None = None,
) -> tuple[Record, Record]:
    """Redeem an authorization code; return its account and its record. Raises GrantRefused.

    A code issued by the control API is valid for every redirect URI.
    """
    check_client(context, platform, client_id, secret)
    found = context.accounts.find_token(platform, code or "")
    if (
        code is None
        or found is None
        or found["role"] != "code"
        or context.accounts.get_token_state(found) != "valid"
    ):
        raise GrantRefused("code", "The code is unknown, already used, or expired.")
    if not redirect_uri:
        raise GrantRefused("redirect", "The redirect URI is missing.")
    grant = found.get("grant")
    if grant is not None:
        _check_grant(grant, client_id, redirect_uri, verifier)
    account = context.accounts.find(platform, found["remote_id"])
    if account is None:
        raise GrantRefused("code", "The account no longer exists.")
    context.accounts.drop_token(code)
    return account, found


def redeem_code_from_form(
    context: SandboxContext, platform: str, form: Mapping[str, Any], client: str = "client_id"
) -> tuple[Record, Record]:
    """Redeem a code with the fields of RFC 6749 section 4.1.3; `client`: the vendor's name of the app id field."""
    return redeem_code(
        context,
        platform,
        form.get("code"),
        client_id=form.get(client),
        secret=form.get("client_secret"),
        redirect_uri=form.get("redirect_uri"),
        verifier=form.get("code_verifier"),
    )


def use_refresh_token(context: SandboxContext, platform: str, text: str) -> tuple[Record, Record]:
    """Use a rotating refresh token; return its account and its record. Raises GrantRefused."""
    found = context.accounts.find_token(platform, text)
    if found is None or found["role"] != "refresh" or context.accounts.get_token_state(found) != "valid":
        raise GrantRefused("code", "The refresh token is unknown, revoked or expired.")
    account = context.accounts.find(platform, found["remote_id"])
    if account is None:
        raise GrantRefused("code", "The account no longer exists.")
    context.accounts.use_token(text, found)
    return account, found


def _check_grant(grant: Record, client_id: str | None, redirect_uri: str, verifier: str | None) -> None:
    if grant["client_id"] != client_id:
        raise GrantRefused("client", "The code was issued to another app.")
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
