"""Store the accounts that an OAuth session connects, and explain why a session cannot be used."""

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
from pipeline.store.accounts.oauth_sessions import OAuthSession, RefusalReason, SessionRefused, end_session

START_AGAIN = "Start again, with `slipway account connect` or a new link from where you came from."
_REFUSALS = {
    RefusalReason.UNKNOWN: (400, f"This sign-in is not known, or expired long ago. {START_AGAIN}"),
    RefusalReason.USED: (
        409,
        f"This sign-in was already completed. If the account is not connected: {START_AGAIN}",
    ),
    RefusalReason.EXPIRED: (400, f"This sign-in has expired: it is valid for ten minutes. {START_AGAIN}"),
    RefusalReason.OTHER_PLATFORM: (400, f"This sign-in was started for another platform. {START_AGAIN}"),
    RefusalReason.OTHER_STARTER: (
        403,
        "This sign-in was started with another API key; only that key can finish it.",
    ),
    RefusalReason.KEY_REVOKED: (
        403,
        "The API key that started this sign-in was revoked. Start again with another key.",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectedAccount:
    """An account that can be published to from now on."""

    id: UUID
    platform: Platform
    connection: str
    remote_id: str
    username: str
    display_name: str
    was_known: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingSelection:
    """Several accounts were found: within ten minutes, the person selects with the ticket those to store."""

    session: UUID
    ticket: str = field(repr=False)
    accounts: Sequence[RemoteAccount] = field(repr=False)
    """The candidates; a selection names them by their index here."""


def store_accounts(
    c: Connection,
    context: Context,
    session: OAuthSession,
    accounts: Sequence[RemoteAccount],
    known: Sequence[AccountRow],
) -> list[ConnectedAccount]:
    """Store these accounts with their tokens sealed, and end the session. *known*: the workspace's accounts before."""
    connected = [_store(c, context, session, one, known) for one in accounts]
    end_session(c, session.id, {"accounts": [_to_dict(one) for one in connected]})
    return connected


def to_refusal(error: SessionRefused) -> Refusal:
    """Return the refusal that tells a person why a state, or a ticket, is not accepted."""
    status, message = _REFUSALS[error.reason]
    return Refusal(status, f"state_{error.reason.value}", message)


def _store(
    c: Connection, context: Context, session: OAuthSession, one: RemoteAccount, known: Sequence[AccountRow]
) -> ConnectedAccount:
    identity = add_account(
        c,
        context.vault,
        workspace=session.workspace_id,
        platform=session.platform,
        connection=one.connection,
        remote_id=one.remote_id,
        username=one.username,
        display_name=one.display_name,
        credentials=one.credentials,
        settings=one.settings,
    )
    return ConnectedAccount(
        id=identity,
        platform=session.platform,
        connection=one.connection,
        remote_id=one.remote_id,
        username=one.username,
        display_name=one.display_name,
        was_known=identity in {a.id for a in known},
    )


def _to_dict(one: ConnectedAccount) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "platform": one.platform.value,
        "username": one.username,
        "display_name": one.display_name,
        "connection": one.connection,
        "was": "known; its tokens are replaced" if one.was_known else "new",
    }
