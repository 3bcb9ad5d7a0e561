"""TikTok's OAuth: consent pages, code exchange, refresh, and discovery of the account, for both products.

Creator: Login Kit v2 (developers.tiktok.com/doc/oauth-user-access-token-management and login-kit-web). Business: the
TikTok account holder authorization of API for Business (business-api.tiktok.com/portal/docs?id=1738083939371009 and
?id=1738084387220481, through a digest of 2026-09-20). They share only the address of the consent page: portal, app and
tokens differ. Read 2026-11-24.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from adapters.base import BaseAdapter
from adapters.contract import Account, Credentials, RemoteAccount
from adapters.error_table import Phase
from adapters.errors import CredentialsExpired, CredentialsRevoked, PermissionMissing, Rejected
from adapters.http import Model
from adapters.oauth import (
    TokenResponse,
    build_code_form,
    build_consent_url,
    build_credentials,
    build_pkce,
    build_refresh_form,
)
from adapters.tiktok.client import BusinessClient, CreatorClient, parse_business_response, send
from adapters.tiktok.errors import translate_oauth_error
from adapters.tiktok.wire import BusinessProfile, OAuthError
from adapters.transport import Request, Wire

CREATOR_SCOPES = ("user.info.basic", "video.publish", "video.upload", "video.list")
BUSINESS_SCOPES = (
    "user.info.basic",
    "user.info.username",
    "user.account.type",
    "video.list",
    "video.publish",
    "video.upload",
)
_DIGEST = 32
_REVOKED, _RECONNECT = "TikTok no longer renews the account's tokens.", "Connect the TikTok account again."


class CreatorOAuth(BaseAdapter):
    """Login Kit v2."""

    def build_client(self, credentials: Credentials, _remote_id: str = "") -> CreatorClient:
        """Return the API with the token of *credentials*."""
        return CreatorClient(self._http, self._settings, credentials.access_token)

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """Return the URL of the consent page, with PKCE if a challenge is given."""
        pkce = build_pkce(None if code_challenge is None else to_hex_challenge(code_challenge))
        www, app_id = self._settings.hosts["www"], self._settings.app_id
        return _build_consent_url(www, app_id, CREATOR_SCOPES, redirect_uri, state, **pkce)

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        """Exchange a code for credentials; a code is valid for one try."""
        return self._request_token(build_code_form(code, redirect_uri, code_verifier), None)

    def refresh(self, account: Account) -> Credentials:
        """Refresh the tokens; the refresh token may rotate and is returned in either case."""
        return self._request_token(build_refresh_form(account, _REVOKED, _RECONNECT), account.credentials)

    def revoke(self, account: Account) -> None:
        """End the grant; the answer is an empty object (oauth-user-access-token-management, read 2026-11-02)."""
        self._post("revoke", {"token": account.credentials.access_token.get_secret_value()}, Wire)

    def discover(self, credentials: Credentials) -> tuple[RemoteAccount, ...]:
        """Return the account of the token. Its handle comes from creator_info: ``user/info`` needs another scope."""
        client = self.build_client(credentials)
        user, settings = client.get_user_info(), client.query_creator_info()
        username = settings.creator_username or ""
        return (
            RemoteAccount(
                remote_id=user.open_id,
                username=username,
                display_name=user.display_name or settings.creator_nickname or username,
                connection="creator",
                credentials=credentials,
            ),
        )

    def _request_token(self, form: Mapping[str, str], old: Credentials | None) -> Credentials:
        return build_credentials(self._post("token", form, TokenResponse), old)

    def _post(self, endpoint: str, form: Mapping[str, str], model: type[Model]) -> Model:
        secret = self._settings.app_secret.get_secret_value()
        app = {"client_key": self._settings.app_id, "client_secret": secret}
        url = f"{self._settings.hosts['api']}/v2/oauth/{endpoint}/"
        response = send(self._http, Request(method="POST", url=url, form={**app, **form}), Phase.PREPARE)
        error, parsed = response.parse(OAuthError), response.parse(model)
        if parsed is None or (error is not None and error.error):  # errors are flat, with any status
            raise translate_oauth_error(
                response, error.error if error else None, error.error_description if error else ""
            )
        return parsed


class BusinessOAuth(BaseAdapter):
    """The TikTok account holder authorization of API for Business: JSON bodies, no PKCE."""

    @property
    def _app_id(self) -> str:
        return str(self._settings.options.get("business_app_id", ""))

    def build_client(self, credentials: Credentials, remote_id: str = "") -> BusinessClient:
        """Return the API with the token of *credentials*, for the business account *remote_id* where it is known."""
        hosts, token = self._settings.hosts, credentials.access_token.get_secret_value()
        return BusinessClient(
            http=self._http, api=hosts["business"], www=hosts["www"], token=token, business_id=remote_id
        )

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:  # noqa: ARG002
        """Return the consent page's URL. The redirect URI is https, ends in ``/``, has no query, fragment or port."""
        www, address = self._settings.hosts["www"], _add_slash(redirect_uri)
        return _build_consent_url(www, self._app_id, BUSINESS_SCOPES, address, state, disable_auto_auth="1")

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:  # noqa: ARG002
        """Exchange a code for credentials; a code lives ten minutes and is valid for one try."""
        body = {
            "grant_type": "authorization_code",
            "auth_code": code,
            "redirect_uri": _add_slash(redirect_uri),
        }
        return build_credentials(self._request_token("/tt_user/oauth2/token/", body), None)

    def refresh(self, account: Account) -> Credentials:
        """Refresh the tokens; the refresh token may rotate and is returned in either case."""
        body = build_refresh_form(account, _REVOKED, _RECONNECT)
        try:
            token = self._request_token("/tt_user/oauth2/refresh_token/", body)
        except (
            CredentialsExpired
        ) as refusal:  # 40102 and 40105 about a refresh token: nothing is left to refresh
            raise _build_revoked_error(refusal.platform_code) from None
        except Rejected as refusal:
            if (
                refusal.code != "invalid_request"
            ):  # our app or our URL is wrong: the refresh token may be valid
                raise
            raise _build_revoked_error(refusal.platform_code) from None
        return build_credentials(token, account.credentials)

    def revoke(self, account: Account) -> None:
        """End the grant (the path of the vendor's SDK, through the digest of 2026-09-20)."""
        token = account.credentials.access_token.get_secret_value()
        self._post("/tt_user/oauth2/revoke/", {"access_token": token}, Wire)

    def discover(self, credentials: Credentials) -> tuple[RemoteAccount, ...]:
        """Return the account of the token; ``creator_id`` is its ``business_id``, kept verbatim (may start with -)."""
        info = self.build_client(credentials).get_token_info(self._app_id)
        try:
            profile = self.build_client(credentials, info.creator_id).get_profile()
        except (
            PermissionMissing,
            Rejected,
        ):  # the token works without user.info.username, and so do links of posts
            profile = BusinessProfile()
        return (
            RemoteAccount(
                remote_id=info.creator_id,
                username=profile.username or "",
                display_name=profile.display_name or profile.username or info.creator_id,
                connection="business",
                credentials=credentials,
            ),
        )

    def _request_token(self, path: str, body: Mapping[str, Any]) -> TokenResponse:
        return self._post(path, body, TokenResponse)

    def _post(self, path: str, body: Mapping[str, Any], model: type[Model]) -> Model:
        secret = self._settings.options.get("business_app_secret", "")
        secret = secret.get_secret_value() if isinstance(secret, SecretStr) else str(secret)
        app = {"client_id": self._app_id, "client_secret": secret}
        request = Request(
            method="POST", url=f"{self._settings.hosts['business']}{path}", json={**app, **body}
        )
        return parse_business_response(send(self._http, request, Phase.PREPARE), Phase.PREPARE, model)


def _build_consent_url(
    www: str, app_id: str, scopes: Sequence[str], redirect_uri: str, state: str, **more: str
) -> str:
    """Return the URL of the consent page. ``client_key`` is TikTok's name for the app's id."""
    address, app = f"{www}/v2/auth/authorize/", {"client_key": app_id}
    return build_consent_url(address, app, ",".join(scopes), redirect_uri, state, **more)


def to_hex_challenge(challenge: str) -> str:
    """Return a PKCE challenge with its SHA-256 in hex, as TikTok requires, instead of RFC 7636's base64url."""
    try:
        digest = base64.urlsafe_b64decode(challenge + "=" * (-len(challenge) % 4))
    except (binascii.Error, ValueError):
        return challenge
    return digest.hex() if len(digest) == _DIGEST else challenge


def _add_slash(redirect_uri: str) -> str:
    """Return the redirect URI ending in ``/``: the Business portal accepts no other, and our callback accepts both."""
    return redirect_uri.rstrip("/") + "/"


def _build_revoked_error(platform_code: str | None) -> CredentialsRevoked:
    return CredentialsRevoked(_REVOKED, platform_code=platform_code, next_action=_RECONNECT)
