"""OAuth for Facebook Pages: a user token lists the Pages, each of which has a token of its own.

A Page token made from a long-lived user token does not expire by time; a password change, a lost role or the app's
removal ends it. The user token (60 days) is stored as the refresh token: new Page tokens are made from it.
Sources: see ``adapters.graph_oauth``; scopes: developers.facebook.com/docs/pages-api/posts, 2026-09-11, and
.../comments-mentions, 2026-04-16. The latter prints ``pages_read_user_engagement`` too, which is not requested: we read
the Page's own comments only, and features-reference/page-public-content-access names ``pages_read_user_content``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapters.base import BaseAdapter
from adapters.contract import Account, Credentials, RemoteAccount
from adapters.errors import CredentialsExpired, CredentialsRevoked, PermissionMissing
from adapters.facebook.client import build_graph_client
from adapters.graph_errors import RECONNECT
from adapters.graph_oauth import (
    Page,
    build_dialog_url,
    build_revoked_error,
    exchange_code,
    extend_token,
    list_pages,
    read_signed_request,
    read_user_id,
    revoke_permissions,
)
from adapters.oauth import Deauthorization

SCOPES = ("pages_show_list", "pages_read_engagement", "pages_manage_posts", "pages_manage_engagement")
TASK = "CREATE_CONTENT"


class OAuth(BaseAdapter):
    """The OAuth flow that connects a user's Pages."""

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:  # noqa: ARG002
        """Return the URL of the consent page."""
        return build_dialog_url(self._settings.hosts["www"], self._settings, SCOPES, redirect_uri, state)

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:  # noqa: ARG002
        """Exchange the code for the user's long-lived token; ``discover`` turns it into Page tokens."""
        return exchange_code(
            build_graph_client(self._http, self._settings), self._settings, code, redirect_uri, SCOPES
        )

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """Return the Pages on which the user may create content."""
        graph = build_graph_client(self._http, self._settings, credentials)
        found = list_pages(graph, self._settings, "id,name,access_token,tasks")
        accounts = [account for page in found for account in _to_remote_accounts(page, credentials)]
        user = read_user_id(graph) if accounts else None
        return [replace(account, granted_by=user) for account in accounts]

    def refresh(self, account: Account) -> Credentials:
        """Extend the user token and make a new Page token. Raises CredentialsRevoked when the user token is dead."""
        user = account.credentials.refresh_token
        if user is None:
            raise CredentialsRevoked("Facebook: no user token is stored for this Page", next_action=RECONNECT)
        fresh = extend_token(
            build_graph_client(self._http, self._settings), self._settings, user, account.credentials.scopes
        )
        graph = build_graph_client(self._http, self._settings, fresh)
        try:
            page = graph.read(Page, account.remote_id, fields="id,name,access_token").data
        except CredentialsExpired as error:
            raise build_revoked_error(error) from None
        if page.access_token is None:
            raise PermissionMissing(
                "Facebook: this user may no longer act for the Page", next_action=RECONNECT
            )
        return _build_page_credentials(page, fresh)

    def revoke(self, account: Account) -> bool:
        """End the grant of the user who connected the Page, with the user token; False without one."""
        user = account.credentials.refresh_token
        if user is not None:
            credentials = replace(account.credentials, access_token=user)
            revoke_permissions(build_graph_client(self._http, self._settings, credentials))
        return user is not None

    def read_deauthorization(self, signed: str) -> Deauthorization:
        """Return which user removed the app, and when. Raises Rejected unless its secret signed it."""
        return read_signed_request(self._settings, signed)


def _to_remote_accounts(page: Page, user: Credentials) -> Sequence[RemoteAccount]:
    if page.access_token is None or (page.tasks is not None and TASK not in page.tasks):
        return []
    account = RemoteAccount(
        remote_id=page.id,
        username=page.name,
        display_name=page.name,
        connection="page",
        credentials=_build_page_credentials(page, user),
    )
    return [account]


def _build_page_credentials(page: Page, user: Credentials) -> Credentials:
    return replace(
        user,
        access_token=page.access_token or user.access_token,
        refresh_token=user.access_token,
        expires_at=None,
        refresh_expires_at=user.expires_at,
    )
