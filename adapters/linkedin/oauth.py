"""OAuth for LinkedIn members and organizations.

Sources: learn.microsoft.com/linkedin/shared/authentication/{authorization-code-flow,programmatic-refresh-tokens},
…/shared/integrations/people/profile-api, …/consumer/integrations/self-serve/sign-in-with-linkedin-v2 (OpenID Connect)
and …/marketing/community-management/organizations/organization-access-control-by-role, read 2026-11-24. Access tokens
live 60 days. Only approved partners get a refresh token (365 days from the first consent, never longer): with
other apps, people consent again every 60 days. LinkedIn documents PKCE for native apps only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from adapters.base import BaseAdapter
from adapters.contract import Account, Credentials, RemoteAccount
from adapters.errors import Permanent, PermissionMissing, Rejected
from adapters.linkedin.client import Client
from adapters.linkedin.errors import SERVICE, translate_oauth_error
from adapters.linkedin.wire import Organization
from adapters.oauth import (
    build_app_form,
    build_code_form,
    build_consent_url,
    build_refresh_form,
    request_token,
    translate_code_refusal,
)
from adapters.transport import Request

EITHER = "either"
_COMMENTS = ("w_organization_social_feed", "r_organization_social_feed")
_ORGANIZATION = ("w_organization_social", "r_organization_social", *_COMMENTS, "rw_organization_admin")
SCOPES: Mapping[str, tuple[str, ...]] = {
    "person": ("openid", "profile", "w_member_social"),
    "organization": _ORGANIZATION,
    EITHER: ("r_basicprofile", "w_member_social", *_ORGANIZATION),
}
"""Scopes by the connection that is requested.

``person`` takes the products Sign In with OpenID Connect and Share on LinkedIn. The other two take the Community
Management API, which shares an app with no other product (github.com/gitroomhq/postiz-app pull 1658, 2026-06-30): it
refuses ``openid``, so the member is read by ``r_basicprofile``.
"""
CONNECTIONS = ("person", "organization")
_POSTS_AS = {"person": "w_member_social", "organization": "rw_organization_admin"}
"""Connection -> the scope that proves a grant usable for it; the last lists the organizations to post for."""
_CAN_POST = frozenset(
    {"ADMINISTRATOR", "CONTENT_ADMIN", "CONTENT_ADMINISTRATOR", "DIRECT_SPONSORED_CONTENT_POSTER"}
)
"""Roles that may post; LinkedIn's pages spell the second one both ways."""


class OAuth(BaseAdapter):
    """The OAuth flow that connects LinkedIn members and organizations."""

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:  # noqa: ARG002
        """Return the URL of the consent page for the requested connection."""
        address, scopes = (
            f"{self._settings.hosts['www']}/oauth/v2/authorization",
            SCOPES[self._get_requested_connection()],
        )
        return build_consent_url(
            address, {"client_id": self._settings.app_id}, " ".join(scopes), redirect_uri, state
        )

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:  # noqa: ARG002
        """Exchange the code for tokens. Raises Rejected (code ``code_refused``) when LinkedIn refuses it."""
        with translate_code_refusal(SERVICE):
            return self._request_token(build_code_form(code, redirect_uri), None)

    def refresh(self, account: Account) -> Credentials:
        """Return new tokens. Raises CredentialsRevoked without a refresh token, or when LinkedIn refuses it."""
        form = build_refresh_form(
            account,
            "LinkedIn gave this account no refresh token; its consent lasts 60 days.",
            "Connect the LinkedIn account again.",
        )
        return self._request_token(form, account.credentials)

    def discover(self, credentials: Credentials) -> tuple[RemoteAccount, ...]:
        """Return the member, the organizations the member may post for, or both, as the grant's scopes allow."""
        client = Client(self._http, self._settings, credentials.access_token)
        kinds = [kind for kind, scope in _POSTS_AS.items() if scope in credentials.scopes]
        if not credentials.scopes:  # LinkedIn named no scopes: the grant has the scopes that were requested
            kinds = [kind for kind in CONNECTIONS if self._get_requested_connection() in (kind, EITHER)]
        found: list[RemoteAccount] = []
        if "person" in kinds:
            found.append(_find_member(client, credentials))
        if "organization" in kinds:
            found.extend(_find_organizations(client, credentials))
        return tuple(found)

    def _get_requested_connection(self) -> str:
        requested = self._settings.options.get("connection")
        if requested is None:
            return str(self._settings.options.get("ask_for", EITHER))
        if requested not in CONNECTIONS:
            raise Rejected(
                f"LinkedIn accounts are connected as {' or '.join(CONNECTIONS)}, not as {requested!r}."
            )
        return str(requested)

    def _request_token(self, form: Mapping[str, str], old: Credentials | None) -> Credentials:
        url = f"{self._settings.hosts['www']}/oauth/v2/accessToken"
        request = Request(method="POST", url=url, form={**form, **build_app_form(self._settings)})
        return request_token(self._http, SERVICE, request, old, translate_oauth_error)


def _find_member(client: Client, credentials: Credentials) -> RemoteAccount:
    is_basic = "r_basicprofile" in credentials.scopes and "openid" not in credentials.scopes
    member = client.read_member(is_basic=is_basic)
    return RemoteAccount(
        remote_id=f"urn:li:person:{member.id}",
        username=member.name or member.id,
        display_name=member.name or member.id,
        connection="person",
        credentials=credentials,
    )


def _find_organizations(client: Client, credentials: Credentials) -> Iterator[RemoteAccount]:
    roles = (role for role in client.list_roles() if role.role in _CAN_POST and role.state == "APPROVED")
    for urn in dict.fromkeys(role.organization for role in roles):
        number = urn.rpartition(":")[2]
        names = _read_names(client, number)
        yield RemoteAccount(
            remote_id=urn,
            username=names.vanityName or number,
            display_name=names.localizedName or names.vanityName or number,
            connection="organization",
            credentials=credentials,
        )


def _read_names(client: Client, number: str) -> Organization:
    try:
        return client.read_organization(number)
    except (PermissionMissing, Permanent):
        # a role that may post may lack the right to read the page's profile
        return Organization()
