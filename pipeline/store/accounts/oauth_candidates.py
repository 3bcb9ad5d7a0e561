"""Accounts that a consent opened and that nobody has picked from yet: kept with their grant, sealed, for ten minutes.

They stand in the grant's ``outcome`` until the person's choice, or a refusal, takes their place. The ticket that is
good for choosing is shown on one page; only its hash is kept.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform, RemoteAccount
from pipeline.store.accounts.accounts import as_plain, credentials_of
from pipeline.store.accounts.oauth_sessions import LIFE, Grant, GrantRefused, Starter, Unusable, starter_of
from pipeline.store.database import jsonb, row
from pipeline.store.vault import Vault


def offer(c: Connection, vault: Vault, grant: Grant, ticket: str, found: Sequence[RemoteAccount]) -> None:
    """Keeps what was found until ``taken`` is called with this ticket."""
    sealed = vault.seal({"accounts": [_plain(one) for one in found]}, grant.id)
    outcome = {"offered": b64encode(sealed).decode(), "ticket_sha256": _hash(ticket)}
    row(c, "UPDATE grants SET outcome = :o WHERE id = :id RETURNING id", id=grant.id, o=jsonb(outcome))


def taken(
    c: Connection, vault: Vault, platform: Platform, grant: UUID, ticket: str, starter: Starter | None
) -> tuple[Grant, list[RemoteAccount]]:
    """A grant and what it opened, locked until the transaction ends: whoever comes second finds the outcome.

    Raises GrantRefused, and VaultError when the accounts do not open. ``starter`` None: a browser with its ticket.
    """
    found = row(
        c,
        """SELECT g.*, coalesce(used_at + :life < now(), false) AS late,
                  key_id IS NOT NULL AND NOT EXISTS (
                      SELECT FROM keys k WHERE k.id = g.key_id AND k.revoked_at IS NULL
                      AND (k.expires_at IS NULL OR k.expires_at > now())) AS revoked
           FROM grants g WHERE id = :id FOR UPDATE""",
        id=grant,
        life=LIFE,
    )
    if found is None:
        raise GrantRefused(Unusable.UNKNOWN)
    if reason := _why_not(found, platform, ticket, starter):
        raise GrantRefused(reason)
    inside = vault.open(b64decode(found.outcome["offered"]), grant)
    opened = Grant(
        id=grant,
        workspace_id=found.workspace_id,
        platform=platform,
        connection=found.connection,
        starter=starter_of(found.key_id),
        account_id=found.account_id,
        chosen=None,
        redirect_uri=found.redirect_uri,
    )
    return opened, [_remote(one) for one in inside["accounts"]]


def _why_not(found: Any, platform: Platform, ticket: str, starter: Starter | None) -> Unusable | None:
    if found.outcome is None or "offered" not in found.outcome:
        return Unusable.USED
    checks = (
        (not hmac.compare_digest(found.outcome["ticket_sha256"], _hash(ticket)), Unusable.UNKNOWN),
        (found.platform != platform, Unusable.OTHER_PLATFORM),
        (starter is not None and starter_of(found.key_id) != starter, Unusable.OTHER_STARTER),
        (found.late, Unusable.EXPIRED),
        (found.revoked, Unusable.KEY_REVOKED),
    )
    return next((reason for holds, reason in checks if holds), None)


def _plain(one: RemoteAccount) -> dict[str, Any]:
    return {
        "remote_id": one.remote_id,
        "username": one.username,
        "display_name": one.display_name,
        "connection": one.connection,
        "settings": dict(one.settings),
        "credentials": as_plain(one.credentials),
    }


def _remote(plain: Mapping[str, Any]) -> RemoteAccount:
    return RemoteAccount(**{**plain, "credentials": credentials_of(plain["credentials"])})


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode("utf-8", "replace")).hexdigest()
