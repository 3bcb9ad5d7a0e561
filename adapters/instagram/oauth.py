"""Connecting an Instagram account and keeping its token alive, through Instagram Login or Facebook Login.

Source: developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login, updated
2026-03-13, and .../reference/refresh_access_token, read 2026-11-24. A token dies after 60 days; a dead one cannot be
refreshed, so the core refreshes early.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlencode

from pydantic import ValidationError

from adapters.contract import Account, Credentials, PlatformSettings, RemoteAccount
from adapters.errors import CredentialsExpired, Rejected, Unavailable
from adapters.graph_api import Graph, answered, refusal
from adapters.graph_oauth import Page, TokenGrant, dead, dialog_url, long_lived, pages, user_credentials
from adapters.http import Answer, Client
from adapters.instagram.client import graph_of
from adapters.instagram.errors import TABLE
from adapters.instagram.wire import Me, MeList, ShortTokens

INSTAGRAM_SCOPES = ("instagram_business_basic", "instagram_business_content_publish")
FACEBOOK_SCOPES = (
    "instagram_basic",
    "instagram_content_publish",
    "pages_show_list",
    "pages_read_engagement",
)


class Login:
    """``settings.options["connection"]`` says which of the two a new account is connected through."""

    def __init__(self, client: Client, settings: PlatformSettings) -> None:
        self._client = client
        self._settings = settings
        self._connection = str(settings.options.get("connection", "instagram_login"))

    def authorize_url(self, redirect_uri: str, state: str) -> str:
        """Where the person consents."""
        if self._connection == "facebook_login":
            www = self._settings.hosts["facebook_www"]
            return dialog_url(www, self._settings, FACEBOOK_SCOPES, redirect_uri, state)
        query = {
            "client_id": self._settings.app_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": ",".join(INSTAGRAM_SCOPES),
            "state": state,
        }
        return f"{self._settings.hosts['www']}/oauth/authorize?{urlencode(query)}"

    def exchange(self, code: str, redirect_uri: str) -> Credentials:
        """A code for a short token, that for a long one; Rejected when the code is not taken."""
        code = code.removesuffix("#_")  # appended by Instagram, not part of the code
        if self._connection == "facebook_login":
            return user_credentials(
                self._graph("facebook_login"), self._settings, code, redirect_uri, FACEBOOK_SCOPES
            )
        short = _short_token(self._ask_short_token(code, redirect_uri))
        return self._granted(
            "access_token",
            grant_type="ig_exchange_token",
            client_secret=self._settings.app_secret.get_secret_value(),
            access_token=short,
        )

    def refresh(self, account: Account) -> Credentials:
        """60 more days; CredentialsRevoked when the token is dead already."""
        token = account.credentials.access_token
        if account.connection == "facebook_login":
            scopes = account.credentials.scopes
            return long_lived(self._graph("facebook_login"), self._settings, token, scopes)
        try:
            return self._granted(
                "refresh_access_token",
                grant_type="ig_refresh_token",
                access_token=token.get_secret_value(),
            )
        except CredentialsExpired as error:
            raise dead(error) from None
        except (
            Rejected
        ) as error:  # a token of less than a day is refused as a wrong parameter; it still works
            raise Unavailable(
                "Instagram does not refresh this token yet",
                code="refresh_too_early",
                retry_after=timedelta(hours=1),
                platform_code=error.platform_code,
                http_status=error.http_status,
            ) from None

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """The account of an Instagram token, or the accounts behind the Pages of a Facebook one."""
        if self._connection == "facebook_login":
            fields = "id,name,access_token,tasks,instagram_business_account{id,username}"
            found = pages(self._graph("facebook_login"), self._settings, credentials.access_token, fields)
            return [account for page in found for account in _behind(page, credentials)]
        token = credentials.access_token.get_secret_value()
        said = self._graph("instagram_login").read(MeList, "me", token, fields="user_id,username,name")
        return [_own(me, credentials) for me in said.data.data]

    def _graph(self, connection: str) -> Graph:
        return graph_of(self._client, self._settings, connection)

    def _ask_short_token(self, code: str, redirect_uri: str) -> Answer:
        form = {
            "client_id": self._settings.app_id,
            "client_secret": self._settings.app_secret.get_secret_value(),
            "grant_type": "authorization_code",
            "redirect_uri": redirect_uri,
            "code": code,
        }
        url = f"{self._settings.hosts['api']}/oauth/access_token"
        return answered(self._client, "Instagram", "POST", url, visible=False, form=form)

    def _granted(self, path: str, **params: str) -> Credentials:
        """A long token; these two endpoints take no version and the token as a parameter only."""
        host = Graph(self._client, service="Instagram", base=self._settings.hosts["graph"], table=TABLE)
        grant = host.read(TokenGrant, path, "", **params).data
        return Credentials(
            access_token=grant.access_token, expires_at=grant.expires_at, scopes=INSTAGRAM_SCOPES
        )


def _short_token(answer: Answer) -> str:
    if answer.status == 400:  # noqa: PLR2004 {"error_type": …, "code": 400, "error_message": …}: no Graph envelope
        raise Rejected("Instagram did not take the code; start connecting again", http_status=400)
    if answer.status != 200:  # noqa: PLR2004
        raise refusal("Instagram", answer, TABLE, visible=False)
    try:
        token = ShortTokens.model_validate_json(answer.body).token
    except ValidationError:
        token = None
    if token is None:
        raise Unavailable("Instagram answered something unreadable", http_status=answer.status)
    return token.get_secret_value()


def _own(me: Me, credentials: Credentials) -> RemoteAccount:
    return RemoteAccount(
        remote_id=me.user_id,
        username=me.username,
        display_name=me.name or me.username,
        connection="instagram_login",
        credentials=credentials,
    )


def _behind(page: Page, credentials: Credentials) -> Sequence[RemoteAccount]:
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
