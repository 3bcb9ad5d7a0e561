"""Google's OAuth for a channel: consent page, code exchange, refresh, and discovery of the channel.

Source: developers.google.com/identity/protocols/oauth2/web-server, read 2026-11-24. ``access_type=offline`` needs
``prompt=consent``, because Google issues a refresh token only at the first consent. While the app's consent screen is
in "Testing", refresh tokens expire after seven days.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from adapters.base import BaseAdapter
from adapters.contract import Account, Credentials, RemoteAccount
from adapters.error_table import Phase
from adapters.errors import PermissionMissing
from adapters.oauth import (
    build_app_form,
    build_code_form,
    build_consent_url,
    build_pkce,
    build_refresh_form,
    request_token,
)
from adapters.transport import Request, send
from adapters.youtube.client import Client
from adapters.youtube.errors import SERVICE, translate_oauth_error, translate_revocation
from adapters.youtube.wire import Channel

UPLOAD_SCOPE = "https://www.googleapis.com/auth/youtube.upload"
READ_SCOPE = "https://www.googleapis.com/auth/youtube.readonly"
MANAGE_SCOPE = "https://www.googleapis.com/auth/youtube.force-ssl"
"""What playlists and first comments need; it allows far more, so it is asked for only where the operator says so."""
SCOPES = (UPLOAD_SCOPE, READ_SCOPE)
CONNECTION = "channel"


class OAuth(BaseAdapter):
    """Google's OAuth 2.0 for web servers."""

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """Return the URL of the consent page, with PKCE if a challenge is given."""
        return build_consent_url(
            f"{self._settings.hosts['accounts']}/o/oauth2/v2/auth",
            {"client_id": self._settings.app_id},
            " ".join((*SCOPES, MANAGE_SCOPE) if self._settings.options.get("playlists") else SCOPES),
            redirect_uri,
            state,
            access_type="offline",
            prompt="consent",
            **build_pkce(code_challenge),
        )

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        """Exchange a code for credentials. Raise PermissionMissing if the user unticked a required permission."""
        credentials = self._request_token(build_code_form(code, redirect_uri, code_verifier), None)
        missing = [
            scope.rpartition("/")[2]
            for scope in SCOPES
            if credentials.scopes and scope not in credentials.scopes
        ]
        if missing:
            raise PermissionMissing(
                f"The permission {' and '.join(missing)} was not granted.",
                next_action="Connect the channel again and leave every permission ticked.",
            )
        return credentials

    def refresh(self, account: Account) -> Credentials:
        """Refresh the access token; the refresh token usually stays the same and is returned in either case."""
        form = build_refresh_form(
            account, "No refresh token is stored for this channel.", "Connect the YouTube channel again."
        )
        return self._request_token(form, account.credentials)

    def revoke(self, account: Account) -> bool:
        """End the grant of our app: of all channels of the user. Google answers 400 for a token that is not valid."""
        token = account.credentials.refresh_token or account.credentials.access_token
        form = {"token": token.get_secret_value()}
        request = Request(method="POST", url=f"{self._settings.hosts['oauth']}/revoke", form=form)
        response = send(self._http, SERVICE, request, Phase.PREPARE)
        if response.status != HTTPStatus.OK:
            raise translate_revocation(response)
        return True

    def discover(self, credentials: Credentials) -> tuple[RemoteAccount, ...]:
        """List the channel that the user chose on the consent page; empty for an account without a channel."""
        client = Client(self._http, self._settings, credentials.access_token)
        channels = client.list_own_channels("snippet,contentDetails,status")
        return tuple(_to_remote_account(channel, credentials) for channel in channels)

    def _request_token(self, form: Mapping[str, str], old: Credentials | None) -> Credentials:
        form = {**build_app_form(self._settings), **form}
        request = Request(method="POST", url=f"{self._settings.hosts['oauth']}/token", form=form)
        return request_token(self._http, SERVICE, request, old, translate_oauth_error)


def _to_remote_account(channel: Channel, credentials: Credentials) -> RemoteAccount:
    title = channel.snippet.title or channel.id
    known = {
        "uploads": channel.content_details.related_playlists.uploads,
        "long_uploads": channel.status.long_uploads_status,
    }
    return RemoteAccount(
        remote_id=channel.id,
        username=(channel.snippet.custom_url or title).removeprefix("@"),
        display_name=title,
        connection=CONNECTION,
        credentials=credentials,
        settings={name: value for name, value in known.items() if value is not None},
    )
