"""Forms and tokens of the OAuth code flow that TikTok, YouTube, Pinterest and LinkedIn share.

Consent pages, scopes and the meaning of refusals are in ``<platform>/oauth.py``. Source: RFC 6749, sections 4.1 and 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr

from adapters.contract import Account, Credentials
from adapters.errors import CredentialsRevoked, Rejected


class TokenResponse(BaseModel):
    """A token endpoint's response (RFC 6749 section 5.1), with the refresh token's lifetime. Never shows a token."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    access_token: SecretStr = Field(min_length=1)
    refresh_token: SecretStr | None = None
    expires_in: int | None = None
    refresh_expires_in: int | None = Field(
        default=None, validation_alias=AliasChoices("refresh_expires_in", "refresh_token_expires_in")
    )
    scope: str | None = None


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
            platform_code=refusal.platform_code,
            platform_message=refusal.platform_message,
            http_status=refusal.http_status,
            next_action="Start again from connecting the account.",
        ) from None


def _add_seconds(now: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)
