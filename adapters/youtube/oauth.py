"""Google's OAuth for a channel: consent page, code exchange, refresh, and discovery of the channel.

Source: developers.google.com/identity/protocols/oauth2/web-server, read 2026-11-24. ``access_type=offline`` needs
``prompt=consent``, because Google issues a refresh token only at the first consent. While the app's consent screen is
in "Testing", refresh tokens expire after seven days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from pydantic import ValidationError

from adapters.contract import Account, Credentials, PlatformSettings, RemoteAccount
from adapters.error_table import Phase
from adapters.errors import PermissionMissing
from adapters.http import HttpClient
from adapters.oauth import TokenResponse, build_code_form, build_credentials, build_refresh_form
from adapters.transport import Request
from adapters.youtube.client import Client, send
from adapters.youtube.errors import build_unclear_error, translate_oauth_error
from adapters.youtube.wire import Channel

UPLOAD_SCOPE = "https://www.googleapis.com/auth/youtube.upload"
READ_SCOPE = "https://www.googleapis.com/auth/youtube.readonly"
SCOPES = (UPLOAD_SCOPE, READ_SCOPE)
CONNECTION = "channel"


@dataclass(frozen=True, kw_only=True, slots=True)
class OAuth:
    """Google's OAuth 2.0 for web servers."""

    http: HttpClient
    settings: PlatformSettings

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """Return the URL of the consent page, with PKCE if a challenge is given."""
        params = {
            "client_id": self.settings.app_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": " ".join(SCOPES),
            "access_type": "offline",
            "prompt": "consent",
            "state": state,
        }
        if code_challenge is not None:
            params |= {"code_challenge": code_challenge, "code_challenge_method": "S256"}
        return f"{self.settings.hosts['accounts']}/o/oauth2/v2/auth?{urlencode(params)}"

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

    def discover(self, credentials: Credentials) -> tuple[RemoteAccount, ...]:
        """List the channel that the user chose on the consent page; empty for an account without a channel."""
        token = credentials.access_token.get_secret_value()
        client = Client(http=self.http, api=self.settings.hosts["api"], token=token)
        channels = client.list_own_channels("snippet,contentDetails,status")
        return tuple(_to_remote_account(channel, credentials) for channel in channels)

    def _request_token(self, form: Mapping[str, str], old: Credentials | None) -> Credentials:
        app = {
            "client_id": self.settings.app_id,
            "client_secret": self.settings.app_secret.get_secret_value(),
        }
        request = Request(method="POST", url=f"{self.settings.hosts['oauth']}/token", form={**app, **form})
        response = send(self.http, request, Phase.PREPARE)
        if response.status != HTTPStatus.OK:
            raise translate_oauth_error(response)
        try:
            token = TokenResponse.model_validate_json(response.body)
        except ValidationError:
            raise build_unclear_error(
                Phase.PREPARE, platform_code="unreadable_answer", status=response.status
            ) from None
        return build_credentials(token, old)


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
