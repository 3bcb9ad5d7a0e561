"""Store the accounts that an OAuth session connects, and explain why a session cannot be used."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform, RemoteAccount
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts.accounts import AccountRow, add_account, find_account_of
from pipeline.store.accounts.oauth_sessions import (
    OAuthSession,
    RefusalReason,
    SessionOrigin,
    SessionRefused,
    end_session,
)
from pipeline.store.audit import record_change
from pipeline.store.vault import Vault, VaultError

log = logging.getLogger("slipway.connect")

START_AGAIN = "Start again, with `slipway account connect` or a new link from where you came from."
_REFUSALS = {
    RefusalReason.UNKNOWN: (400, "This link is not known, or is more than a day old."),
    RefusalReason.USED: (409, "This link was already used: it works only once."),
    RefusalReason.EXPIRED: (400, "This link has expired: it is valid for ten minutes."),
    RefusalReason.OTHER_PLATFORM: (400, "This link was made for another platform."),
    RefusalReason.OTHER_STARTER: (
        403,
        "This link was made with another API key; only a browser or that key can finish it.",
    ),
    RefusalReason.KEY_REVOKED: (
        403,
        "The API key that made this link was revoked, or the user disabled: another has to make one.",
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
class PendingConfirmation:
    """Accounts were found: within ten minutes, the user confirms with the ticket which of them to store."""

    session: UUID
    ticket: str = field(repr=False)
    accounts: Sequence[RemoteAccount] = field(repr=False)
    """The candidates; a confirmation names them by their index here."""
    is_choice: bool
    """True if the user selects among them; otherwise they were named at the start, or there is only one."""
    origin: SessionOrigin


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletedConnection:
    """The accounts that a confirmation stored."""

    accounts: Sequence[ConnectedAccount]
    origin: SessionOrigin


def store_accounts(
    c: Connection,
    context: Context,
    actor: Actor,
    session: OAuthSession,
    accounts: Sequence[RemoteAccount],
    known: Sequence[AccountRow],
) -> list[ConnectedAccount]:
    """Store these accounts with their tokens sealed, and end the session. *known*: the workspace's accounts before."""
    connected, before = [], {account.id for account in known}
    for one in accounts:
        identity = add_remote_account(c, context.vault, actor, session.workspace_id, session.platform, one)
        connected.append(
            ConnectedAccount(
                id=identity,
                platform=session.platform,
                connection=one.connection,
                remote_id=one.remote_id,
                username=one.username,
                display_name=one.display_name,
                was_known=identity in before,
            )
        )
    end_session(c, session.id, {"accounts": [_to_dict(one) for one in connected]})
    return connected


def add_remote_account(
    c: Connection, vault: Vault, actor: Actor, workspace: UUID, platform: Platform, one: RemoteAccount
) -> UUID:
    """Store an account with its tokens sealed, or give the known one these tokens; record it; return its id."""
    before = find_account_of(c, workspace, platform, one.connection, one.remote_id)
    identity = add_account(c, vault, workspace, platform, one)
    after = find_account_of(c, workspace, platform, one.connection, one.remote_id)
    verb, sides = "connect" if before is None else "reconnect", (_describe(before), _describe(after))
    record_change(
        c, actor, verb, "account", identity, workspace, sides[0], {**sides[1], "tokens": "replaced"}
    )
    return identity


def _describe(account: AccountRow | None) -> Mapping[str, Any]:
    """Return the fields of an account for an audit row, without its tokens."""
    names = ("platform", "connection", "remote_id", "username", "display_name", "status", "settings")
    return {} if account is None else {name: getattr(account, name) for name in names}


@contextmanager
def refuse_unusable(platform: Platform, what: str) -> Iterator[None]:
    """Raise Refusal, and log the reason, if the block cannot use a session. *what*: the step, for the log."""
    try:
        yield
    except SessionRefused as error:
        log.warning("%s %s refused: %s", platform.value, what, error.reason.value)
        raise to_refusal(error, platform) from None
    except VaultError:
        raise Refusal(409, "state_unusable", f"The vault's keys have changed since. {START_AGAIN}") from None


def to_refusal(error: SessionRefused, platform: Platform) -> Refusal:
    """Return the refusal that tells a user why a link, or a ticket, is not accepted, and what to do."""
    status, reason = _REFUSALS[error.reason]
    parts = [reason]
    is_done = False
    if error.reason is RefusalReason.USED and error.outcome is not None:
        is_done = "accounts" in error.outcome
        parts.append(_describe_outcome(error.outcome))
    if not is_done:
        show = error.reason is not RefusalReason.OTHER_STARTER
        parts.append(describe_restart(platform, error.origin if show else None))
    return Refusal(status, f"state_{error.reason.value}", " ".join(parts))


def describe_restart(platform: Platform, origin: SessionOrigin | None) -> str:
    """Return how a new link is made by what made the last one."""
    if origin is None:
        return START_AGAIN
    if origin.user is not None:
        return f"Start again on the dashboard's page of accounts, or ask {origin.user} for a new link."
    if origin.key is None:
        command = f"slipway account connect {platform.value} --workspace {shlex.quote(origin.workspace)}"
        return f"Start again: run `{command}`."
    return f"Start again: ask who sent you the link for a new one, made with the API key {origin.key}."


def _describe_outcome(outcome: Mapping[str, Any]) -> str:
    if connected := outcome.get("accounts"):
        return (
            f"It connected {len(connected)} account{'s'[: len(connected) > 1]}; there is nothing left to do."
        )
    if "offered" in outcome:
        return "It waits for your confirmation: go back to the page that asks for it."
    return f"Nothing was connected: {outcome['error']['message'].removesuffix(START_AGAIN).rstrip()}"


def _to_dict(one: ConnectedAccount) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "platform": one.platform.value,
        "username": one.username,
        "display_name": one.display_name,
        "connection": one.connection,
        "was": "known; its tokens are replaced" if one.was_known else "new",
    }
