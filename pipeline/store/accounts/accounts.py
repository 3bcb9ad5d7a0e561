"""Accounts: their sealed credentials, and the claim of the one worker that refreshes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Connection

from adapters.contract import Account, Credentials, Platform, RemoteAccount
from pipeline.domain.account import AccountStatus
from pipeline.domain.posting_times import read_least_gap
from pipeline.store.database import has_row, jsonb, new_id, require_row, row, rows
from pipeline.store.selection import where, where_given
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


ACCOUNT_FIELDS = """id, workspace_id, platform, connection, remote_id, username, display_name, status, settings,
              expires_at, refresh_expires_at, renewable, error, posting_times"""


def add_account(c: Connection, vault: Vault, workspace: UUID, platform: Platform, one: RemoteAccount) -> UUID:
    """Add an account, or give the existing one new credentials and set it active. Return its id."""
    identity = new_id()
    columns = {
        "w": workspace,
        "p": platform,
        "k": one.connection,
        "r": one.remote_id,
        "u": one.username,
        "d": one.display_name,
        "s": jsonb(dict(one.settings)),
    }
    added = row(
        c,
        """INSERT INTO accounts (id, workspace_id, platform, connection, remote_id, username, display_name, settings,
                                 credentials, expires_at, refresh_expires_at, renewable)
           VALUES (:id, :w, :p, :k, :r, :u, :d, :s, :sealed, :e, :re, :renewable)
           ON CONFLICT (workspace_id, platform, connection, remote_id) DO NOTHING RETURNING id""",
        id=identity,
        **columns,
        sealed=vault.seal(credentials_to_dict(one.credentials), identity),
        e=one.credentials.expires_at,
        re=one.credentials.refresh_expires_at,
        renewable=one.credentials.refresh_token is not None,
    )
    if added is not None:
        return identity
    known = require_row(
        c,
        "The account was removed while it was being connected again.",
        """UPDATE accounts SET status = 'active', error = NULL, username = :u, display_name = :d,
                  settings = settings || :s
           WHERE workspace_id = :w AND platform = :p AND connection = :k AND remote_id = :r RETURNING id""",
        **columns,
    )
    store_credentials(c, vault, known.id, one.credentials)
    again: UUID = known.id
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
    named = where_given({"ids": "id = ANY(CAST(:ids AS uuid[]))"}, ids=None if ids is None else list(ids))
    own = where("workspace_id = :w", w=workspace) & named
    sql = f"SELECT {ACCOUNT_FIELDS} FROM accounts WHERE {own} ORDER BY created_at, id"
    found = rows(c, sql, **own.values)
    return [to_account_row(r) for r in found]


def read_accounts(c: Connection, ids: Collection[UUID]) -> dict[UUID, AccountRow]:
    """Return the accounts with these ids, of any workspace."""
    sql = f"SELECT {ACCOUNT_FIELDS} FROM accounts WHERE id = ANY(CAST(:ids AS uuid[]))"
    return {r.id: to_account_row(r) for r in rows(c, sql, ids=list(ids))}


def find_account_of(
    c: Connection, workspace: UUID, platform: Platform, connection: str, remote_id: str
) -> AccountRow | None:
    """Return the workspace's account with this id at its platform, or None."""
    found = row(
        c,
        f"""SELECT {ACCOUNT_FIELDS} FROM accounts
            WHERE workspace_id = :w AND platform = :p AND connection = :k AND remote_id = :r""",
        w=workspace,
        p=platform,
        k=connection,
        r=remote_id,
    )
    return None if found is None else to_account_row(found)


def list_accounts(c: Connection) -> list[AccountRow]:
    """Return the accounts of all workspaces, for operators."""
    return [
        to_account_row(r)
        for r in rows(c, f"SELECT {ACCOUNT_FIELDS} FROM accounts ORDER BY workspace_id, created_at")
    ]


def to_account_row(r: Any) -> AccountRow:
    """Turn a row of ACCOUNT_FIELDS into an AccountRow."""
    values = {name: r._mapping[name] for name in AccountRow.__dataclass_fields__}
    return AccountRow(
        **{**values, "platform": Platform(values["platform"]), "status": AccountStatus(values["status"])}
    )


def open_account(r: Any, vault: Vault | None, prefix: str = "account_") -> Account:
    """Return the account of a joined row (ACCOUNT_COLUMNS) with its credentials opened, as adapters take it.

    *vault* None: without credentials. Raises VaultError.
    """
    m = r._mapping
    plain = None if vault is None else vault.open(m[prefix + "credentials"], m[prefix + "id"])
    return Account(
        id=str(m[prefix + "id"]),
        platform=Platform(m[prefix + "platform"]),
        connection=m[prefix + "connection"],
        remote_id=m[prefix + "remote_id"],
        username=m[prefix + "username"],
        settings=m[prefix + "settings"],
        credentials=_NO_CREDENTIALS if plain is None else credentials_from_dict(plain),
    )


ACCOUNT_COLUMNS = ", ".join(
    f"a.{name} AS account_{name}"
    for name in ("id", "platform", "connection", "remote_id", "username", "settings", "credentials")
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
    row(
        c,
        """UPDATE accounts SET refreshing_until = NULL, unanswered = unanswered + :lost,
                  refresh_after = now() + greatest(:pause, least(interval '1 hour', (expires_at - now()) / 4))
           WHERE id = :id AND (CAST(:version AS integer) IS NULL OR credentials_version = :version) RETURNING id""",
        id=account,
        version=version,
        lost=int(unanswered),
        pause=pause,
    )


def require_reconnect(c: Connection, account: UUID, error: Mapping[str, Any], version: int) -> None:
    """Set an account to ``reconnect``: its grant was refused, and its posts wait until a user reconnects it.

    ``version``: of the refused credentials; with newer ones nothing changes.
    """
    row(
        c,
        """UPDATE accounts SET status = 'reconnect', error = :error
           WHERE id = :id AND status = 'active' AND credentials_version = :version RETURNING id""",
        id=account,
        error=jsonb(dict(error)),
        version=version,
    )


def credentials_to_dict(credentials: Credentials) -> dict[str, Any]:
    """Return credentials as JSON fields, secrets included: only for sealing."""
    return {
        "access_token": credentials.access_token.get_secret_value(),
        "refresh_token": credentials.refresh_token.get_secret_value() if credentials.refresh_token else None,
        "expires_at": credentials.expires_at.isoformat() if credentials.expires_at else None,
        "refresh_expires_at": credentials.refresh_expires_at.isoformat()
        if credentials.refresh_expires_at
        else None,
        "scopes": list(credentials.scopes),
        "app_id": credentials.app_id,
    }


def credentials_from_dict(plain: Mapping[str, Any]) -> Credentials:
    """Return the credentials that ``credentials_to_dict`` wrote."""

    def parse_time(name: str) -> datetime | None:
        return datetime.fromisoformat(plain[name]) if plain[name] else None

    return Credentials(
        access_token=SecretStr(plain["access_token"]),
        refresh_token=SecretStr(plain["refresh_token"]) if plain["refresh_token"] else None,
        expires_at=parse_time("expires_at"),
        refresh_expires_at=parse_time("refresh_expires_at"),
        scopes=tuple(plain["scopes"]),
        app_id=plain.get("app_id", ""),
    )
