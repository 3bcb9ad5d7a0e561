"""Forms and tokens of the OAuth code flow that TikTok, YouTube, Pinterest and LinkedIn share.

Consent pages, scopes and the meaning of refusals are in ``<platform>/oauth.py``. Source: RFC 6749, sections 4.1 and 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable
from urllib.parse import urlencode

from pydantic import AliasChoices, Field, SecretStr

from adapters.contract import Account, Credentials, PlatformSettings
from adapters.error_table import Phase
from adapters.errors import AdapterError, CredentialsRevoked, Rejected
from adapters.http import HttpClient, Response
from adapters.transport import Request, Wire, parse_response, send


@runtime_checkable
class RevokesGrants(Protocol):
    """An adapter of a platform that has a call to end a grant."""

    def revoke(self, account: Account) -> bool:
        """End the grant of an account; repeating it changes nothing more. False: there is no call for its connection.

        Raise CredentialsRevoked or CredentialsExpired if the token is not valid any more, else AdapterError.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Deauthorization:
    """A platform's word that a user removed our app."""

    user_id: str
    issued_at: datetime


@runtime_checkable
class ReportsDeauthorizations(Protocol):
    """An adapter of a platform that calls our app when a user removes it."""

    def read_deauthorization(self, signed: str) -> Deauthorization:
        """Return what a call says. Raise Rejected unless it is signed with our app's secret."""


class TokenResponse(Wire):
    """A token endpoint's response (RFC 6749 section 5.1), with the refresh token's lifetime. Never shows a token."""

    access_token: SecretStr = Field(min_length=1)
    refresh_token: SecretStr | None = None
    expires_in: int | None = None
    refresh_expires_in: int | None = Field(
        default=None, validation_alias=AliasChoices("refresh_expires_in", "refresh_token_expires_in")
    )
    scope: str | None = None


def build_consent_url(
    address: str, app: Mapping[str, str], scope: str, redirect_uri: str, state: str, **more: str
) -> str:
    """Return the URL of a consent page (RFC 6749 section 4.1.1); *app* holds the id of our app under its key."""
    params = {**app, "redirect_uri": redirect_uri, "response_type": "code", "scope": scope, "state": state}
    return f"{address}?{urlencode({**params, **more})}"


def build_pkce(code_challenge: str | None) -> dict[str, str]:
    """Return the parameters of PKCE; none without a challenge."""
    if code_challenge is None:
        return {}
    return {"code_challenge": code_challenge, "code_challenge_method": "S256"}


def build_app_form(settings: PlatformSettings) -> dict[str, str]:
    """Return the id and the secret of our app, as a token endpoint takes them."""
    return {"client_id": settings.app_id, "client_secret": settings.app_secret.get_secret_value()}


def request_token(
    http: HttpClient,
    service: str,
    request: Request,
    old: Credentials | None,
    to_error: Callable[[Response], AdapterError],
) -> Credentials:
    """Send a request to a token endpoint and return its credentials; raise *to_error*'s error for a refusal."""
    response = send(http, service, request, Phase.PREPARE)
    token = parse_response(
        response, TokenResponse, service, Phase.PREPARE, lambda refusal, _phase: to_error(refusal)
    )
    return build_credentials(token, old)


def build_credentials(token: TokenResponse, old: Credentials | None) -> Credentials:
    """Return the credentials of a token response; values that a refresh does not repeat come from *old*."""
    now = datetime.now(UTC)
    scopes = tuple((token.scope or "").replace(",", " ").split())
    return Credentials(
        access_token=token.access_token,
        refresh_token=token.refresh_token or (old.refresh_token if old else None),
        expires_at=_add_seconds(now, token.expires_in),
        refresh_expires_at=_add_seconds(now, token.refresh_expires_in)
        or (old.refresh_expires_at if old else None),
        scopes=scopes or (old.scopes if old else ()),
    )


def build_refresh_form(account: Account, message: str, next_action: str) -> dict[str, str]:
    """Return the form of RFC 6749 section 6. Raise CredentialsRevoked with *message* without a refresh token."""
    token = account.credentials.refresh_token
    if token is None or not token.get_secret_value():
        raise CredentialsRevoked(message, next_action=next_action)
    return {"grant_type": "refresh_token", "refresh_token": token.get_secret_value()}


def build_code_form(code: str, redirect_uri: str, verifier: str | None = None) -> dict[str, str]:
    """Return the form of RFC 6749 section 4.1.3, with PKCE's verifier if given."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    return form if verifier is None else {**form, "code_verifier": verifier}


@contextmanager
def translate_code_refusal(service: str) -> Iterator[None]:
    """Raise Rejected for CredentialsRevoked: error tables describe refreshes; here only the code was refused."""
    try:
        yield
    except CredentialsRevoked as refusal:
        raise Rejected(
            f"{service} did not accept the authorization code.",
            code="code_refused",
            next_action="Start again from connecting the account.",
            **refusal.reported,
        ) from None


def _add_seconds(now: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)
