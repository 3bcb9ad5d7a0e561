"""Connecting Pages: a user token lists them, and each is spoken for with a token of its own.

A Page's token derived from a long user token does not expire by time; it dies with a password change, a lost role or
the app's removal. The user token (60 days) is kept as the refresh token: from it new Page tokens are made.
Sources: see ``adapters.graph_oauth``; scopes: developers.facebook.com/docs/pages-api/posts, 2026-09-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapters.contract import Account, Credentials, PlatformSettings, RemoteAccount
from adapters.errors import CredentialsExpired, CredentialsRevoked, PermissionMissing
from adapters.facebook.errors import TABLE
from adapters.graph_api import RECONNECT, Graph
from adapters.graph_oauth import Page, dead, dialog_url, long_lived, page_of, pages, user_credentials
from adapters.http import Client

SCOPES = ("pages_show_list", "pages_read_engagement", "pages_manage_posts")
TASK = "CREATE_CONTENT"


class Login:
    """A person's Pages, and their tokens."""

    def __init__(self, client: Client, settings: PlatformSettings) -> None:
        self._settings = settings
        base = f"{settings.hosts['graph']}/{settings.version}"
        self._graph = Graph(client, service="Facebook", base=base, table=TABLE)

    def authorize_url(self, redirect_uri: str, state: str) -> str:
        """Where the person consents."""
        return dialog_url(self._settings.hosts["www"], self._settings, SCOPES, redirect_uri, state)

    def exchange(self, code: str, redirect_uri: str) -> Credentials:
        """The person's long-lived token; ``discover`` turns it into Page tokens."""
        return user_credentials(self._graph, self._settings, code, redirect_uri, SCOPES)

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """The Pages on which this person may create content."""
        found = pages(self._graph, self._settings, credentials.access_token, "id,name,access_token,tasks")
        return [account for page in found for account in _usable(page, credentials)]

    def refresh(self, account: Account) -> Credentials:
        """A new user token, and from it a new Page token; CredentialsRevoked when the user token is dead."""
        user = account.credentials.refresh_token
        if user is None:
            raise CredentialsRevoked("Facebook: no user token is kept for this Page", next_action=RECONNECT)
        fresh = long_lived(self._graph, self._settings, user, account.credentials.scopes)
        token = fresh.access_token.get_secret_value()
        try:
            page = page_of(self._graph, token, account.remote_id, "id,name,access_token")
        except CredentialsExpired as error:
            raise dead(error) from None
        if page.access_token is None:
            raise PermissionMissing(
                "Facebook: this person may no longer act for the Page", next_action=RECONNECT
            )
        return _of_page(page, fresh)


def _usable(page: Page, user: Credentials) -> Sequence[RemoteAccount]:
    if page.access_token is None or (page.tasks is not None and TASK not in page.tasks):
        return []
    account = RemoteAccount(
        remote_id=page.id,
        username=page.name,
        display_name=page.name,
        connection="page",
        credentials=_of_page(page, user),
    )
    return [account]


def _of_page(page: Page, user: Credentials) -> Credentials:
    return replace(
        user,
        access_token=page.access_token or user.access_token,
        refresh_token=user.access_token,
        expires_at=None,
        refresh_expires_at=user.expires_at,
    )
