"""OAuth sessions: from sending a user to a platform's consent page to the outcome of their return.

A session is used once, by its ``state``. Only a hash of the state is stored, so a stolen database completes no session;
the PKCE verifier is sealed. (The table is called ``grants``.) Its origin is who began it, for the page that asks for
confirmation.

Candidates are the accounts a consent gave access to, sealed for ten minutes until the user confirms them. They are kept
as the ``outcome`` of the session until the confirmation or a refusal replaces it. The ticket that authorizes the
confirmation is shown on one page; only its hash is stored.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Connection

from adapters.contract import Platform, RemoteAccount
from pipeline.store.accounts.accounts import credentials_from_dict, credentials_to_dict
from pipeline.store.database import build, execute, hash_text, jsonb, new_id, require_row, row
from pipeline.store.vault import Vault


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionOrigin:
    """The workspace of a session, and what started it."""

    workspace: str
    """Name."""
    key: str | None
    """The API key by its name and public half; None: the command line, or a user."""
    user: str | None
    """The login of the dashboard's user; None: not one of them."""
    started_at: datetime


def read_origin(c: Connection, session: UUID) -> SessionOrigin:
    """Return the origin of a session. Raises LookupError."""
    found = require_row(
        c,
        f"There is no OAuth session {session}.",
        """SELECT w.name AS workspace, k.name AS key, k.public_id, u.login AS user, g.created_at
           FROM grants g JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN keys k ON k.id = g.key_id
           LEFT JOIN users u ON u.id = g.user_id
           WHERE g.id = :id""",
        id=session,
    )
    key = f"“{found.key}” ({found.public_id})" if found.key else found.public_id
    return SessionOrigin(workspace=found.workspace, key=key, user=found.user, started_at=found.created_at)


LIFETIME = timedelta(minutes=10)
"""How long a state is valid; RFC 6749 section 4.1.2 gives a code ten minutes at most."""
RETENTION = timedelta(days=1)
"""How long a session is stored, so that a late return gets the reason of its refusal."""

ALL = ("*",)
"""A choice made beforehand: all candidates."""
NOT_CONFIRMED = {
    "error": {"code": "not_confirmed", "message": "The accounts were not confirmed within ten minutes."}
}

CLI: Literal["cli"] = "cli"


@dataclass(frozen=True, slots=True)
class UserStarter:
    """A user of the dashboard."""

    id: UUID


Starter = UUID | UserStarter | Literal["cli"]
"""The starter of a session: an API key, by its id, a user of the dashboard, or the command line."""
IS_REVOKED = """(g.key_id IS NOT NULL AND NOT EXISTS (
                         SELECT FROM keys k WHERE k.id = g.key_id AND k.revoked_at IS NULL
                         AND (k.expires_at IS NULL OR k.expires_at > now()))
                     OR g.user_id IS NOT NULL AND NOT EXISTS (
                         SELECT FROM users u WHERE u.id = g.user_id AND u.disabled_at IS NULL))"""
"""Condition on ``grants g``: the key that started the session was revoked since, or the user disabled."""


class RefusalReason(StrEnum):
    """Why a state is refused."""

    UNKNOWN = "unknown"
    USED = "used"
    EXPIRED = "expired"
    OTHER_PLATFORM = "other_platform"
    OTHER_STARTER = "other_starter"
    KEY_REVOKED = "key_revoked"


