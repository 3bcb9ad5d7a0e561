"""Connecting accounts and keeping them connected: consent page, codes, rotating refreshes, and whose grant it is.

Source: Pinterest's OpenAPI description 5.23.0 (oauth/token) and developers.pinterest.com/docs/getting-started, read
2026-11-24. Access tokens live 30 days. Refresh tokens live 60 days and rotate: each refresh gives a new one, which
replaces the old. ``continuous_refresh`` asks for that where our app is older than 2025-09-25; newer apps always get it.
Pinterest documents no PKCE.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError

from adapters.contract import Account, Credentials, PlatformSettings, RemoteAccount
from adapters.errors import CredentialsRevoked, Rejected
from adapters.http import Client
from adapters.pinterest import limits
from adapters.pinterest.calls import Calls, send
from adapters.pinterest.errors import Step, of_oauth, unclear
from adapters.pinterest.wire import Board, Grant

SCOPES = ("boards:read", "boards:write", "pins:read", "pins:write", "user_accounts:read")


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """Our app at Pinterest."""

    client: Client
    settings: PlatformSettings

    def authorize_url(self, redirect_uri: str, state: str) -> str:
        """The consent page."""
        params = {
            "client_id": self.settings.app_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": ",".join(SCOPES),
            "state": state,
        }
        return f"{self.settings.hosts['www']}/oauth/?{urlencode(params)}"

    def exchange(self, code: str, redirect_uri: str) -> Credentials:
        """The grant behind a code. Raises Rejected (code ``code_refused``) when Pinterest does not take it."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        try:
            return self._token(form, None)
        except CredentialsRevoked as refusal:  # the table speaks of refreshes: here there was no grant yet
            raise Rejected(
                "Pinterest did not accept the code of this consent.",
                code="code_refused",
                platform_code=refusal.platform_code,
                http_status=refusal.http_status,
                next_action="Start connecting the account again.",
            ) from None

    def refresh(self, account: Account) -> Credentials:
        """New tokens for old. Raises CredentialsRevoked when Pinterest no longer renews the grant."""
        token = account.credentials.refresh_token
        if token is None:
            raise CredentialsRevoked(
                "There is no refresh token for this Pinterest account.",
                next_action="Connect the Pinterest account again.",
            )
        form = {"grant_type": "refresh_token", "refresh_token": token.get_secret_value()}
        return self._token(form, account.credentials)

    def discover(self, credentials: Credentials) -> tuple[RemoteAccount, ...]:
        """The one account of a grant, its boards beside it so that a person can choose a default one."""
        calls = Calls(self.client, self.settings.hosts["api"], credentials.access_token)
        user = calls.user()
        return (
            RemoteAccount(
                remote_id=user.id or user.username,
                username=user.username,
                display_name=user.business_name or user.username,
                connection="user",
                credentials=credentials,
                settings={"boards": _boards(calls)},
            ),
        )

    def _token(self, form: Mapping[str, str], old: Credentials | None) -> Credentials:
        answer = send(
            self.client,
            "POST",
            f"{self.settings.hosts['api']}/oauth/token",
            step=Step.PREPARE,
            headers={"Authorization": f"Basic {self._app()}"},
            form={**form, "continuous_refresh": "true"},
        )
        if answer.status != HTTPStatus.OK:
            raise of_oauth(answer)
        try:
            return _credentials(Grant.model_validate_json(answer.body), old)
        except ValidationError:
            raise unclear(Step.PREPARE, platform_code="unreadable_answer", status=answer.status) from None

    def _app(self) -> str:
        secret = self.settings.app_secret.get_secret_value()
        return b64encode(f"{self.settings.app_id}:{secret}".encode()).decode()


def _credentials(grant: Grant, old: Credentials | None) -> Credentials:
    """The grant as we keep it; what Pinterest does not repeat stays as it was."""
    now = datetime.now(UTC)
    scopes = tuple(grant.scope.replace(",", " ").split())
    ends = _after(now, grant.refresh_token_expires_in)
    return Credentials(
        access_token=grant.access_token,
        refresh_token=grant.refresh_token or (old.refresh_token if old else None),
        expires_at=_after(now, grant.expires_in),
        refresh_expires_at=ends or (old.refresh_expires_at if old else None),
        scopes=scopes or (old.scopes if old else ()),
    )


def _after(now: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)


def _boards(calls: Calls) -> list[dict[str, Any]]:
    found: list[Board] = []
    bookmark = None
    for _ in range(limits.PAGES):
        page = calls.boards(bookmark)
        found += page.items
        bookmark = page.bookmark
        if not bookmark:
            break
    return [{"id": board.id, "name": board.name, "privacy": board.privacy} for board in found]
