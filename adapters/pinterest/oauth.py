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
from typing import Any
from urllib.parse import urlencode

from adapters.contract import Account, Credentials, PlatformSettings, RemoteAccount
from adapters.error_table import Step
from adapters.http import Client
from adapters.oauth import Grant, code_form, no_grant_yet, refresh_form
from adapters.oauth import credentials as credentials_of
from adapters.pinterest import limits
from adapters.pinterest.client import Calls
from adapters.pinterest.errors import SERVICE, of_oauth
from adapters.pinterest.wire import Board
from adapters.transport import Request, read, send

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
        with no_grant_yet(SERVICE):
            return self._token(code_form(code, redirect_uri), None)

    def refresh(self, account: Account) -> Credentials:
        """New tokens for old. Raises CredentialsRevoked when Pinterest no longer renews the grant."""
        form = refresh_form(
            account,
            "There is no refresh token for this Pinterest account.",
            "Connect the Pinterest account again.",
        )
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
        request = Request(
            method="POST",
            url=f"{self.settings.hosts['api']}/oauth/token",
            headers={"Authorization": f"Basic {self._app()}"},
            form={**form, "continuous_refresh": "true"},
        )
        answer = send(self.client, SERVICE, request, Step.PREPARE)
        return credentials_of(read(answer, Grant, SERVICE, Step.PREPARE, lambda said, _: of_oauth(said)), old)

    def _app(self) -> str:
        secret = self.settings.app_secret.get_secret_value()
        return b64encode(f"{self.settings.app_id}:{secret}".encode()).decode()


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
