"""What the OAuth code flow of TikTok, YouTube, Pinterest and LinkedIn has in common once an answer was read.

Where each asks for consent, in which words, and what its refusals mean stays with the platform.
Source: RFC 6749 sections 4.1 and 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr

from adapters.contract import Account, Credentials
from adapters.errors import CredentialsRevoked, Rejected


class TokenResponse(BaseModel):
    """A token endpoint's answer (section 5.1), with what vendors call the refresh token's life. Never shows a token."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    access_token: SecretStr = Field(min_length=1)
    refresh_token: SecretStr | None = None
    expires_in: int | None = None
    refresh_expires_in: int | None = Field(
        default=None, validation_alias=AliasChoices("refresh_expires_in", "refresh_token_expires_in")
    )
    scope: str | None = None


def build_credentials(grant: TokenResponse, old: Credentials | None) -> Credentials:
    """The grant as we keep it; what the platform does not repeat at a refresh stays as it was."""
    now = datetime.now(UTC)
    scopes = tuple((grant.scope or "").replace(",", " ").split())
    return Credentials(
        access_token=grant.access_token,
        refresh_token=grant.refresh_token or (old.refresh_token if old else None),
        expires_at=_after(now, grant.expires_in),
        refresh_expires_at=_after(now, grant.refresh_expires_in) or (old.refresh_expires_at if old else None),
        scopes=scopes or (old.scopes if old else ()),
    )


def build_refresh_form(account: Account, why_none: str, next_action: str) -> dict[str, str]:
    """The form of section 6. Raises CredentialsRevoked (``why_none``) where no refresh token is kept."""
    token = account.credentials.refresh_token
    if token is None or not token.get_secret_value():
        raise CredentialsRevoked(why_none, next_action=next_action)
    return {"grant_type": "refresh_token", "refresh_token": token.get_secret_value()}


def build_code_form(code: str, redirect_uri: str, verifier: str | None = None) -> dict[str, str]:
    """The form of section 4.1.3, with PKCE's verifier where there is one."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    return form if verifier is None else {**form, "code_verifier": verifier}


@contextmanager
def translate_code_refusal(service: str) -> Iterator[None]:
    """A table speaks of refreshes; about a code "revoked" says only that the code was not taken."""
    try:
        yield
    except CredentialsRevoked as refusal:
        raise Rejected(
            f"{service} did not accept the code of this consent.",
            code="code_refused",
            platform_code=refusal.platform_code,
            http_status=refusal.http_status,
            next_action="Start connecting the account again.",
        ) from None


def _after(now: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)
