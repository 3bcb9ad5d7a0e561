"""Accounts as their page lists them: accounts that need a user first, then by client, with the deliveries that wait."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.account import AccountStatus
from pipeline.domain.attention import ENDING
from pipeline.store.accounts.accounts import ACCOUNT_FIELDS, AccountRow
from pipeline.store.accounts.grants import GRANT_ENDS_AT
from pipeline.store.database import build, find_value, require_row, rows
from pipeline.store.selection import Keyset, among, equal, where, where_given

PAGE = 50
CAP = 1000
"""Deliveries of one account that are counted in each of three ways; beyond it there are more."""
Position = tuple[int, str, str, UUID]
"""The place of an account in the list: its rank, the name of its workspace, its platform, its id."""
LOST, ENDING_SOON, IN_USE, OUT_OF_USE = range(4)
"""Ranks, in the order of the list: to reconnect; its grant ends soon; in order; taken out of use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountHealth:
    """An account, the end of its grant, and the deliveries that depend on it."""

    account: AccountRow
    workspace: str
    """Name."""
    ends_at: datetime | None
    """When its grant ends unless it is renewed; None: never."""
    unanswered: int
    """Refreshes in a row that got no answer."""
    waiting: int
    """Deliveries that wait for their time or for this account, each counted up to ``CAP``."""
    at_risk: int
    """Those of them that wait for this account, or are due after its grant ends."""
    paused: str | None
    """The smallest scope of a pause that holds it: account, workspace, platform or all; None: none does."""
    position: Position


class Health(StrEnum):
    """What keeps an account from publishing, or will soon."""

    OK = "ok"  #: nothing
    ENDING = "ending"  #: its grant ends soon, or has ended
    PAUSED = "paused"  #: a pause holds it
    RECONNECT = "reconnect"  #: a user has to connect it again
    INACTIVE = "inactive"  #: it is taken out of use


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountStanding:
    """An account, its health and the end of its grant (``AccountHealth.ends_at``)."""

    account: AccountRow
    created_at: datetime
    ends_at: datetime | None
    health: Health


_BY_AGE = Keyset({"created_at": "timestamptz", "id": "uuid"})
_BY_NEED = Keyset({"rank": "integer", "workspace": "text", "platform": "text", "id": "uuid"})
_PLANNED = """(SELECT count(*) FROM (SELECT FROM post_deliveries d
            WHERE d.account_id = a.id AND d.state IN ('accepted', 'scheduled', 'retrying') AND d.due_at >= {start}
            LIMIT :cap) x)"""
_PAUSED = """(SELECT p.scope FROM pauses p
        WHERE (p.scope, p.target) IN (('account', a.id::text), ('workspace', a.workspace_id::text),
                                      ('platform', a.platform), ('all', ''))
        ORDER BY array_position(ARRAY['account', 'workspace', 'platform', 'all'], p.scope) LIMIT 1)"""
_ACCOUNTS = f"""
WITH ranked AS (
    SELECT *, CASE WHEN status = 'reconnect' THEN {LOST} WHEN status <> 'active' THEN {OUT_OF_USE}
                   WHEN ends_at <= now() + CAST(:ending AS interval) THEN {ENDING_SOON} ELSE {IN_USE} END AS rank
    FROM (SELECT *, {GRANT_ENDS_AT} AS ends_at,
                 (SELECT name FROM workspaces w WHERE w.id = a.workspace_id) AS workspace FROM accounts a) a
    WHERE workspace_id = ANY(CAST(:workspaces AS uuid[])) AND {{chosen}}
), chosen AS (
    SELECT * FROM ranked WHERE {{beyond}} ORDER BY {_BY_NEED.order} LIMIT :n
)
SELECT {ACCOUNT_FIELDS}, ends_at, unanswered, rank, workspace,
       {_PAUSED} AS paused,
       {_PLANNED.format(start="'-infinity'")} AS planned,
       {_PLANNED.format(start="CASE WHEN a.status = 'active' THEN a.ends_at END")} AS endangered,
       (SELECT count(*) FROM (SELECT FROM post_deliveries d
            WHERE d.account_id = a.id AND d.state = 'blocked' AND d.reason = 'reconnect' LIMIT :cap) x) AS blocked
FROM chosen a ORDER BY {_BY_NEED.order}
"""


def list_standings(
    c: Connection,
    workspace: UUID,
    ids: Sequence[UUID] | None = None,
    *,
    is_active: bool | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int | None = None,
) -> list[AccountStanding]:
    """Return the accounts of a workspace, the oldest first; *ids*: only these. *after*: the last of the page before."""
    own = equal(workspace_id=workspace) & among("id", ids, "ids") & _BY_AGE.start_after(after)
    own = own & where_given({"active": "(status = 'active') = :active"}, active=is_active)
    found = rows(
        c,
        f"""SELECT {ACCOUNT_FIELDS}, created_at, {GRANT_ENDS_AT} AS ends_at,
                   CASE WHEN status = 'reconnect' THEN '{Health.RECONNECT}'
                        WHEN status <> 'active' THEN '{Health.INACTIVE}'
                        WHEN {_PAUSED} IS NOT NULL THEN '{Health.PAUSED}'
                        WHEN {GRANT_ENDS_AT} <= now() + CAST(:ending AS interval) THEN '{Health.ENDING}'
                        ELSE '{Health.OK}' END AS health
            FROM accounts a WHERE {own} ORDER BY {_BY_AGE.order} LIMIT :n""",
        ending=ENDING,
        n=limit,
        **own.values,
    )
    return [build(AccountStanding, r, account=build(AccountRow, r)) for r in found]


def list_health(
    c: Connection,
    workspaces: Collection[UUID],
    *,
    platform: Platform | None = None,
    needs_person: bool = False,
    after: Position | None = None,
    limit: int = PAGE,
) -> list[AccountHealth]:
    """Return a page of the accounts of these workspaces, by rank and then by the name of their workspace.

    *needs_person*: only accounts to reconnect or whose grant ends soon. *after*: the position of the page before.
    """
    chosen = where_given({"platform": "platform = :platform"}, platform=platform)
    beyond = _BY_NEED.start_after(after)
    if needs_person:
        beyond = beyond & where(f"rank IN ({LOST}, {ENDING_SOON})")
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
    sql = "SELECT platform, username, remote_id FROM accounts WHERE id = :id"
    platform, username, remote_id = require_row(c, f"There is no account {account}.", sql, id=account)
    return platform, username, remote_id


def _to_health(r: Any) -> AccountHealth:
    return build(
        AccountHealth,
        r,
        account=build(AccountRow, r),
        waiting=r.planned + r.blocked,
        at_risk=r.blocked + (r.endangered if r.status == AccountStatus.ACTIVE else r.planned),
        position=(r.rank, r.workspace, r.platform, r.id),
    )
