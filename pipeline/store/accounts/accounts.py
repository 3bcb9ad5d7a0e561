"""Accounts: their sealed credentials, and the claim of the one worker that refreshes them.

Groups of a client's accounts are chosen together under a name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from pydantic_core import to_jsonable_python
from sqlalchemy import Connection

from adapters.contract import Account, Credentials, Platform, RemoteAccount
from pipeline.domain.account import AccountStatus
from pipeline.domain.posting_times import read_least_gap
from pipeline.store.database import (
    execute,
    has_row,
    insert,
    jsonb,
    list_columns,
    new_id,
    read_all,
    require_row,
    require_value,
)
from pipeline.store.selection import Where, among, equal, find, select
from pipeline.store.vault import Vault

_NO_CREDENTIALS = Credentials(access_token=SecretStr(""))


@dataclass(frozen=True, kw_only=True)
class AccountRow:
    """An account without its credentials."""

    id: UUID
    workspace_id: UUID
    platform: Platform
    connection: str
    remote_id: str
    username: str
    display_name: str
    status: AccountStatus
    settings: Mapping[str, Any]
    expires_at: datetime | None
    refresh_expires_at: datetime | None
    renewable: bool
    """It has a refresh token, so the grant ends with that and not with the access token."""
    error: Mapping[str, Any] | None
    posting_times: Mapping[str, Any] = field(default_factory=dict)
    """What was set of its posting times (``domain/posting_times.py``)."""

    @cached_property
    def least_gap(self) -> timedelta:
        """The least time between two of its posts."""
        return read_least_gap(self.posting_times)

    @cached_property
    def adapter_account(self) -> Account:
        """The account as adapters take it, with empty credentials: their ``problems`` needs none."""
        return Account(
            id=str(self.id),
            platform=self.platform,
            connection=self.connection,
            remote_id=self.remote_id,
            username=self.username,
            settings=self.settings,
            credentials=_NO_CREDENTIALS,
        )


ACCOUNT_FIELDS = list_columns(AccountRow)


def add_account(c: Connection, vault: Vault, workspace: UUID, platform: Platform, one: RemoteAccount) -> UUID:
    """Add an account, or give the existing one new credentials and set it active. Return its id."""
    identity = new_id()
    named: dict[str, Any] = {"workspace_id": workspace, "platform": platform}
    named |= {"connection": one.connection, "remote_id": one.remote_id}
    shown: dict[str, Any] = {
        "username": one.username,
        "display_name": one.display_name,
        "settings": jsonb(dict(one.settings)),
        "granted_by": one.granted_by,
    }
    added = insert(
        c,
        "accounts",
        conflict="(workspace_id, platform, connection, remote_id) DO NOTHING",
        id=identity,
        **named,
        **shown,
        credentials=vault.seal(credentials_to_dict(one.credentials), identity),
        expires_at=one.credentials.expires_at,
        refresh_expires_at=one.credentials.refresh_expires_at,
        renewable=one.credentials.refresh_token is not None,
    )
    if added is not None:
        return identity
    again = require_value(
        c,
        UUID,
        "The account was removed while it was being connected again.",
        """UPDATE accounts SET status = 'active', error = NULL, username = :username, display_name = :display_name,
                  settings = settings || :settings, granted_by = :granted_by
           WHERE workspace_id = :workspace_id AND platform = :platform AND connection = :connection
             AND remote_id = :remote_id RETURNING id""",
        **named,
        **shown,
    )
    store_credentials(c, vault, again, one.credentials)
    return again


def store_credentials(
    c: Connection,
    vault: Vault,
    account: UUID,
    credentials: Credentials,
    version: int | None = None,
    *,
    rotated: bool | None = None,
) -> bool:
    """Replace an account's credentials and raise their version, which waiting workers compare.

    ``version``: replace only this version; return False when a user has reconnected the account since.
    ``rotated``: True if a refresh returned another refresh token than it was given; None when unknown.
    """
    return has_row(
        c,
        """UPDATE accounts SET credentials = :sealed, expires_at = :e, refresh_expires_at = :re,
                  credentials_version = credentials_version + 1, refreshing_until = NULL,
                  credentials_since = now(), renewable = :renewable, refresh_after = NULL, unanswered = 0,
                  refresh_rotates = coalesce(CAST(:rotated AS boolean), refresh_rotates)
           WHERE id = :id AND (CAST(:version AS integer) IS NULL OR credentials_version = :version)
           RETURNING id""",
        id=account,
        sealed=vault.seal(credentials_to_dict(credentials), account),
        e=credentials.expires_at,
        re=credentials.refresh_expires_at,
        version=version,
        rotated=rotated,
        renewable=credentials.refresh_token is not None,
    )


def find_accounts(c: Connection, workspace: UUID, ids: Sequence[UUID] | None = None) -> list[AccountRow]:
    """Return a workspace's accounts, all or only the ones with these ids; ids of other workspaces are left out."""
    chosen = equal(workspace_id=workspace) & among("id", ids, "ids")
    return select(c, AccountRow, "accounts", chosen, by="created_at, id")


