"""OAuth flow: state, PKCE and the callback, as RFC 6749 and RFC 7636 define them, by means of oauthlib.

The calls for tokens are in the adapters: four of the six vendors deviate from the standard there.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from oauthlib.common import generate_token  # type: ignore[import-untyped]
from oauthlib.oauth2 import (  # type: ignore[import-untyped]
    MissingCodeError,
    OAuth2Error,
    WebApplicationClient,
)
from oauthlib.oauth2.rfc6749.parameters import (  # type: ignore[import-untyped]
    parse_authorization_code_response,
)

from adapters.contract import Platform
from config.settings import Settings
from pipeline.accounts.connected_account import START_AGAIN
from pipeline.stages.post_request import Refusal

STATE, VERIFIER = 43, 64
"""Characters of each, of 62 kinds: over 256 bits (RFC 6749 section 10.10 asks for 128)."""
MAX_QUERY = 8192
"""Characters of a callback's query that are read; codes of the six platforms have a few hundred."""
PATH = "/api/partner/v1/connect/{platform}/callback"

DENIED = frozenset({"access_denied", "user_cancelled_login", "user_cancelled_authorize"})
"""The errors platforms return when the user declines; the last two are LinkedIn's."""
_NOT_PERMITTED = (
    "The app there lacks a permission: choose another connection, or ask the operator to check the app."
)
NOT_GRANTED = {
    "invalid_scope": _NOT_PERMITTED,
    "unauthorized_scope_error": _NOT_PERMITTED,
    "unauthorized_client": _NOT_PERMITTED,
}
"""The errors platforms return when the app lacks a product or scope (RFC 6749 section 4.1.2.1, LinkedIn), in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowSecrets:
    """The state and PKCE pair of one OAuth session (RFC 6749 section 4.1.1, RFC 7636 section 4)."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    challenge: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackParameters:
    """The parameters of a callback: a code, or the platform's error."""

    state: str = field(repr=False)
    code: str | None = field(default=None, repr=False)
    error: str | None = None


def create_flow_secrets() -> FlowSecrets:
    """Return a random state and PKCE pair."""
    client = WebApplicationClient("")
    verifier = str(client.create_code_verifier(VERIFIER))
    return FlowSecrets(
        state=str(generate_token(STATE)),
        verifier=verifier,
        challenge=str(client.create_code_challenge(verifier, "S256")),
    )


def parse_callback(query: str) -> CallbackParameters:
    """Parse the query of a callback. Raises Refusal 400 ``invalid_callback``."""
    given = parse_qsl(query[:MAX_QUERY], keep_blank_values=True)
    names = [name for name, _ in given]
    state = dict(given).get("state", "")
    if len(query) > MAX_QUERY or any(names.count(name) > 1 for name in ("state", "code", "error")):
        raise _make_invalid_callback()  # section 3.1: parameters must not be included more than once
    if not state:
        raise _make_invalid_callback()
    try:
        # oauthlib insists on https; the real address is the proxy's matter, and only the query is read here
        answer = parse_authorization_code_response(f"https://callback/?{query}", state)
    except MissingCodeError:
        raise _make_invalid_callback() from None
    except OAuth2Error as error:
        return CallbackParameters(state=state, error=str(error.error or "unknown_error"))
    return CallbackParameters(state=state, code=str(answer["code"]))


def build_redirect_uri(s: Settings, platform: Platform) -> str:
    """Return the callback URL for a platform, from the settings: a request's Host header is not trusted.

    Raises Refusal 500 ``not_configured`` with the setting's name.
    """
    return read_public_url(s) + PATH.format(platform=platform.value)


def read_public_url(s: Settings) -> str:
    """Return the address of this server, to which people come back. Raises Refusal 500 ``not_configured``."""
    url = s.api.public_url
    if not url and s.sandbox.url:
        return f"http://127.0.0.1:{s.api.port}"
    if not url:
        raise _make_not_configured(
            "is empty: platforms need an address to send people back to, such as https://example.com."
        )
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
        raise _make_not_configured("is not a plain address such as https://example.com.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise _make_not_configured(
            "must be https://… (http:// is for this machine only): codes travel over it."
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _make_not_configured(why: str) -> Refusal:
    return Refusal(500, "not_configured", f"SLIPWAY_API__PUBLIC_URL {why}")


def _make_invalid_callback() -> Refusal:
    return Refusal(400, "invalid_callback", f"The platform's answer cannot be read. {START_AGAIN}")
