"""Accounts as their page lists them: accounts that need a user first, with the deliveries that wait for the user."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.account import AccountStatus
from pipeline.domain.attention import ENDING
from pipeline.store.accounts.accounts import ACCOUNT_FIELDS, AccountRow, to_account_row
from pipeline.store.accounts.grants import GRANT_ENDS_AT
from pipeline.store.database import find_value, row, rows
from pipeline.store.selection import Keyset, where, where_given

PAGE = 50
CAP = 10_000
"""Deliveries of one account that are counted in each of two ways; beyond it there are more."""
Position = tuple[int, str, UUID]
"""The place of an account in the list: its rank, the end of its grant as text, its id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountHealth:
    """An account, the end of its grant, and the deliveries that depend on it."""

    account: AccountRow
    workspace: str
    """Name."""
    ends_at: datetime | None
    """When its grant ends unless it is renewed; None: never."""
    ends_soon: bool
    """Within ``ENDING``."""
    renewed_at: datetime
    unanswered: int
    """Refreshes in a row that got no answer."""
    at_risk: int
    """Unsent deliveries that wait for this account, or are due after its grant ends; counted up to ``CAP``."""
    paused: bool
    position: Position


_BY_NEED = Keyset({"rank": "integer", "place": "numeric", "id": "uuid"})
_ENDS_SOON = "status = 'active' AND ends_at <= now() + CAST(:ending AS interval)"
_ACCOUNTS = f"""
WITH ranked AS (
    SELECT *, {GRANT_ENDS_AT} AS ends_at,
           CASE status WHEN 'reconnect' THEN 0 WHEN 'active' THEN 1 ELSE 2 END AS rank,
           coalesce(CAST(extract(epoch FROM {GRANT_ENDS_AT}) AS numeric(20, 6)), 'infinity') AS place
    FROM accounts
    WHERE workspace_id = ANY(CAST(:workspaces AS uuid[])) AND {{chosen}}
), chosen AS (
    SELECT * FROM ranked WHERE {{beyond}} ORDER BY {_BY_NEED.order} LIMIT :n
)
SELECT {ACCOUNT_FIELDS}, ends_at, credentials_since AS renewed_at, unanswered, rank, place::text AS place,
       (SELECT name FROM workspaces w WHERE w.id = a.workspace_id) AS workspace,
       coalesce({_ENDS_SOON}, false) AS ends_soon,
       EXISTS (SELECT FROM pauses p WHERE p.scope = 'account' AND p.target = a.id::text) AS paused,
       (SELECT count(*) FROM (SELECT FROM deliveries d
            WHERE d.account_id = a.id AND d.state IN ('accepted', 'scheduled', 'retrying')
              AND d.due_at >= CASE WHEN a.status = 'active' THEN coalesce(a.ends_at, 'infinity') ELSE '-infinity' END
            LIMIT :cap) x)
       + (SELECT count(*) FROM (SELECT FROM deliveries d
              WHERE d.account_id = a.id AND d.state = 'blocked' AND d.reason = 'reconnect' LIMIT :cap) x) AS at_risk
FROM chosen a ORDER BY {_BY_NEED.order}
"""


def list_health(
    c: Connection,
    workspaces: Collection[UUID],
    *,
    platform: Platform | None = None,
    needs_person: bool = False,
    account: UUID | None = None,
    after: Position | None = None,
    limit: int = PAGE,
) -> list[AccountHealth]:
    """Return a page of the accounts of these workspaces: to reconnect, then active ones by the end of their grant.

    *needs_person*: only accounts to reconnect or whose grant ends soon. *after*: the position of the page before.
    """
    chosen = where_given(
        {"platform": "platform = :platform", "id": "id = :id"}, platform=platform, id=account
    )
    beyond = _BY_NEED.start_after(after)
    if needs_person:
        beyond = beyond & where(f"(status = 'reconnect' OR {_ENDS_SOON})")
    found = rows(
        c,
        _ACCOUNTS.format(chosen=chosen, beyond=beyond),
        workspaces=list(workspaces),
        ending=ENDING,
        n=limit,
        cap=CAP,
        **chosen.values,
        **beyond.values,
    )
    return [_to_health(r) for r in found]


def count_by_status(c: Connection, workspaces: Collection[UUID]) -> dict[AccountStatus, int]:
    """Return how many accounts of these workspaces have each status."""
    found = rows(
        c,
        """SELECT status, count(*) AS n FROM accounts WHERE workspace_id = ANY(CAST(:workspaces AS uuid[]))
           GROUP BY status""",
        workspaces=list(workspaces),
    )
    return dict.fromkeys(AccountStatus, 0) | {AccountStatus(r.status): r.n for r in found}


def find_workspace_of(c: Connection, account: UUID) -> UUID | None:
    """Return the workspace of an account; None if there is no such account."""
    return find_value(c, UUID, "SELECT workspace_id FROM accounts WHERE id = :id", id=account)


def find_identity(c: Connection, account: UUID) -> tuple[str, str, str]:
    """Return an account's platform, username and remote id. Raises LookupError."""
    found = row(c, "SELECT platform, username, remote_id FROM accounts WHERE id = :id", id=account)
    if found is None:
        raise LookupError(f"There is no account {account}.")
    return found.platform, found.username, found.remote_id


def _to_health(r: Any) -> AccountHealth:
    return AccountHealth(
        account=to_account_row(r),
        workspace=r.workspace,
        ends_at=r.ends_at,
        ends_soon=r.ends_soon,
        renewed_at=r.renewed_at,
        unanswered=r.unanswered,
        at_risk=r.at_risk,
        paused=r.paused,
        position=(r.rank, r.place, r.id),
    )