def read_accounts(c: Connection, ids: Collection[UUID]) -> dict[UUID, AccountRow]:
    """Return the accounts with these ids, of any workspace."""
    return {one.id: one for one in select(c, AccountRow, "accounts", among("id", ids), by="id")}


def find_account_of(
    c: Connection, workspace: UUID, platform: Platform, connection: str, remote_id: str
) -> AccountRow | None:
    """Return the workspace's account with this id at its platform, or None."""
    named = equal(workspace_id=workspace, platform=platform, connection=connection, remote_id=remote_id)
    return find(c, AccountRow, "accounts", named)


def list_accounts(c: Connection) -> list[AccountRow]:
    """Return the accounts of all workspaces, for operators."""
    return select(c, AccountRow, "accounts", Where(), by="workspace_id, created_at")


_OPENED = ("id", "platform", "connection", "remote_id", "username", "settings", "credentials")
ACCOUNT_COLUMNS = ", ".join(f"a.{name} AS account_{name}" for name in _OPENED)


def open_account(r: Any, vault: Vault | None) -> Account:
    """Return the account of a joined row (ACCOUNT_COLUMNS) with its credentials opened, as adapters take it.

    *vault* None: without credentials. Raises VaultError.
    """
    m = {name: r._mapping[f"account_{name}"] for name in _OPENED}
    plain = None if vault is None else vault.open(m["credentials"], m["id"])
    credentials = _NO_CREDENTIALS if plain is None else credentials_from_dict(plain)
    return Account(
        **{**m, "id": str(m["id"]), "platform": Platform(m["platform"]), "credentials": credentials}
    )


def read_account(c: Connection, vault: Vault, account: UUID) -> tuple[Account, int, AccountStatus]:
    """Return an account with its credentials, their version, and its status. Raises LookupError."""
    found = require_row(
        c,
        f"There is no account {account}.",
        f"SELECT {ACCOUNT_COLUMNS}, a.credentials_version, a.status FROM accounts a WHERE a.id = :id",
        id=account,
    )
    return open_account(found, vault), found.credentials_version, AccountStatus(found.status)


def claim_refresh(c: Connection, account: UUID, version: int, lease: timedelta) -> bool:
    """Claim the refresh of this version of the credentials. Return True for one worker at a time (single flight).

    A claim that expired means that its worker died, perhaps after the platform answered: it counts as unanswered.
    """
    return has_row(
        c,
        """UPDATE accounts SET refreshing_until = now() + :lease,
                  unanswered = unanswered + CASE WHEN refreshing_until IS NULL THEN 0 ELSE 1 END
           WHERE id = :id AND credentials_version = :version
             AND (refreshing_until IS NULL OR refreshing_until < now()) RETURNING id""",
        id=account,
        version=version,
        lease=lease,
    )


def end_refresh(
    c: Connection,
    account: UUID,
    version: int | None = None,
    *,
    unanswered: bool = False,
    pause: timedelta = timedelta(0),
) -> None:
    """Release the claim after a refresh failed; of this version of the credentials only, if one is given.

    ``unanswered``: the request was sent and its outcome is unknown. ``pause``: no early refresh is tried for this long,
    or for a quarter of the remaining lifetime (an hour at most), whichever is longer.
    """
    execute(
        c,
        """UPDATE accounts SET refreshing_until = NULL, unanswered = unanswered + :lost,
                  refresh_after = now() + greatest(:pause, least(interval '1 hour', (expires_at - now()) / 4))
           WHERE id = :id AND (CAST(:version AS integer) IS NULL OR credentials_version = :version)""",
        id=account,
        version=version,
        lost=int(unanswered),
        pause=pause,
    )


