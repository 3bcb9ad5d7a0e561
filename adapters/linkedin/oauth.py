"""Connecting members and organizations and keeping them connected.

Sources: learn.microsoft.com/linkedin/shared/authentication/{authorization-code-flow,programmatic-refresh-tokens},
…/shared/integrations/people/profile-api, …/consumer/integrations/self-serve/sign-in-with-linkedin-v2 (OpenID Connect)
and …/marketing/community-management/organizations/organization-access-control-by-role, read 2026-11-24. Access tokens
live 60 days. A refresh token (365 days from the first consent, never longer) is given to approved partners only:
everybody else consents again every 60 days. LinkedIn documents PKCE for native apps only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from adapters.contract import Account, Credentials, PlatformSettings, RemoteAccount
from adapters.error_table import Step
from adapters.errors import Permanent, PermissionMissing, Rejected
from adapters.http import Client
from adapters.linkedin.client import Calls
from adapters.linkedin.errors import SERVICE, of_oauth
from adapters.linkedin.wire import Organization
from adapters.oauth import Grant, code_form, no_grant_yet, refresh_form
from adapters.oauth import credentials as credentials_of
from adapters.transport import Request, read, send

EITHER = "either"
_ORGANIZATION = ("w_organization_social", "r_organization_social", "rw_organization_admin")
SCOPES: Mapping[str, tuple[str, ...]] = {
    "person": ("openid", "profile", "w_member_social"),
    "organization": _ORGANIZATION,
    EITHER: ("r_basicprofile", "w_member_social", *_ORGANIZATION),
}
"""By what is asked for. ``person``: the products Sign In with OpenID Connect and Share on LinkedIn. The other two: the
Community Management API, which shares an app with no other product (github.com/gitroomhq/postiz-app pull 1658,
2026-06-30), so that ``openid`` would be refused there and the member is told by ``r_basicprofile``.
"""
CONNECTIONS = ("person", "organization")
_POSTS_AS = {"person": "w_member_social", "organization": "rw_organization_admin"}
"""The scope that shows a grant to be good for a connection: the last lets us list whom the person may post for."""
_CAN_POST = frozenset(
    {"ADMINISTRATOR", "CONTENT_ADMIN", "CONTENT_ADMINISTRATOR", "DIRECT_SPONSORED_CONTENT_POSTER"}
)
"""Roles that may post; the pages write the second one both ways."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """Our app at LinkedIn."""

    client: Client
    settings: PlatformSettings

    def authorize_url(self, redirect_uri: str, state: str) -> str:
        """The consent page for the wanted connection; where none is wanted, the person chooses afterwards."""
        params = {
            "response_type": "code",
            "client_id": self.settings.app_id,
            "redirect_uri": redirect_uri,
            "state": state,
            "scope": " ".join(SCOPES[self._asked()]),
        }
        return f"{self.settings.hosts['www']}/oauth/v2/authorization?{urlencode(params)}"

    def exchange(self, code: str, redirect_uri: str) -> Credentials:
        """The grant behind a code. Raises Rejected (code ``code_refused``) when LinkedIn does not take it."""
        with no_grant_yet(SERVICE):
            return self._token(code_form(code, redirect_uri), None)

    def refresh(self, account: Account) -> Credentials:
        """New tokens for old. Raises CredentialsRevoked where there is no refresh token, or it is dead."""
        form = refresh_form(
            account,
            "LinkedIn gave this account no refresh token; its consent lasts 60 days.",
            "Connect the LinkedIn account again.",
        )
        return self._token(form, account.credentials)

    def discover(self, credentials: Credentials) -> tuple[RemoteAccount, ...]:
        """The member, the organizations the member may post for, or both: what the grant's scopes allow."""
        calls = Calls(
            client=self.client,
            api=self.settings.hosts["api"],
            version=self.settings.version,
            token=credentials.access_token,
        )
        kinds = [kind for kind, scope in _POSTS_AS.items() if scope in credentials.scopes]
        if not credentials.scopes:  # nothing was said about them: it got what it asked for
            kinds = [kind for kind in CONNECTIONS if self._asked() in (kind, EITHER)]
        found: list[RemoteAccount] = []
        if "person" in kinds:
            found.append(_member(calls, credentials))
        if "organization" in kinds:
            found.extend(_organizations(calls, credentials))
        return tuple(found)

    def _asked(self) -> str:
        wanted = self.settings.options.get("connection")
        if wanted is None:
            return str(self.settings.options.get("ask_for", EITHER))
        if wanted not in CONNECTIONS:
            raise Rejected(
                f"LinkedIn accounts are connected as {' or '.join(CONNECTIONS)}, not as {wanted!r}."
            )
        return str(wanted)

    def _token(self, form: Mapping[str, str], old: Credentials | None) -> Credentials:
        app = {
            "client_id": self.settings.app_id,
            "client_secret": self.settings.app_secret.get_secret_value(),
        }
        url = f"{self.settings.hosts['www']}/oauth/v2/accessToken"
        request = Request(method="POST", url=url, form={**form, **app})
        answer = send(self.client, SERVICE, request, Step.PREPARE)
        return credentials_of(read(answer, Grant, SERVICE, Step.PREPARE, lambda said, _: of_oauth(said)), old)


def _member(calls: Calls, credentials: Credentials) -> RemoteAccount:
    basic = "r_basicprofile" in credentials.scopes and "openid" not in credentials.scopes
    member = calls.member(basic=basic)
    return RemoteAccount(
        remote_id=f"urn:li:person:{member.id}",
        username=member.name or member.id,
        display_name=member.name or member.id,
        connection="person",
        credentials=credentials,
    )


def _organizations(calls: Calls, credentials: Credentials) -> Iterator[RemoteAccount]:
    roles = (role for role in calls.roles() if role.role in _CAN_POST and role.state == "APPROVED")
    for urn in dict.fromkeys(role.organization for role in roles):
        number = urn.rpartition(":")[2]
        names = _names(calls, number)
        yield RemoteAccount(
            remote_id=urn,
            username=names.vanityName or number,
            display_name=names.localizedName or names.vanityName or number,
            connection="organization",
            credentials=credentials,
        )


def _names(calls: Calls, number: str) -> Organization:
    try:
        return calls.organization(number)
    except (
        PermissionMissing,
        Permanent,
    ):  # a role that may post need not be one that may read the page's profile
        return Organization()
