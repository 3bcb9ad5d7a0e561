"""OAuth's own rules for sending a person away and taking them back: state, PKCE, and what the way back says.

oauthlib writes and reads these; the calls for tokens are the adapters' (four of the six vendors bend them).
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
from pipeline.stages.post_request import Refusal

STATE, VERIFIER = 43, 64
"""Characters; of 62 each, so 256 bits and more (RFC 6749 section 10.10 asks for 128)."""
LONGEST = 8192
"""Characters of a query that is read; codes of the six have a few hundred."""
PATH = "/api/partner/v1/connect/{platform}/callback"

DENIED = frozenset({"access_denied", "user_cancelled_login", "user_cancelled_authorize"})
"""What platforms send back when the person said no; the last two are LinkedIn's."""
_LACKS = "Our app there may not ask for all of this: ask for another connection, or let the operator look at the app."
NOT_GRANTED = {"invalid_scope": _LACKS, "unauthorized_scope_error": _LACKS, "unauthorized_client": _LACKS}
"""What platforms send back when our app lacks a product or a scope (RFC 6749 section 4.1.2.1, LinkedIn), in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Secrets:
    """What one grant is recognised and proven by (RFC 6749 section 4.1.1, RFC 7636 section 4)."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    challenge: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class WayBack:
    """What a person's browser brought: a code, or the platform's word for why there is none."""

    state: str = field(repr=False)
    code: str | None = field(default=None, repr=False)
    error: str | None = None


def new_secrets() -> Secrets:
    """A state and a verifier nobody can guess."""
    client = WebApplicationClient("")
    verifier = str(client.create_code_verifier(VERIFIER))
    return Secrets(
        state=str(generate_token(STATE)),
        verifier=verifier,
        challenge=str(client.create_code_challenge(verifier, "S256")),
    )


def way_back(query: str) -> WayBack:
    """The query of the callback. Raises Refusal 400 when it is none of OAuth's."""
    given = parse_qsl(query[:LONGEST], keep_blank_values=True)
    names = [name for name, _ in given]
    state = dict(given).get("state", "")
    if len(query) > LONGEST or any(names.count(name) > 1 for name in ("state", "code", "error")):
        raise _unreadable()  # section 3.1: parameters must not be included more than once
    if not state:
        raise _unreadable()
    try:
        # Whether the way here was encrypted is the proxy's business and the public URL's; only the query is read here.
        told = parse_authorization_code_response(f"https://callback/?{query}", state)
    except MissingCodeError:
        raise _unreadable() from None
    except OAuth2Error as error:
        return WayBack(state=state, error=str(error.error or "unknown_error"))
    return WayBack(state=state, code=str(told["code"]))


def redirect_uri(s: Settings, platform: Platform) -> str:
    """Where the platform sends the person back to: from the settings, never from what a request says of its host.

    Raises Refusal 500 ``not_configured`` that names the setting.
    """
    return _public_url(s) + PATH.format(platform=platform.value)


def _public_url(s: Settings) -> str:
    url = s.api.public_url
    if not url and s.sandbox.url:
        return f"http://127.0.0.1:{s.api.port}"
    if not url:
        raise _unconfigured(
            "is empty: platforms need an address to send people back to, such as https://example.com."
        )
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
        raise _unconfigured("is not a plain address such as https://example.com.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise _unconfigured("must be https://… (http:// is for this machine only): codes travel over it.")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unconfigured(why: str) -> Refusal:
    return Refusal(500, "not_configured", f"SLIPWAY_API__PUBLIC_URL {why}")


def _unreadable() -> Refusal:
    return Refusal(
        400, "invalid_callback", "The platform's answer cannot be read. Start connecting the account again."
    )
