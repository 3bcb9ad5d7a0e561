"""Accounts for operators: when each grant ends, which deliveries that affects, and taking accounts out of use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.account import AccountStatus
from pipeline.store.accounts.accounts import AccountRow, list_accounts
from pipeline.store.database import row, rows
from pipeline.store.vault import Vault, VaultError


class NoSuchAccount(Exception):
    """No account, or more than one, has this id or username."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GrantStatus:
    """An account and the end of its grant."""

    account: AccountRow
    ends_at: datetime | None
    """When the grant ends unless it is renewed: with the refresh token or, without one, with the access token."""
    opens: bool
    """Its credentials open with the configured vault keys."""
    endangered: int
    """Unsent deliveries that are due after the end of the grant or wait for a reconnect."""


_ALREADY = datetime(1970, 1, 1, tzinfo=UTC)


def list_grant_statuses(c: Connection, vault: Vault, workspace: UUID | None = None) -> list[GrantStatus]:
    """Return the accounts of all workspaces or one. Opens every account's credentials to see if they are renewable."""
    accounts = [a for a in list_accounts(c) if workspace in (None, a.workspace_id)]
    renewable = _find_renewable(c, vault, [a.id for a in accounts])
    ends = {a.id: a.refresh_expires_at if renewable.get(a.id) else a.expires_at for a in accounts}
    dead = {a.id for a in accounts if a.status is not AccountStatus.ACTIVE or a.id not in renewable}
    counted = _count_due_after(c, {a.id: _ALREADY if a.id in dead else ends[a.id] for a in accounts})
    return [
        GrantStatus(account=a, ends_at=ends[a.id], opens=a.id in renewable, endangered=counted.get(a.id, 0))
        for a in accounts
    ]


def find_account(c: Connection, id_or_username: str) -> AccountRow:
    """Return the account with this id or unique username. Raises NoSuchAccount."""
    found = [
        a for a in list_accounts(c) if id_or_username.lower() == str(a.id) or id_or_username == a.username
    ]
    if len(found) != 1:
        raise NoSuchAccount(
            f"There is no account {id_or_username!r}."
            if not found
            else f"Several accounts have the username {id_or_username!r}: use the id."
        )
    return found[0]


def deactivate(c: Connection, account: UUID) -> None:
    """Take an account out of use: new posts are refused, and waiting deliveries are blocked when they are due."""
    row(c, "UPDATE accounts SET status = 'inactive' WHERE id = :id RETURNING id", id=account)


def activate(c: Connection, account: UUID) -> AccountStatus:
    """Put an account back in use and return its status: ``reconnect`` if its grant had been refused before."""
    found = row(
        c,
        """UPDATE accounts SET status = CASE WHEN error IS NULL THEN 'active' ELSE 'reconnect' END
           WHERE id = :id RETURNING status""",
        id=account,
    )
    if found is None:
        raise NoSuchAccount(f"There is no account {account}.")
    return AccountStatus(found.status)


def count_waiting(c: Connection, account: UUID) -> int:
    """Count the deliveries that are blocked until this account is reconnected."""
    found = row(
        c,
        """SELECT count(*) AS n FROM deliveries
           WHERE account_id = :id AND state = 'blocked' AND reason = 'reconnect'""",
        id=account,
    )
    return int(found.n) if found else 0


def _find_renewable(c: Connection, vault: Vault, ids: list[UUID]) -> dict[UUID, bool]:
    """Return whether each account has a refresh token; accounts whose credentials do not open are left out."""
    known: dict[UUID, bool] = {}
    for r in rows(c, "SELECT id, credentials FROM accounts WHERE id = ANY(CAST(:ids AS uuid[]))", ids=ids):
        try:
            known[r.id] = bool(vault.open(r.credentials, r.id)["refresh_token"])
        except VaultError:
            continue  # reported by its absence: `opens` is False
    return known


def _count_due_after(c: Connection, ends: dict[UUID, datetime | None]) -> dict[UUID, int]:
    mortal = {identity: end for identity, end in ends.items() if end is not None}
    found = rows(
        c,
        """SELECT x.id, (SELECT count(*) FROM deliveries d
                         WHERE d.account_id = x.id AND d.due_at >= x.ends AND d.armed_at IS NULL
                           AND d.state NOT IN ('published', 'failed', 'cancelled')) AS n
           FROM unnest(CAST(:ids AS uuid[]), CAST(:ends AS timestamptz[])) AS x (id, ends)""",
        ids=list(mortal),
        ends=list(mortal.values()),
    )
    return {r.id: r.n for r in found}
