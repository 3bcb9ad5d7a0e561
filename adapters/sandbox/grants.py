"""What a person has granted on a consent page, and what an app must bring to turn it into tokens."""

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
    """A code or an app was not accepted; `reason` is client, code, redirect or verifier."""

    def __init__(self, reason: str, sentence: str) -> None:
        """Say what is wrong; each platform words it in its own way."""
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


def register_app(
    context: SandboxContext, platform: str, client_id: str, secret: str, redirects: list[str]
) -> None:
    """Make an app known: from then on `platform` serves none but its known apps. No redirects: any."""
    context.store.put(_APP, f"{platform}:{client_id}", {"secret": secret, "redirects": redirects})


def check_client(context: SandboxContext, platform: str, client_id: str | None, secret: str | None) -> None:
    """Raise GrantRefused unless this is an app of that platform with its secret."""
    if not client_id or not secret:
        raise GrantRefused("client", "The client id or the client secret is missing.")
    app = _app(context, platform, client_id)
    if app is not None and not hmac.compare_digest(app["secret"].encode(), secret.encode()):
        raise GrantRefused("client", "The client secret is wrong.")


def check_redirect(context: SandboxContext, platform: str, client_id: str | None, redirect_uri: str) -> None:
    """Raise GrantRefused unless the app may send people back there."""
    if not client_id:
        raise GrantRefused("client", "The client id is missing.")
    app = _app(context, platform, client_id)
    if app is not None and app["redirects"] and redirect_uri not in app["redirects"]:
        raise GrantRefused("redirect", "The redirect URI is not registered for this app.")


def _app(context: SandboxContext, platform: str, client_id: str) -> Record | None:
    """The app; None when anybody may come, because no app of the platform is known."""
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
    """Use up a code: the account it is for, and what is known of the code. Raises GrantRefused.

    A code of the control API, which no consent page has seen, is good for every redirect URI.
    """
    check_client(context, platform, client_id, secret)
    found = context.accounts.find_token(platform, code or "")
    if (
        code is None
        or found is None
        or found["role"] != "code"
        or context.accounts.get_token_state(found) != "valid"
    ):
        raise GrantRefused("code", "The code is unknown, was used before, or has expired.")
    if not redirect_uri:
        raise GrantRefused("redirect", "The redirect URI is missing.")
    grant = found.get("grant")
    if grant is not None:
        _compare(grant, client_id, redirect_uri, verifier)
    account = context.accounts.find(platform, found["remote_id"])
    if account is None:
        raise GrantRefused("code", "The account is gone.")
    context.accounts.drop_token(code)
    return account, found


def redeem_code_from_form(
    context: SandboxContext, platform: str, form: Mapping[str, Any], client: str = "client_id"
) -> tuple[Record, Record]:
    """The same by the fields of RFC 6749 section 4.1.3; ``client``: what the vendor calls the app's id."""
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
    """Use a rotating refresh token: the account it is for, and what is known of the token. Raises GrantRefused."""
    found = context.accounts.find_token(platform, text)
    if found is None or found["role"] != "refresh" or context.accounts.get_token_state(found) != "valid":
        raise GrantRefused("code", "The refresh token is unknown, revoked or expired.")
    account = context.accounts.find(platform, found["remote_id"])
    if account is None:
        raise GrantRefused("code", "The account is gone.")
    context.accounts.use_token(text, found)
    return account, found


def _compare(grant: Record, client_id: str | None, redirect_uri: str, verifier: str | None) -> None:
    if grant["client_id"] != client_id:
        raise GrantRefused("client", "The code was given to another app.")
    if grant["redirect_uri"] != redirect_uri:
        raise GrantRefused("redirect", "The redirect URI is not the one of the consent page.")
    challenge = grant["challenge"]
    if challenge is None:
        return
    if not verifier or not hmac.compare_digest(_challenge(verifier, grant["method"]), challenge):
        raise GrantRefused("verifier", "The code verifier does not fit the challenge.")


def _challenge(verifier: str, method: str) -> str:
    if method == "plain":
        return verifier
    digest = hashlib.sha256(verifier.encode())
    if method == "hex":
        return digest.hexdigest()
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
