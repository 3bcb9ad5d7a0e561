"""OAuth for Pinterest accounts: consent page, codes, rotating refresh tokens, and account discovery.

Source: Pinterest's OpenAPI description 5.23.0 (oauth/token) and developers.pinterest.com/docs/getting-started, read
2026-11-24. Access tokens live 30 days. Refresh tokens live 60 days and rotate: each refresh returns a new one, which
replaces the old. ``continuous_refresh`` requests that for apps older than 2025-09-25; newer apps always get it.
Pinterest documents no PKCE.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from adapters.base import BaseAdapter
from adapters.contract import Account, Credentials, RemoteAccount
from adapters.oauth import (
    build_code_form,
    build_consent_url,
    build_refresh_form,
    request_token,
    translate_code_refusal,
)
from adapters.pinterest import limits
from adapters.pinterest.client import Client
from adapters.pinterest.errors import SERVICE, translate_oauth_error
from adapters.pinterest.wire import Board
from adapters.transport import Request

SCOPES = ("boards:read", "boards:write", "pins:read", "pins:write", "user_accounts:read")


class OAuth(BaseAdapter):
    """The OAuth flow that connects a Pinterest account."""

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:  # noqa: ARG002
        """Return the URL of the consent page."""
        address, app = f"{self._settings.hosts['www']}/oauth/", {"client_id": self._settings.app_id}
        return build_consent_url(address, app, ",".join(SCOPES), redirect_uri, state)

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:  # noqa: ARG002
        """Exchange the code for tokens. Raises Rejected (code ``code_refused``) when Pinterest refuses it."""
        with translate_code_refusal(SERVICE):
            return self._request_token(build_code_form(code, redirect_uri), None)

    def refresh(self, account: Account) -> Credentials:
        """Return new tokens. Raises CredentialsRevoked when Pinterest no longer renews the grant."""
        form = build_refresh_form(
            account,
            "There is no refresh token for this Pinterest account.",
            "Connect the Pinterest account again.",
        )
        return self._request_token(form, account.credentials)

    def discover(self, credentials: Credentials) -> tuple[RemoteAccount, ...]:
        """Return the one account of a grant, with its boards, from which a user can choose a default."""
        client = Client(self._http, self._settings, credentials.access_token)
        user = client.read_user()
        return (
            RemoteAccount(
                remote_id=user.id or user.username,
                username=user.username,
                display_name=user.business_name or user.username,
                connection="user",
                credentials=credentials,
                settings=_list_boards(client),
            ),
        )

    def _request_token(self, form: Mapping[str, str], old: Credentials | None) -> Credentials:
        request = Request(
            method="POST",
            url=f"{self._settings.hosts['api']}/oauth/token",
            headers={"Authorization": f"Basic {self._encode_app()}"},
            form={**form, "continuous_refresh": "true"},
        )
        return request_token(self._http, SERVICE, request, old, translate_oauth_error)

    def _encode_app(self) -> str:
        secret = self._settings.app_secret.get_secret_value()
        return b64encode(f"{self._settings.app_id}:{secret}".encode()).decode()


def _list_boards(client: Client) -> dict[str, Any]:
    """Return the boards on all pages, and whether the account has more than are read."""
    found: list[Board] = []
    bookmark = None
    for _ in range(limits.BOARD_PAGES):
        page = client.list_boards(bookmark)
        found += page.items
        bookmark = page.bookmark
        if not bookmark:
            break
    boards = [{"id": board.id, "name": board.name, "privacy": board.privacy} for board in found]
    return {"boards": boards, "has_more_boards": bool(bookmark)}
