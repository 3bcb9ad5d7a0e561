"""Connecting members and organizations and keeping them connected.

Sources: learn.microsoft.com/linkedin/shared/authentication/{authorization-code-flow,programmatic-refresh-tokens},
…/consumer/integrations/self-serve/sign-in-with-linkedin-v2 (OpenID Connect) and …/marketing/community-management/
organizations/organization-access-control-by-role, read 2026-11-24. Access tokens live 60 days. A refresh token (365
days from the first consent, never longer) is given to approved partners only: everybody else consents again every 60
days. LinkedIn documents PKCE for native apps only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlencode

from pydantic import ValidationError

from adapters.contract import Account, Credentials, PlatformSettings, RemoteAccount
from adapters.errors import CredentialsRevoked, Permanent, PermissionMissing, Rejected
from adapters.http import Client
from adapters.linkedin.calls import Calls, send
from adapters.linkedin.errors import Step, of_oauth, unclear
from adapters.linkedin.wire import Grant, Organization

SCOPES: Mapping[str, tuple[str, ...]] = {
    "person": ("openid", "profile", "w_member_social"),
    "organization": ("w_organization_social", "r_organization_social", "rw_organization_admin"),
}
"""By connection. ``rw_organization_admin`` lets us list which organizations the person may post for."""
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
        """The consent page for the configured connection."""
        params = {
            "response_type": "code",
            "client_id": self.settings.app_id,
            "redirect_uri": redirect_uri,
            "state": state,
            "scope": " ".join(SCOPES[self._connection()]),
        }
        return f"{self.settings.hosts['www']}/oauth/v2/authorization?{urlencode(params)}"

    def exchange(self, code: str, redirect_uri: str) -> Credentials:
        """The grant behind a code. Raises Rejected (code ``code_refused``) when LinkedIn does not take it."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        try:
            return self._token(form, None)
        except CredentialsRevoked as refusal:  # the table speaks of refreshes: here there was no grant yet
            raise Rejected(
                "LinkedIn did not accept the code of this consent.",
                code="code_refused",
                platform_code=refusal.platform_code,
                http_status=refusal.http_status,
                next_action="Start connecting the account again.",
            ) from None

    def refresh(self, account: Account) -> Credentials:
        """New tokens for old. Raises CredentialsRevoked where there is no refresh token, or it is dead."""
        token = account.credentials.refresh_token
        if token is None:
            raise CredentialsRevoked(
                "LinkedIn gave this account no refresh token; its consent lasts 60 days.",
                next_action="Connect the LinkedIn account again.",
            )
        form = {"grant_type": "refresh_token", "refresh_token": token.get_secret_value()}
        return self._token(form, account.credentials)

    def discover(self, credentials: Credentials) -> tuple[RemoteAccount, ...]:
        """The member, the organizations the member may post for, or both: what the grant's scopes allow."""
        calls = Calls(
            client=self.client,
            api=self.settings.hosts["api"],
            version=self.settings.version,
            token=credentials.access_token,
        )
        kinds = [kind for kind, scopes in SCOPES.items() if scopes[-1] in credentials.scopes]
        kinds = kinds or [self._connection()]
        found: list[RemoteAccount] = []
        if "person" in kinds:
            found.append(_member(calls, credentials))
        if "organization" in kinds:
            found.extend(_organizations(calls, credentials))
        return tuple(found)

    def _connection(self) -> str:
        wanted = str(self.settings.options.get("connection", "person"))
        if wanted not in SCOPES:
            raise Rejected(f"LinkedIn accounts are connected as {' or '.join(SCOPES)}, not as {wanted!r}.")
        return wanted

    def _token(self, form: Mapping[str, str], old: Credentials | None) -> Credentials:
        app = {
            "client_id": self.settings.app_id,
            "client_secret": self.settings.app_secret.get_secret_value(),
        }
        url = f"{self.settings.hosts['www']}/oauth/v2/accessToken"
        answer = send(self.client, "POST", url, step=Step.PREPARE, form={**form, **app})
        if answer.status != HTTPStatus.OK:
            raise of_oauth(answer)
        try:
            return _credentials(Grant.model_validate_json(answer.body), old)
        except ValidationError:
            raise unclear(Step.PREPARE, platform_code="unreadable_answer", status=answer.status) from None


def _credentials(grant: Grant, old: Credentials | None) -> Credentials:
    """The grant as we keep it; what LinkedIn does not repeat stays as it was."""
    now = datetime.now(UTC)
    scopes = tuple(grant.scope.replace(",", " ").split())
    ends = _after(now, grant.refresh_token_expires_in)
    return Credentials(
        access_token=grant.access_token,
        refresh_token=grant.refresh_token or (old.refresh_token if old else None),
        expires_at=_after(now, grant.expires_in),
        refresh_expires_at=ends or (old.refresh_expires_at if old else None),
        scopes=scopes or (old.scopes if old else ()),
    )


def _after(now: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)


def _member(calls: Calls, credentials: Credentials) -> RemoteAccount:
    person = calls.person()
    return RemoteAccount(
        remote_id=f"urn:li:person:{person.sub}",
        username=person.name or person.sub,
        display_name=person.name or person.sub,
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
