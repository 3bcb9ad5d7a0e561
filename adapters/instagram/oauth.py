"""OAuth for Instagram accounts, through Instagram Login or Facebook Login.

Source: developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login, updated
2026-03-13, and .../reference/refresh_access_token, read 2026-11-24. A token lives 60 days; an expired one cannot be
refreshed, so the token refresh runs early.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from adapters.base import BaseAdapter
from adapters.contract import Account, Credentials, RemoteAccount
from adapters.errors import CredentialsExpired, Rejected, Unavailable
from adapters.graph_api import GraphClient, send
from adapters.graph_errors import build_error
from adapters.graph_oauth import (
    GraphTokenResponse,
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
from adapters.http import Response
from adapters.instagram.client import build_graph_client
from adapters.instagram.errors import SERVICE, TABLE
from adapters.instagram.wire import Me, MeList, ShortTokens
from adapters.oauth import Deauthorization, build_app_form, build_code_form, build_consent_url

INSTAGRAM_SCOPES = (
    "instagram_business_basic",
    "instagram_business_content_publish",
    "instagram_business_manage_comments",
)
FACEBOOK_SCOPES = (
    "instagram_basic",
    "instagram_content_publish",
    "instagram_manage_comments",
    "pages_show_list",
    "pages_read_engagement",
)


class OAuth(BaseAdapter):
    """The OAuth flow of the login that ``settings.options["connection"]`` names."""

    @property
    def _connection(self) -> str:
        return str(self._settings.options.get("connection", "instagram_login"))

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:  # noqa: ARG002
        """Return the URL of the consent page."""
        if self._connection == "facebook_login":
            www = self._settings.hosts["facebook_www"]
            return build_dialog_url(www, self._settings, FACEBOOK_SCOPES, redirect_uri, state)
        address, app = f"{self._settings.hosts['www']}/oauth/authorize", {"client_id": self._settings.app_id}
        return build_consent_url(address, app, ",".join(INSTAGRAM_SCOPES), redirect_uri, state)

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:  # noqa: ARG002
        """Exchange the code for a short token, and that for a long one. Raises Rejected when the code is refused."""
        code = code.removesuffix("#_")  # Instagram appends it; it is not part of the code
        if self._connection == "facebook_login":
            return exchange_code(
                self._graph("facebook_login"), self._settings, code, redirect_uri, FACEBOOK_SCOPES
            )
        short = _parse_short_token(self._request_short_token(code, redirect_uri))
        return self._request_long_token(
            "access_token",
            INSTAGRAM_SCOPES,
            grant_type="ig_exchange_token",
            client_secret=self._settings.app_secret.get_secret_value(),
            access_token=short,
        )

    def refresh(self, account: Account) -> Credentials:
        """Extend the token by 60 days. Raises CredentialsRevoked when it has expired."""
        token = account.credentials.access_token
        if account.connection == "facebook_login":
            scopes = account.credentials.scopes
            return extend_token(self._graph("facebook_login"), self._settings, token, scopes)
        try:
            return self._request_long_token(
                "refresh_access_token",
                account.credentials.scopes,
                grant_type="ig_refresh_token",
                access_token=token.get_secret_value(),
            )
        except CredentialsExpired as error:
            raise build_revoked_error(error) from None
        except Rejected as error:
            # Instagram refuses a token younger than a day as a wrong parameter; the token still works
            raise Unavailable(
                "Instagram does not refresh this token yet",
                code="refresh_too_early",
                retry_after=timedelta(hours=1),
                platform_code=error.platform_code,
                http_status=error.http_status,
            ) from None

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """Return the account of an Instagram token, or the accounts linked to the Pages of a Facebook token."""
        if self._connection == "facebook_login":
            fields = "id,name,access_token,tasks,instagram_business_account{id,username}"
            facebook = self._graph("facebook_login", credentials)
            found = list_pages(facebook, self._settings, fields)
            accounts = [account for page in found for account in _to_linked_accounts(page, credentials)]
            user = read_user_id(facebook) if accounts else None
            return [replace(account, granted_by=user) for account in accounts]
        graph = self._graph("instagram_login", credentials)
        response = graph.read(MeList, "me", fields="id,user_id,username,name")
        return [_to_remote_account(me, credentials) for me in response.data.data]

    def revoke(self, account: Account) -> bool:
        """End the grant of a Facebook login; False for an Instagram login, for which Meta documents no call."""
        is_facebook = account.connection == "facebook_login"
        if is_facebook:
            revoke_permissions(self._graph("facebook_login", account.credentials))
        return is_facebook

    def read_deauthorization(self, signed: str) -> Deauthorization:
        """Return which user removed the app, and when. Raises Rejected unless its secret signed it."""
        return read_signed_request(self._settings, signed)

    def _graph(self, connection: str, credentials: Credentials | None = None) -> GraphClient:
        return build_graph_client(self._http, self._settings, connection, credentials)

    def _request_short_token(self, code: str, redirect_uri: str) -> Response:
        form = {**build_app_form(self._settings), **build_code_form(code, redirect_uri)}
        url = f"{self._settings.hosts['api']}/oauth/access_token"
        return send(self._http, SERVICE, "POST", url, visible=False, form=form)

    def _request_long_token(self, path: str, scopes: tuple[str, ...], **params: str) -> Credentials:
        """Request a long token; these two endpoints take no version, and the token only as a parameter."""
        host = GraphClient(http=self._http, service=SERVICE, base=self._settings.hosts["graph"], table=TABLE)
        grant = host.read(GraphTokenResponse, path, **params).data
        return Credentials(access_token=grant.access_token, expires_at=grant.expires_at, scopes=scopes)


def _parse_short_token(response: Response) -> str:
    if response.status == 400:  # noqa: PLR2004 {"error_type": …, "code": 400, "error_message": …}: no Graph envelope
        raise Rejected("Instagram refused the code; connect the account again", http_status=400)
    if response.status != 200:  # noqa: PLR2004
        raise build_error(SERVICE, response, TABLE, visible=False)
    found = response.parse(ShortTokens)
    if found is None or found.token is None:
        raise Unavailable("Instagram sent an unreadable response", http_status=response.status)
    return found.token.get_secret_value()


def _to_remote_account(me: Me, credentials: Credentials) -> RemoteAccount:
    return RemoteAccount(
        remote_id=me.user_id,
        username=me.username,
        display_name=me.name or me.username,
        connection="instagram_login",
        credentials=credentials,
        granted_by=me.id,
    )


def _to_linked_accounts(page: Page, credentials: Credentials) -> Sequence[RemoteAccount]:
    linked = page.instagram_business_account
    if linked is None:
        return []
    account = RemoteAccount(
        remote_id=linked.id,
        username=linked.username,
        display_name=linked.username or page.name,
        connection="facebook_login",
        credentials=credentials,
        settings={"page_id": page.id},
    )
    return [account]