def require_reconnect(c: Connection, account: UUID, error: Mapping[str, Any], version: int) -> None:
    """Set an account to ``reconnect``: its grant was refused, and its posts wait until a user reconnects it.

    ``version``: of the refused credentials; with newer ones nothing changes.
    """
    execute(
        c,
        """UPDATE accounts SET status = 'reconnect', error = :error
           WHERE id = :id AND status = 'active' AND credentials_version = :version""",
        id=account,
        error=jsonb(dict(error)),
        version=version,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """An active account, and the version of the credentials that a user's grant gave it."""

    id: UUID
    workspace_id: UUID
    credentials_version: int


_CLOCKS = timedelta(seconds=1)
"""A platform's time of a removal is in whole seconds, rounded down."""


def lock_granted_by(
    c: Connection, platforms: Sequence[Platform], user: str, until: datetime
) -> list[Granted]:
    """Lock and return the active accounts, of any workspace, that this user of the platforms granted by then.

    An account connected again later has another grant. One whose user is not known is matched by its own remote id.
    """
    return read_all(
        c,
        Granted,
        """SELECT id, workspace_id, credentials_version FROM accounts
           WHERE platform = ANY(:platforms) AND coalesce(granted_by, remote_id) = :user AND status = 'active'
             AND credentials_since < :until ORDER BY id FOR UPDATE""",
        platforms=[*platforms],
        user=user,
        until=until + _CLOCKS,
    )


def credentials_to_dict(credentials: Credentials) -> dict[str, Any]:
    """Return credentials as JSON fields, secrets included: only for sealing."""
    secret = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in asdict(credentials).items()
    }
    plain: dict[str, Any] = to_jsonable_python(secret)
    return plain


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("access_token", "refresh_token"), SecretStr),
    **dict.fromkeys(("expires_at", "refresh_expires_at"), datetime.fromisoformat),
    "scopes": tuple,
    "app_id": str,
}


def credentials_from_dict(plain: Mapping[str, Any]) -> Credentials:
    """Return the credentials that ``credentials_to_dict`` wrote."""
    return Credentials(**{name: _PARSERS[name](value) for name, value in plain.items() if value is not None})


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountGroup:
    """Accounts under a name. An account that is gone, or inactive, may be among them."""

    id: UUID
    name: str
    account_ids: Sequence[UUID]


def list_groups(c: Connection, workspace: UUID) -> list[AccountGroup]:
    """Return the groups of a workspace, by name."""
    return select(c, AccountGroup, "account_groups", equal(workspace_id=workspace), by="lower(name), id")


def save_group(c: Connection, workspace: UUID, name: str, accounts: Sequence[UUID]) -> None:
    """Save accounts under a name, in place of those of the group that has it."""
    again = "(workspace_id, name) DO UPDATE SET account_ids = excluded.account_ids"
    own: dict[str, Any] = {
        "id": new_id(),
        "workspace_id": workspace,
        "name": name,
        "account_ids": list(accounts),
    }
    insert(c, "account_groups", conflict=again, **own)


def rename_group(c: Connection, workspace: UUID, group: UUID | None, name: str) -> bool:
    """Rename a group; return False if another one has the name, or this one is gone."""
    sql = """UPDATE account_groups SET name = :name WHERE id = :id AND workspace_id = :w AND NOT EXISTS (
                 SELECT FROM account_groups WHERE workspace_id = :w AND name = :name AND id <> :id) RETURNING id"""
    return has_row(c, sql, id=group, w=workspace, name=name)


def delete_group(c: Connection, workspace: UUID, group: UUID | None) -> bool:
    """Delete a group; return False if it is gone."""
    sql = "DELETE FROM account_groups WHERE id = :id AND workspace_id = :w RETURNING id"
    return has_row(c, sql, id=group, w=workspace)
