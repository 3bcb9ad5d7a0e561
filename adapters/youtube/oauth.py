"""Connecting a channel and keeping it connected: consent page, code, refresh, and whose grant it is.

Source: developers.google.com/identity/protocols/oauth2/web-server, read 2026-11-24. ``access_type=offline`` with
``prompt=consent`` because Google gives a refresh token at a first consent only. While the app's consent screen is in
"Testing", refresh tokens die after seven days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlencode

from pydantic import SecretStr, ValidationError

from adapters.contract import Account, Credentials, RemoteAccount
from adapters.error_table import Phase
from adapters.errors import PermissionMissing
from adapters.http import HttpClient
from adapters.oauth import TokenResponse, build_code_form, build_credentials, build_refresh_form
from adapters.transport import Request
from adapters.youtube.client import Channels
from adapters.youtube.errors import of_oauth, unclear
from adapters.youtube.transport import send
from adapters.youtube.wire import Channel

UPLOAD_SCOPE = "https://www.googleapis.com/auth/youtube.upload"
READ_SCOPE = "https://www.googleapis.com/auth/youtube.readonly"
SCOPES = (UPLOAD_SCOPE, READ_SCOPE)
CONNECTION = "channel"


@dataclass(frozen=True, kw_only=True, slots=True)
class OAuth:
    """Google's OAuth 2.0 for web servers."""

    client: HttpClient
    api: str
    tokens: str
    accounts: str
    app_id: str
    app_secret: SecretStr = field(repr=False)

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """The consent page."""
        params = {
            "client_id": self.app_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": " ".join(SCOPES),
            "access_type": "offline",
            "prompt": "consent",
            "state": state,
        }
        if code_challenge is not None:
            params |= {"code_challenge": code_challenge, "code_challenge_method": "S256"}
        return f"{self.accounts}/o/oauth2/v2/auth?{urlencode(params)}"

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        """The grant behind a code. PermissionMissing when the person unticked a permission we cannot do without."""
        got = self._token(build_code_form(code, redirect_uri, code_verifier), None)
        missing = [scope.rpartition("/")[2] for scope in SCOPES if got.scopes and scope not in got.scopes]
        if missing:
            raise PermissionMissing(
                f"The grant lacks {' and '.join(missing)}.",
                next_action="Connect the channel again and leave every permission ticked.",
            )
        return got

    def refresh(self, account: Account) -> Credentials:
        """A new access token; the refresh token mostly stays and is returned either way."""
        form = build_refresh_form(
            account, "No refresh token is kept for this channel.", "Connect the YouTube channel again."
        )
        return self._token(form, account.credentials)

    def discover(self, credentials: Credentials) -> tuple[RemoteAccount, ...]:
        """The channel that the person chose on the consent page; none for an account without a channel."""
        token = credentials.access_token.get_secret_value()
        channels = Channels(client=self.client, api=self.api, token=token)
        return tuple(
            _remote(channel, credentials) for channel in channels.mine("snippet,contentDetails,status")
        )

    def _token(self, form: Mapping[str, str], old: Credentials | None) -> Credentials:
        app = {"client_id": self.app_id, "client_secret": self.app_secret.get_secret_value()}
        request = Request(method="POST", url=f"{self.tokens}/token", form={**app, **form})
        answer = send(self.client, request, Phase.PREPARE)
        if answer.status != HTTPStatus.OK:
            raise of_oauth(answer)
        try:
            grant = TokenResponse.model_validate_json(answer.body)
        except ValidationError:
            raise unclear(Phase.PREPARE, platform_code="unreadable_answer", status=answer.status) from None
        return build_credentials(grant, old)


def _remote(channel: Channel, credentials: Credentials) -> RemoteAccount:
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
