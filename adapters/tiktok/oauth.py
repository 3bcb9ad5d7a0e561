"""Connecting accounts and keeping them connected: consent pages, codes, refreshes, and whose grant it is.

Creator: Login Kit v2 (developers.tiktok.com/doc/oauth-user-access-token-management and login-kit-web). Business: the
TikTok account holder authorisation of API for Business (business-api.tiktok.com/portal/docs?id=1738083939371009 and
?id=1738084387220481, through a digest of 2026-09-20). The two share nothing but the consent page's address: another
portal, another app, other tokens. Read 2026-11-24.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from pydantic import SecretStr, ValidationError

from adapters.contract import Account, Credentials, RemoteAccount
from adapters.error_table import Phase, parse_retry_after
from adapters.errors import CredentialsExpired, CredentialsRevoked, PermissionMissing, Rejected
from adapters.http import HttpClient
from adapters.oauth import TokenResponse, build_code_form, build_credentials, build_refresh_form
from adapters.tiktok.errors import of_oauth
from adapters.tiktok.transport import business_answer, creator_answer, send
from adapters.tiktok.wire import BusinessProfile, OAuthError, PostingSettings, TokenInfo, UserInfo
from adapters.transport import Model, Request

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
_NO_MORE, _AGAIN = "TikTok no longer renews the account's grant.", "Connect the TikTok account again."


@dataclass(frozen=True, kw_only=True, slots=True)
class CreatorOAuth:
    """Login Kit v2. ``client_key`` is TikTok's word for the app's id."""

    client: HttpClient
    api: str
    www: str
    app_id: str
    app_secret: SecretStr = field(repr=False)

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """The consent page."""
        params = {
            "client_key": self.app_id,
            "response_type": "code",
            "scope": ",".join(CREATOR_SCOPES),
            "redirect_uri": redirect_uri,
            "state": state,
        }
        if code_challenge is not None:
            params |= {"code_challenge": hex_challenge(code_challenge), "code_challenge_method": "S256"}
        return f"{self.www}/v2/auth/authorize/?{urlencode(params)}"

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        """The grant behind a code; a code is good for one try."""
        return self._token(build_code_form(code, redirect_uri, code_verifier), None)

    def refresh(self, account: Account) -> Credentials:
        """New tokens for old; the refresh token may have changed and is returned either way."""
        return self._token(build_refresh_form(account, _NO_MORE, _AGAIN), account)

    def _token(self, form: Mapping[str, str], account: Account | None) -> Credentials:
        app = {"client_key": self.app_id, "client_secret": self.app_secret.get_secret_value()}
        request = Request(method="POST", url=f"{self.api}/v2/oauth/token/", form={**app, **form})
        answer = send(self.client, request, Phase.PREPARE)
        try:
            return build_credentials(
                TokenResponse.model_validate_json(answer.body), account.credentials if account else None
            )
        except ValidationError:  # errors come flat, with whatever status
            raise of_oauth(_oauth_code(answer.body), answer.status, parse_retry_after(answer)) from None

    def discover(self, credentials: Credentials) -> tuple[RemoteAccount, ...]:
        """The one account of a grant. Its handle comes from creator_info: ``user/info`` needs one more scope for it."""
        user = self._ask("GET", "/v2/user/info/?fields=open_id,display_name", credentials, UserInfo).user
        told = self._ask("POST", "/v2/post/publish/creator_info/query/", credentials, PostingSettings)
        return (
            RemoteAccount(
                remote_id=user.open_id,
                username=told.creator_username or "",
                display_name=user.display_name or told.creator_nickname or told.creator_username or "",
                connection="creator",
                credentials=credentials,
            ),
        )

    def _ask(self, method: str, path: str, credentials: Credentials, model: type[Model]) -> Model:
        token = credentials.access_token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json; charset=UTF-8"}
        answer = send(
            self.client, Request(method=method, url=f"{self.api}{path}", headers=headers), Phase.PREPARE
        )
        return creator_answer(answer, Phase.PREPARE, model)


def _with_slash(redirect_uri: str) -> str:
    """The Business portal takes only redirect addresses that end in ``/``; our callback answers to both."""
    return redirect_uri.rstrip("/") + "/"


@dataclass(frozen=True, kw_only=True, slots=True)
class BusinessOAuth:
    """The TikTok account holder authorisation of API for Business: JSON bodies, no PKCE."""

    client: HttpClient
    api: str
    www: str
    app_id: str
    app_secret: SecretStr = field(repr=False)

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:  # noqa: ARG002
        """The consent page. The redirect URI must be https and end in ``/``, without query, fragment or port."""
        params = {
            "client_key": self.app_id,
            "response_type": "code",
            "redirect_uri": _with_slash(redirect_uri),
            "state": state,
            "scope": ",".join(BUSINESS_SCOPES),
            "disable_auto_auth": "1",
        }
        return f"{self.www}/v2/auth/authorize/?{urlencode(params)}"

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:  # noqa: ARG002
        """The grant behind a code; it lives ten minutes and is good for one try."""
        body = {
            "grant_type": "authorization_code",
            "auth_code": code,
            "redirect_uri": _with_slash(redirect_uri),
        }
        return build_credentials(self._post("/tt_user/oauth2/token/", body, TokenResponse), None)

    def refresh(self, account: Account) -> Credentials:
        """New tokens for old; the refresh token may have changed and is returned either way."""
        body = build_refresh_form(account, _NO_MORE, _AGAIN)
        try:
            return build_credentials(
                self._post("/tt_user/oauth2/refresh_token/", body, TokenResponse), account.credentials
            )
        except (
            CredentialsExpired
        ) as refusal:  # 40102, 40105 about a refresh token: there is nothing left to refresh
            raise _revoked(refusal.platform_code) from None
        except Rejected as refusal:
            if refusal.code != "invalid_request":  # our app or our address is wrong: the grant may be good
                raise
            raise _revoked(refusal.platform_code) from None

    def _post(self, path: str, body: Mapping[str, Any], model: type[Model]) -> Model:
        app = {"client_id": self.app_id, "client_secret": self.app_secret.get_secret_value()}
        request = Request(method="POST", url=f"{self.api}{path}", json={**app, **body})
        return business_answer(send(self.client, request, Phase.PREPARE), Phase.PREPARE, model)

    def discover(self, credentials: Credentials) -> tuple[RemoteAccount, ...]:
        """The one account of a grant; ``creator_id`` is its ``business_id``, kept verbatim (it may start with -)."""
        token = credentials.access_token.get_secret_value()
        body = {"app_id": self.app_id, "access_token": token}
        request = Request(method="POST", url=f"{self.api}/tt_user/token_info/get/", json=body)
        info = business_answer(send(self.client, request, Phase.PREPARE), Phase.PREPARE, TokenInfo)
        params = {
            "business_id": info.creator_id,
            "fields": json.dumps(["username", "display_name"], separators=(",", ":")),
        }
        request = Request(
            method="GET", url=f"{self.api}/business/get/", params=params, headers={"Access-Token": token}
        )
        try:
            profile = business_answer(
                send(self.client, request, Phase.PREPARE), Phase.PREPARE, BusinessProfile
            )
        except (
            PermissionMissing,
            Rejected,
        ):  # the grant is good without user.info.username; posts' links are too
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


def hex_challenge(challenge: str) -> str:
    """TikTok's PKCE wants the SHA-256 in hex where RFC 7636 has base64url; the same digest, written anew."""
    try:
        digest = base64.urlsafe_b64decode(challenge + "=" * (-len(challenge) % 4))
    except (binascii.Error, ValueError):
        return challenge
    return digest.hex() if len(digest) == _DIGEST else challenge


def _oauth_code(body: bytes) -> str | None:
    try:
        return OAuthError.model_validate_json(body).error
    except ValidationError:
        return None


def _revoked(platform_code: str | None = None) -> CredentialsRevoked:
    return CredentialsRevoked(_NO_MORE, platform_code=platform_code, next_action=_AGAIN)
