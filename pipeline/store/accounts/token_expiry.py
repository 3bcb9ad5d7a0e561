"""Tokens about to expire, deliveries that an expiry affects, and the history of an account's refreshes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.accounts.accounts import ACCOUNT_FIELDS, AccountRow, to_account_row
from pipeline.store.database import row, rows

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
    found = row(
        c,
        """SELECT unanswered, refresh_rotates AS rotates, coalesce(expires_at > now(), true) AS is_alive
           FROM accounts WHERE id = :id""",
        id=account,
    )
    if found is None:
        raise LookupError(f"There is no account {account}.")
    return RefreshHistory(**found._mapping)


def list_endangered(
    c: Connection, workspace: UUID | None = None, *, within: timedelta | None = None, limit: int | None = None
) -> list[EndangeredAccount]:
    """Return the accounts whose grant has ended or will end, earliest first; of one workspace, or all.

    *within*: only grants that end within this time.

    A grant with a refresh token ends with that, one without with its access token (which Instagram renews and LinkedIn
    does not).
    """
    found = rows(
        c,
        f"""SELECT x.*, (SELECT count(*) FROM deliveries d
                         WHERE d.account_id = x.id AND d.armed_at IS NULL
                           AND d.state NOT IN ('published', 'failed', 'cancelled')
                           AND (x.status <> 'active' OR d.due_at >= x.ends_at)) AS posts
            FROM (SELECT {ACCOUNT_FIELDS},
                         CASE WHEN status <> 'active' THEN NULL ELSE {GRANT_ENDS_AT} END AS ends_at
                  FROM accounts WHERE CAST(:w AS uuid) IS NULL OR workspace_id = :w) x
            WHERE x.status = 'reconnect' OR x.ends_at <= coalesce(now() + CAST(:within AS interval), 'infinity')
            ORDER BY x.ends_at NULLS FIRST, x.id LIMIT :n""",
        w=workspace,
        within=within,
        n=limit,
    )
    return [EndangeredAccount(account=to_account_row(r), ends_at=r.ends_at, posts=r.posts) for r in found]