class SessionRefused(Exception):
    """The state cannot be used, for ``reason``. Nothing was changed.

    ``origin`` and ``outcome``: of the session; None: there is none.
    """

    def __init__(
        self,
        reason: RefusalReason,
        origin: SessionOrigin | None = None,
        outcome: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(reason.value)
        self.reason, self.origin, self.outcome = reason, origin, outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class OAuthSession:
    """A session that has been used."""

    id: UUID
    workspace_id: UUID
    platform: Platform
    connection: str | None
    starter: Starter
    account_id: UUID | None
    chosen: tuple[str, ...] | None
    """Remote ids that may be stored, ``("*",)`` for all; None: the user selects if there are several candidates."""
    redirect_uri: str
    verifier: SecretStr = SecretStr("")


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionStatus:
    """The progress of a session, for a client that polls it."""

    is_used: bool
    is_over: bool
    """It expired, or it was used and then had no outcome in time."""
    outcome: Mapping[str, Any] | None = field(default=None)


def open_session(  # noqa: PLR0913  one keyword per column
    c: Connection,
    vault: Vault,
    *,
    workspace: UUID,
    platform: Platform,
    connection: str | None,
    starter: Starter,
    account: UUID | None,
    chosen: Sequence[str] | None,
    redirect_uri: str,
    state: str,
    verifier: str,
) -> UUID:
    """Store a session whose user is being sent to the platform with this state; return its id."""
    expire_sessions(c)
    identity = new_id()
    execute(
        c,
        """INSERT INTO grants (id, state_sha256, workspace_id, platform, connection, key_id, account_id, chosen,
                               redirect_uri, verifier, expires_at, user_id)
           VALUES (:id, :state, :w, :p, :connection, :key, :account, :chosen, :redirect, :verifier, now() + :life,
                   :user)""",
        id=identity,
        state=hash_text(state),
        w=workspace,
        p=platform,
        connection=connection,
        key=_find_key(starter),
        user=starter.id if isinstance(starter, UserStarter) else None,
        account=account,
        chosen=None if chosen is None else jsonb(list(chosen)),
        redirect=redirect_uri,
        verifier=vault.seal({"verifier": verifier}, identity),
        life=LIFETIME,
    )
    return identity


def expire_sessions(c: Connection) -> None:
    """Delete old sessions, and the candidates, which hold tokens, of sessions that were not confirmed in time."""
    execute(c, "DELETE FROM grants WHERE created_at < now() - :kept", kept=RETENTION)
    sql = "UPDATE grants SET outcome = :outcome WHERE outcome ? 'offered' AND used_at < now() - :life"
    execute(c, sql, outcome=jsonb(NOT_CONFIRMED), life=LIFETIME)


def use_session(
    c: Connection, vault: Vault, platform: Platform, state: str, starter: Starter | None
) -> OAuthSession:
    """Use the session of a state, once. Raises SessionRefused, and VaultError when the verifier does not open.

    ``starter`` None: a browser that has only the state. The session of a key that has been revoked since is refused.
    """
    found = row(
        c,
        f"""WITH taken AS (
               SELECT id, verifier FROM grants g
               WHERE state_sha256 = :state AND platform = :p AND used_at IS NULL AND expires_at > now()
                 AND (CAST(:any_starter AS boolean) OR key_id IS NOT DISTINCT FROM CAST(:key AS uuid))
                 AND NOT {IS_REVOKED}
               FOR UPDATE)
           UPDATE grants g SET used_at = now(), verifier = NULL FROM taken
           WHERE g.id = taken.id
           RETURNING g.id, g.workspace_id, g.connection, g.key_id, g.user_id, g.account_id, g.chosen, g.redirect_uri,
                     taken.verifier AS sealed""",
        state=hash_text(state),
        p=platform,
        any_starter=starter is None,
        key=None if starter is None else _find_key(starter),
    )
    if found is None:
        raise _find_refusal(c, platform, state, starter)
    return build(
        OAuthSession,
        found,
        platform=platform,
        starter=to_starter(found),
        chosen=None if found.chosen is None else tuple(found.chosen),
        verifier=SecretStr(vault.open(found.sealed, found.id)["verifier"]),
    )


def to_starter(found: Any) -> Starter:
    """Return the starter that a row records by the id of a key or a user."""
    return found.key_id or (CLI if found.user_id is None else UserStarter(found.user_id))


def _find_key(starter: Starter) -> UUID | None:
    return starter if isinstance(starter, UUID) else None


def end_session(c: Connection, session: UUID, outcome: Mapping[str, Any]) -> None:
    """Store the outcome of a session, for a client that polls it."""
    execute(c, "UPDATE grants SET outcome = :o WHERE id = :id", id=session, o=jsonb(dict(outcome)))


def read_session_status(c: Connection, state: str, time_limit: timedelta) -> SessionStatus:
    """Return the progress of the session of this state.

    ``time_limit``: how long after its use the outcome may take; the confirmation may take ten minutes.
    """
    found = row(
        c,
        """SELECT used_at IS NOT NULL AS used, CASE WHEN outcome ? 'offered' THEN NULL ELSE outcome END AS outcome,
                  coalesce(used_at + CASE WHEN outcome ? 'offered' THEN :life ELSE :time_limit END, expires_at) < now()
                  AS over
           FROM grants WHERE state_sha256 = :state""",
        state=hash_text(state),
        time_limit=time_limit,
        life=LIFETIME,
    )
    if found is None:
        return SessionStatus(is_used=False, is_over=True)
    return SessionStatus(is_used=found.used, is_over=found.over, outcome=found.outcome)


def _find_refusal(c: Connection, platform: Platform, state: str, starter: Starter | None) -> SessionRefused:
    found = row(
        c,
        """SELECT id, platform, key_id, user_id, used_at, outcome, expires_at <= now() AS expired FROM grants
           WHERE state_sha256 = :state""",
        state=hash_text(state),
    )
    if found is None:
        return SessionRefused(RefusalReason.UNKNOWN)
    checks = (
        (found.platform != platform, RefusalReason.OTHER_PLATFORM),
        (starter is not None and to_starter(found) != starter, RefusalReason.OTHER_STARTER),
        (found.used_at is not None, RefusalReason.USED),
        (found.expired, RefusalReason.EXPIRED),
    )
    reason = next((reason for holds, reason in checks if holds), RefusalReason.KEY_REVOKED)
    return SessionRefused(reason, read_origin(c, found.id), found.outcome)


def save_candidates(
    c: Connection, vault: Vault, session: OAuthSession, ticket: str, candidates: Sequence[RemoteAccount]
) -> None:
    """Store the candidates of a session, to be read with this ticket."""
    sealed = vault.seal({"accounts": [_to_dict(one) for one in candidates]}, session.id)
    outcome = {"offered": b64encode(sealed).decode(), "ticket_sha256": hash_text(ticket).hex()}
    execute(c, "UPDATE grants SET outcome = :o WHERE id = :id", id=session.id, o=jsonb(outcome))


def lock_candidates(
    c: Connection, vault: Vault, platform: Platform, session: UUID, ticket: str, starter: Starter | None
) -> tuple[OAuthSession, list[RemoteAccount]]:
    """Lock a session until the transaction ends, and return it with its candidates.

    A concurrent second confirmation finds the first one's outcome. ``starter`` None: a browser, which has only its
    ticket. Raises SessionRefused, and VaultError when the candidates do not open.
    """
    found = row(
        c,
        f"""SELECT g.*, coalesce(used_at + :life < now(), false) AS late, {IS_REVOKED} AS revoked
           FROM grants g WHERE id = :id FOR UPDATE""",
        id=session,
        life=LIFETIME,
    )
    if found is None:
        raise SessionRefused(RefusalReason.UNKNOWN)
    if reason := _find_refusal_of_ticket(found, platform, ticket, starter):
        # nothing is returned about the session of a ticket that is wrong, or that can no longer be compared
        is_verified = "offered" in (found.outcome or ()) and reason is not RefusalReason.UNKNOWN
        raise SessionRefused(reason, read_origin(c, session) if is_verified else None)
    inside = vault.open(b64decode(found.outcome["offered"]), session)
    opened = build(OAuthSession, found, starter=to_starter(found), chosen=None, verifier=SecretStr(""))
    return opened, [_from_dict(one) for one in inside["accounts"]]


def _find_refusal_of_ticket(
    found: Any, platform: Platform, ticket: str, starter: Starter | None
) -> RefusalReason | None:
    if found.outcome == NOT_CONFIRMED:
        return RefusalReason.EXPIRED
    if found.outcome is None or "offered" not in found.outcome:
        return RefusalReason.USED
    checks = (
        (
            not hmac.compare_digest(found.outcome["ticket_sha256"], hash_text(ticket).hex()),
            RefusalReason.UNKNOWN,
        ),
        (found.platform != platform, RefusalReason.OTHER_PLATFORM),
        (starter is not None and to_starter(found) != starter, RefusalReason.OTHER_STARTER),
        (found.late, RefusalReason.EXPIRED),
        (found.revoked, RefusalReason.KEY_REVOKED),
    )
    return next((reason for holds, reason in checks if holds), None)


def _to_dict(one: RemoteAccount) -> dict[str, Any]:
    plain = {name: getattr(one, name) for name in RemoteAccount.__dataclass_fields__}
    return {**plain, "credentials": credentials_to_dict(one.credentials)}


def _from_dict(plain: Mapping[str, Any]) -> RemoteAccount:
    return RemoteAccount(**{**plain, "credentials": credentials_from_dict(plain["credentials"])})
