"""What a grant leads to: accounts stored with their tokens sealed, a choice for the person, or a refusal in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform, RemoteAccount
from pipeline.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts.accounts import AccountRow, add_account
from pipeline.store.accounts.oauth_sessions import Grant, GrantRefused, Unusable, end_grant

AGAIN = "Start connecting the account again."
_UNUSABLE = {
    Unusable.UNKNOWN: (400, f"Nobody here is waiting for this answer, or it is long over. {AGAIN}"),
    Unusable.USED: (409, f"This answer was used before. If the account is not connected: {AGAIN}"),
    Unusable.EXPIRED: (400, f"The ten minutes for this are over. {AGAIN}"),
    Unusable.OTHER_PLATFORM: (
        400,
        f"This answer came from another platform than the one that was asked. {AGAIN}",
    ),
    Unusable.OTHER_STARTER: (403, "Somebody else started this: only the key that did can finish it."),
    Unusable.KEY_REVOKED: (
        403,
        "The key that started this was revoked meanwhile. Start again with another one.",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected:
    """An account that can be published to from now on."""

    id: UUID
    platform: Platform
    connection: str
    remote_id: str
    username: str
    display_name: str
    was_known: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Several accounts were found: the person says by the ticket, within ten minutes, which of them are stored."""

    grant: UUID
    ticket: str = field(repr=False)
    accounts: Sequence[RemoteAccount] = field(repr=False)
    """A choice names them by their place in here."""


def keep(
    c: Connection,
    context: Context,
    grant: Grant,
    accounts: Sequence[RemoteAccount],
    known: Sequence[AccountRow],
) -> list[Connected]:
    """Stores these accounts and ends the grant with them. ``known``: the workspace's accounts before."""
    connected = [_store(c, context, grant, one, known) for one in accounts]
    end_grant(c, grant.id, {"accounts": [_told(one) for one in connected]})
    return connected


def refusal_of(error: GrantRefused) -> Refusal:
    """Why a state, or a ticket, is not taken."""
    status, message = _UNUSABLE[error.reason]
    return Refusal(status, f"state_{error.reason.value}", message)


def _store(
    c: Connection, context: Context, grant: Grant, one: RemoteAccount, known: Sequence[AccountRow]
) -> Connected:
    identity = add_account(
        c,
        context.vault,
        workspace=grant.workspace_id,
        platform=grant.platform,
        connection=one.connection,
        remote_id=one.remote_id,
        username=one.username,
        display_name=one.display_name,
        credentials=one.credentials,
        settings=one.settings,
    )
    return Connected(
        id=identity,
        platform=grant.platform,
        connection=one.connection,
        remote_id=one.remote_id,
        username=one.username,
        display_name=one.display_name,
        was_known=identity in {a.id for a in known},
    )


def _told(one: Connected) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "platform": one.platform.value,
        "username": one.username,
        "display_name": one.display_name,
        "connection": one.connection,
        "was": "known; its tokens are replaced" if one.was_known else "new",
    }
