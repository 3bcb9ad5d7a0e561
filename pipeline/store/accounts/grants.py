"""Grants of accounts: when each ends, which deliveries that affects, refreshes, and taking accounts out of use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.account import AccountStatus
from pipeline.store.accounts.accounts import ACCOUNT_FIELDS, AccountRow, list_accounts
from pipeline.store.database import build, execute, find_value, read_number, require_row, rows
from pipeline.store.vault import Vault, VaultError

GRANT_ENDS_AT = """CASE WHEN coalesce(renewable, refresh_expires_at IS NOT NULL) THEN refresh_expires_at
                        ELSE expires_at END"""
"""SQL: when an account's grant ends: with its refresh token, or without one with its access token. NULL: never.

The expression of the index ``accounts_grant_end``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RefreshHistory:
    """The known facts of an account's earlier refreshes."""

    unanswered: int
    """Consecutive refreshes that were sent and got no answer, or whose worker died."""
    rotates: bool | None
    """True if a refresh returns a new refresh token; None: not observed yet."""
    is_alive: bool
    """The access token has not expired by its own expiry time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndangeredAccount:
    """An account that a user has to reconnect, now or before ``ends_at``."""

    account: AccountRow
    ends_at: datetime | None
    """When its grant ends unless it is renewed; None: it has ended."""
    posts: int
    """Unsent deliveries that are due after that or wait for the account."""


def list_due_refreshes(c: Connection, limit: int) -> list[tuple[UUID, int]]:
    """Return active accounts in the last tenth of their token's lifetime (10 minutes to 7 days), with their version.

    Up to half of that is left out, by a hash of the account and the version: accounts that were connected together are
    not refreshed together.
    The token that ends is the access token, or the refresh token where it ends sooner (Facebook's is a user token of
    60 days that makes Page tokens without an end). Accounts whose refresh token has ended are left out: they cannot be
    renewed.
    """
    found = rows(
        c,
        """SELECT id, credentials_version FROM accounts
           WHERE status = 'active' AND least(expires_at, refresh_expires_at) IS NOT NULL
             AND (refresh_expires_at IS NULL OR refresh_expires_at > now())
             AND (refreshing_until IS NULL OR refreshing_until < now())
             AND (refresh_after IS NULL OR refresh_after <= now())
             AND now() > least(expires_at, refresh_expires_at)
                 - greatest(interval '10 minutes', least(
                     interval '7 days', (least(expires_at, refresh_expires_at) - credentials_since) / 10))
                 * (1 - (hashtextextended(id::text, credentials_version) & 1023) / 2048.0)
           ORDER BY least(expires_at, refresh_expires_at) LIMIT :n""",
        n=limit,
    )
    return [(r.id, r.credentials_version) for r in found]


def read_refresh_history(c: Connection, account: UUID) -> RefreshHistory:
    """Return the history of an account's refreshes. Raises LookupError."""
    found = require_row(
        c,
        f"There is no account {account}.",
        """SELECT unanswered, refresh_rotates AS rotates, coalesce(expires_at > now(), true) AS is_alive
           FROM accounts WHERE id = :id""",
        id=account,
    )
    return build(RefreshHistory, found)


def list_endangered(
    c: Connection, *, within: timedelta | None = None, limit: int | None = None
) -> list[EndangeredAccount]:
    """Return the accounts whose grant has ended or will end, earliest first.

    *within*: only grants that end within this time.

    A grant with a refresh token ends with that, one without with its access token (which Instagram renews and LinkedIn
    does not).
    """
    found = rows(
        c,
        f"""SELECT x.*, (SELECT count(*) FROM post_deliveries d
                         WHERE d.account_id = x.id AND d.armed_at IS NULL
                           AND d.state NOT IN ('published', 'failed', 'cancelled')
                           AND (x.status <> 'active' OR d.due_at >= x.ends_at)) AS posts
            FROM (SELECT {ACCOUNT_FIELDS},
                         CASE WHEN status <> 'active' THEN NULL ELSE {GRANT_ENDS_AT} END AS ends_at
                  FROM accounts) x
            WHERE x.status = 'reconnect' OR x.ends_at <= coalesce(now() + CAST(:within AS interval), 'infinity')
            ORDER BY x.ends_at NULLS FIRST, x.id LIMIT :n""",
        within=within,
        n=limit,
    )
    return [build(EndangeredAccount, r, account=build(AccountRow, r)) for r in found]


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
    execute(c, "UPDATE accounts SET status = 'inactive' WHERE id = :id", id=account)


def activate(c: Connection, account: UUID) -> AccountStatus:
    """Put an account back in use and return its status: ``reconnect`` if its grant had been refused before."""
    found = find_value(
        c,
        str,
        """UPDATE accounts SET status = CASE WHEN error IS NULL THEN 'active' ELSE 'reconnect' END
           WHERE id = :id RETURNING status""",
        id=account,
    )
    if found is None:
        raise NoSuchAccount(f"There is no account {account}.")
    return AccountStatus(found)


def count_waiting(c: Connection, account: UUID) -> int:
    """Count the deliveries that are blocked until this account is reconnected."""
    return read_number(
        c,
        """SELECT count(*) AS n FROM post_deliveries
           WHERE account_id = :id AND state = 'blocked' AND reason = 'reconnect'""",
        id=account,
    )


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
        """SELECT x.id, (SELECT count(*) FROM post_deliveries d
                         WHERE d.account_id = x.id AND d.due_at >= x.ends AND d.armed_at IS NULL
                           AND d.state NOT IN ('published', 'failed', 'cancelled')) AS n
           FROM unnest(CAST(:ids AS uuid[]), CAST(:ends AS timestamptz[])) AS x (id, ends)""",
        ids=list(mortal),
        ends=list(mortal.values()),
    )
    return {r.id: r.n for r in found}
