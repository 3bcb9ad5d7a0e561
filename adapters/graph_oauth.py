"""Facebook Login, used for Facebook Pages and for Instagram accounts connected through a Page.

A code is exchanged for a short-lived user token, that for a long-lived one (60 days), and that lists Pages with their
own tokens.
Sources: developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived and
.../docs/pages-api/getting-started, read 2026-11-24. ``debug_token`` for an empty list: a third party's probe of Graph
v25.0, 2026-09-05. Signed requests: Meta's page "Data Deletion Request Callback", undated, read 2026-11-29; that the
deauthorize callback sends the same form is a third party's report.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import SecretStr, ValidationError

from adapters.contract import Credentials, PlatformSettings
from adapters.errors import CredentialsExpired, CredentialsRevoked, Rejected
from adapters.graph_api import GraphClient, GraphPage
from adapters.graph_errors import RECONNECT
from adapters.oauth import Deauthorization, build_app_form, build_consent_url
from adapters.transport import Wire


class GraphTokenResponse(Wire):
    """``{"access_token","token_type":"bearer","expires_in":5183944}``; ``expires_in`` (seconds) may be missing."""

    access_token: SecretStr
    expires_in: int | None = None

    @property
    def expires_at(self) -> datetime | None:
        """When the token expires, counted from now; None: does not expire by time."""
        return datetime.now(UTC) + timedelta(seconds=self.expires_in) if self.expires_in else None


class InstagramOfPage(Wire):
    """The professional account linked to a Page."""

    id: str
    username: str = ""


class Page(Wire):
    """A Page, from ``me/accounts`` or its own node."""

    id: str
    name: str = ""
    access_token: SecretStr | None = None
    tasks: tuple[str, ...] | None = None
    instagram_business_account: InstagramOfPage | None = None


class User(Wire):
    """The user of a token; the id is scoped to our app."""

    id: str


class _SignedRequest(Wire):
    algorithm: Literal["HMAC-SHA256"]
    user_id: str
    issued_at: datetime


class _Pages(GraphPage[Page]):
    data: tuple[Page, ...] = ()


class _GranularScope(Wire):
    scope: str = ""
    target_ids: tuple[str, ...] = ()


class _Granted(Wire):
    granular_scopes: tuple[_GranularScope, ...] = ()


class _DebugToken(Wire):
    data: _Granted


_MAX_LISTS = 100
"""Most pages of ``me/accounts`` that are read, 100 accounts each."""


def build_dialog_url(
    www: str, settings: PlatformSettings, scopes: Sequence[str], redirect_uri: str, state: str
) -> str:
    """Return the URL of Facebook's consent page. Meta documents no PKCE for it."""
    address, app = f"{www}/{settings.version}/dialog/oauth", {"client_id": settings.app_id}
    return build_consent_url(address, app, ",".join(scopes), redirect_uri, state)


def exchange_code(
    graph: GraphClient, settings: PlatformSettings, code: str, redirect_uri: str, scopes: Sequence[str]
) -> Credentials:
    """Exchange a code for a long-lived user token."""
    short = graph.read(
        GraphTokenResponse,
        "oauth/access_token",
        **build_app_form(settings),
        redirect_uri=redirect_uri,
        code=code,
    ).data
    return extend_token(graph, settings, short.access_token, scopes)


def extend_token(
    graph: GraphClient, settings: PlatformSettings, token: SecretStr, scopes: Sequence[str]
) -> Credentials:
    """Extend a valid user token by 60 days (``fb_exchange_token``). Raise CredentialsRevoked if it has expired."""
    try:
        extended = graph.read(
            GraphTokenResponse,
            "oauth/access_token",
            grant_type="fb_exchange_token",
            **build_app_form(settings),
            fb_exchange_token=token.get_secret_value(),
        ).data
    except CredentialsExpired as error:
        raise build_revoked_error(error) from None
    return Credentials(
        access_token=extended.access_token,
        expires_at=extended.expires_at,
        scopes=tuple(scopes),
        app_id=settings.app_id,
    )


def revoke_permissions(graph: GraphClient) -> None:
    """End the user's grant of our app, and so all tokens that were made from it (Graph API, User/permissions).

    Source: a third party's description of ``DELETE /{user-id}/permissions``, read 2026-11-24.
    """
    graph.delete(Wire, "me/permissions")


def read_signed_request(settings: PlatformSettings, signed: str) -> Deauthorization:
    """Return what a signed request says: ``<signature>.<payload>``, each in base64url without padding.

    Nothing of the payload is read before the signature over its encoded form is compared, in constant time. Raises
    Rejected; also if no app secret is set, as everybody can sign with an empty one.
    """
    secret, (signature, _, payload) = settings.app_secret.get_secret_value(), signed.partition(".")
    try:
        due = hmac.digest(secret.encode(), payload.encode(), hashlib.sha256)
        if not secret or not hmac.compare_digest(_decode(signature), due):
            raise Rejected("The signature is not that of this platform's app.")
        said = _SignedRequest.model_validate_json(_decode(payload))
    except ValidationError:
        raise Rejected("The signed request lacks algorithm HMAC-SHA256, user_id or issued_at.") from None
    except ValueError:
        raise Rejected("signed_request is not two parts in base64url.") from None
    return Deauthorization(user_id=said.user_id, issued_at=said.issued_at)


def _decode(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def read_user_id(graph: GraphClient) -> str:
    """Return the id, scoped to our app, of the user whose token the client has."""
    return graph.read(User, "me", fields="id").data.id


def build_revoked_error(error: CredentialsExpired) -> CredentialsRevoked:
    """Return CredentialsRevoked for a token that expired before its refresh: Meta has no separate refresh token."""
    return CredentialsRevoked(
        f"{error.message}; it can no longer be refreshed", next_action=RECONNECT, **error.reported
    )


def list_pages(graph: GraphClient, settings: PlatformSettings, fields: str) -> list[Page]:
    """List every Page of the client's user token: ``me/accounts``, or else each that its granular scopes name.

    Raises Rejected if there are more than are read: a part of them would look like all.
    """
    found: list[Page] = []
    after: str | None = None
    for _ in range(_MAX_LISTS):
        listed, after = graph.read_page(_Pages, "me/accounts", after, fields=fields, limit="100")
        found += listed
        if not after:
            break
    else:
        raise Rejected(f"This login has more than {len(found):,} Pages; none was taken")
    granted = _list_granted_pages(graph, settings) if not found else []
    return found or [graph.read(Page, page, fields=fields).data for page in granted]


def _list_granted_pages(graph: GraphClient, settings: PlatformSettings) -> list[str]:
    asks, app = replace(graph, token=""), f"{settings.app_id}|{settings.app_secret.get_secret_value()}"
    granted = asks.read(_DebugToken, "debug_token", input_token=graph.token, access_token=app).data.data
    scopes = granted.granular_scopes
    ids = [target for scope in scopes if scope.scope.startswith("pages_") for target in scope.target_ids]
    return list(dict.fromkeys(ids))
