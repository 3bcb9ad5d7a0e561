"""Grants under way: a person was sent to a consent page; whoever comes back with the state uses it, once.

Only a hash of the state is kept, so a stolen database finishes nobody's grant; the PKCE verifier is sealed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.store.database import jsonb, new_id, row
from pipeline.store.vault import Vault

LIFE = timedelta(minutes=10)
"""How long a state is good for; RFC 6749 section 4.1.2 gives a code ten minutes at most."""
KEPT = timedelta(days=1)
"""How long a grant is remembered, so that a late comer is told what happened to it."""

ALL = ("*",)
"""A choice made beforehand: everything that is found."""
NOBODY_PICKED = {"error": {"code": "nobody_picked", "message": "Nobody picked an account in time."}}

CLI: Literal["cli"] = "cli"
Starter = UUID | Literal["cli"]
"""Who started a grant: an API key, by its id, or the command line."""


class Unusable(StrEnum):
    """Why a state is not taken."""

    UNKNOWN = "unknown"
    USED = "used"
    EXPIRED = "expired"
    OTHER_PLATFORM = "other_platform"
    OTHER_STARTER = "other_starter"
    KEY_REVOKED = "key_revoked"


class GrantRefused(Exception):
    """The state cannot be used; ``reason`` says why. Nothing was changed."""

    def __init__(self, reason: Unusable) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """A grant as it was started, now used up."""

    id: UUID
    workspace_id: UUID
    platform: Platform
    connection: str | None
    starter: Starter
    account_id: UUID | None
    chosen: tuple[str, ...] | None
    """Remote ids that may be stored, ``("*",)`` for all; None: the person picks where there are several."""
    redirect_uri: str
    verifier: SecretStr = SecretStr("")


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How far a grant is, for whoever waits for it."""

    is_used: bool
    is_over: bool
    """It can no longer be used, or its use broke off without an outcome."""
    outcome: Mapping[str, Any] | None = field(default=None)


def open_grant(  # noqa: PLR0913  a grant is that much, all of it named
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
) -> None:
    """Remembers that a person is sent away with this state."""
    row(c, "DELETE FROM grants WHERE created_at < now() - :kept RETURNING id", kept=KEPT)
    row(  # what nobody picked is not kept: tokens are in it
        c,
        """UPDATE grants SET outcome = :nobody WHERE outcome ? 'offered' AND used_at < now() - :life RETURNING id""",
        nobody=jsonb(NOBODY_PICKED),
        life=LIFE,
    )
    identity = new_id()
    row(
        c,
        """INSERT INTO grants (id, state_sha256, workspace_id, platform, connection, key_id, account_id, chosen,
                               redirect_uri, verifier, expires_at)
           VALUES (:id, :state, :w, :p, :connection, :key, :account, :chosen, :redirect, :verifier, now() + :life)
           RETURNING id""",
        id=identity,
        state=_hash(state),
        w=workspace,
        p=platform,
        connection=connection,
        key=None if starter == CLI else starter,
        account=account,
        chosen=None if chosen is None else jsonb(list(chosen)),
        redirect=redirect_uri,
        verifier=vault.seal({"verifier": verifier}, identity),
        life=LIFE,
    )


def use_grant(c: Connection, vault: Vault, platform: Platform, state: str, starter: Starter | None) -> Grant:
    """Uses a state up. Raises GrantRefused, and VaultError when the verifier does not open.

    ``starter`` None: a browser, of which the state is all that is known. A key that was revoked meanwhile no longer
    speaks for its workspace.
    """
    found = row(
        c,
        """WITH taken AS (
               SELECT id, verifier FROM grants g
               WHERE state_sha256 = :state AND platform = :p AND used_at IS NULL AND expires_at > now()
                 AND (CAST(:anybody AS boolean) OR key_id IS NOT DISTINCT FROM CAST(:key AS uuid))
                 AND (key_id IS NULL OR EXISTS (
                     SELECT FROM keys k WHERE k.id = g.key_id AND k.revoked_at IS NULL
                     AND (k.expires_at IS NULL OR k.expires_at > now())))
               FOR UPDATE)
           UPDATE grants g SET used_at = now(), verifier = NULL FROM taken
           WHERE g.id = taken.id AND g.used_at IS NULL
           RETURNING g.id, g.workspace_id, g.connection, g.key_id, g.account_id, g.chosen, g.redirect_uri,
                     taken.verifier AS sealed""",
        state=_hash(state),
        p=platform,
        anybody=starter is None,
        key=None if starter == CLI else starter,
    )
    if found is None:
        raise GrantRefused(_why(c, platform, state, starter))
    return Grant(
        id=found.id,
        workspace_id=found.workspace_id,
        platform=platform,
        connection=found.connection,
        starter=starter_of(found.key_id),
        account_id=found.account_id,
        chosen=None if found.chosen is None else tuple(found.chosen),
        redirect_uri=found.redirect_uri,
        verifier=SecretStr(vault.open(found.sealed, found.id)["verifier"]),
    )


def starter_of(key: UUID | None) -> Starter:
    """Who a row names as its starter."""
    return key or CLI


def end_grant(c: Connection, grant: UUID, outcome: Mapping[str, Any]) -> None:
    """Notes what became of a grant, for whoever waits."""
    row(c, "UPDATE grants SET outcome = :o WHERE id = :id RETURNING id", id=grant, o=jsonb(dict(outcome)))


def standing(c: Connection, state: str, patience: timedelta) -> Standing:
    """How far the grant of this state is.

    ``patience``: how long after its use an answer may be waited for; a person who picks has ten minutes.
    """
    found = row(
        c,
        """SELECT used_at IS NOT NULL AS used, CASE WHEN outcome ? 'offered' THEN NULL ELSE outcome END AS outcome,
                  coalesce(used_at + CASE WHEN outcome ? 'offered' THEN :life ELSE :patience END, expires_at) < now()
                  AS over
           FROM grants WHERE state_sha256 = :state""",
        state=_hash(state),
        patience=patience,
        life=LIFE,
    )
    if found is None:
        return Standing(is_used=False, is_over=True)
    return Standing(is_used=found.used, is_over=found.over, outcome=found.outcome)


def _why(c: Connection, platform: Platform, state: str, starter: Starter | None) -> Unusable:
    found = row(
        c,
        """SELECT platform, key_id, used_at, expires_at <= now() AS expired FROM grants WHERE state_sha256 = :state""",
        state=_hash(state),
    )
    if found is None:
        return Unusable.UNKNOWN
    checks = (
        (found.platform != platform, Unusable.OTHER_PLATFORM),
        (starter is not None and starter_of(found.key_id) != starter, Unusable.OTHER_STARTER),
        (found.used_at is not None, Unusable.USED),
        (found.expired, Unusable.EXPIRED),
    )
    return next((reason for holds, reason in checks if holds), Unusable.KEY_REVOKED)


def _hash(state: str) -> bytes:
    return hashlib.sha256(state.encode("utf-8", "replace")).digest()
