"""Which accounts' tokens run out, when, and what that endangers; and what is known of an account's refreshes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.accounts.accounts import ACCOUNT_FIELDS, AccountRow, account_row
from pipeline.store.database import row, rows


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """What the refreshes before this one left behind."""

    unanswered: int
    """How many in a row left and were never answered, or ended with their worker."""
    rotates: bool | None
    """Whether a refresh gives another refresh token than it took; None = not seen yet."""
    is_alive: bool
    """Whether the access token is still good by its own word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endangered:
    """An account that a person has to see to, sooner or later."""

    account: AccountRow
    ends_at: datetime | None
    """When its grant ends unless it is renewed before; None when it is dead already."""
    posts: int
    """Deliveries not sent yet that are due after that, or that wait for the account."""


def expiring(c: Connection, limit: int) -> list[tuple[UUID, int]]:
    """Active accounts, with their version, in the last tenth of their token's life (10 minutes to 7 days).

    What ends is the access token, or the refresh token where it ends sooner (Facebook keeps a user token of 60 days
    to make Page tokens that have no end). One that has ended renews nothing, and so is left alone here.
    """
    found = rows(
        c,
        """SELECT id, credentials_version FROM accounts
           WHERE status = 'active' AND least(expires_at, refresh_expires_at) IS NOT NULL
             AND (refresh_expires_at IS NULL OR refresh_expires_at > now())
             AND (refreshing_until IS NULL OR refreshing_until < now())
             AND (refresh_after IS NULL OR refresh_after <= now())
             AND now() > least(expires_at, refresh_expires_at) - greatest(interval '10 minutes', least(
                 interval '7 days', (least(expires_at, refresh_expires_at) - credentials_since) / 10))
           ORDER BY least(expires_at, refresh_expires_at) LIMIT :n""",
        n=limit,
    )
    return [(r.id, r.credentials_version) for r in found]


def history(c: Connection, account: UUID) -> History:
    """What is known of an account's refreshes."""
    found = row(
        c,
        """SELECT unanswered, refresh_rotates AS rotates, coalesce(expires_at > now(), true) AS is_alive
           FROM accounts WHERE id = :id""",
        id=account,
    )
    if found is None:
        raise LookupError(f"There is no account {account}.")
    return History(**found._mapping)


def endangered(c: Connection, workspace: UUID | None = None) -> list[Endangered]:
    """Accounts that are dead or whose grant has an end, those first that end first; of a workspace, or all.

    A grant with a refresh token ends with that, one without with its access token (Instagram's is renewed ahead of
    its end all the same; LinkedIn's cannot be).
    """
    found = rows(
        c,
        f"""SELECT x.*, (SELECT count(*) FROM deliveries d
                         WHERE d.account_id = x.id AND d.armed_at IS NULL
                           AND d.state NOT IN ('published', 'failed', 'cancelled')
                           AND (x.status <> 'active' OR d.due_at >= x.ends_at)) AS posts
            FROM (SELECT {ACCOUNT_FIELDS},
                         CASE WHEN status <> 'active' THEN NULL
                              WHEN coalesce(renewable, refresh_expires_at IS NOT NULL) THEN refresh_expires_at
                              ELSE expires_at END AS ends_at
                  FROM accounts WHERE CAST(:w AS uuid) IS NULL OR workspace_id = :w) x
            WHERE x.status = 'reconnect' OR x.ends_at IS NOT NULL
            ORDER BY x.ends_at NULLS FIRST, x.id""",
        w=workspace,
    )
    return [Endangered(account=account_row(r), ends_at=r.ends_at, posts=r.posts) for r in found]
