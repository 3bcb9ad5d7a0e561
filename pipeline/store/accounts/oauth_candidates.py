"""OAuth candidates: accounts a consent gave access to, sealed for ten minutes until the user confirms them.

They are kept as the ``outcome`` of the OAuth session until the confirmation or a refusal replaces it. The ticket that
authorizes the confirmation is shown on one page; only its hash is stored.
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
from pipeline.store.accounts.accounts import credentials_from_dict, credentials_to_dict
from pipeline.store.accounts.oauth_sessions import (
    IS_REVOKED,
    LIFETIME,
    NOT_CONFIRMED,
    OAuthSession,
    RefusalReason,
    SessionRefused,
    Starter,
    read_origin,
    to_starter,
)
from pipeline.store.database import jsonb, row
from pipeline.store.vault import Vault


def save_candidates(
    c: Connection, vault: Vault, session: OAuthSession, ticket: str, candidates: Sequence[RemoteAccount]
) -> None:
    """Store the candidates of a session, to be read with this ticket."""
    sealed = vault.seal({"accounts": [_to_dict(one) for one in candidates]}, session.id)
    outcome = {"offered": b64encode(sealed).decode(), "ticket_sha256": _hash(ticket)}
    row(c, "UPDATE grants SET outcome = :o WHERE id = :id RETURNING id", id=session.id, o=jsonb(outcome))


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
    if reason := _find_refusal(found, platform, ticket, starter):
        # nothing is returned about the session of a ticket that is wrong, or that can no longer be compared
        is_verified = "offered" in (found.outcome or ()) and reason is not RefusalReason.UNKNOWN
        raise SessionRefused(reason, read_origin(c, session) if is_verified else None)
    inside = vault.open(b64decode(found.outcome["offered"]), session)
    opened = OAuthSession(
        id=session,
        workspace_id=found.workspace_id,
        platform=platform,
        connection=found.connection,
        starter=to_starter(found),
        account_id=found.account_id,
        chosen=None,
        redirect_uri=found.redirect_uri,
    )
    return opened, [_from_dict(one) for one in inside["accounts"]]


def _find_refusal(
    found: Any, platform: Platform, ticket: str, starter: Starter | None
) -> RefusalReason | None:
    if found.outcome == NOT_CONFIRMED:
        return RefusalReason.EXPIRED
    if found.outcome is None or "offered" not in found.outcome:
        return RefusalReason.USED
    checks = (
        (not hmac.compare_digest(found.outcome["ticket_sha256"], _hash(ticket)), RefusalReason.UNKNOWN),
        (found.platform != platform, RefusalReason.OTHER_PLATFORM),
        (starter is not None and to_starter(found) != starter, RefusalReason.OTHER_STARTER),
        (found.late, RefusalReason.EXPIRED),
        (found.revoked, RefusalReason.KEY_REVOKED),
    )
    return next((reason for holds, reason in checks if holds), None)


def _to_dict(one: RemoteAccount) -> dict[str, Any]:
    return {
        "remote_id": one.remote_id,
        "username": one.username,
        "display_name": one.display_name,
        "connection": one.connection,
        "settings": dict(one.settings),
        "credentials": credentials_to_dict(one.credentials),
    }


def _from_dict(plain: Mapping[str, Any]) -> RemoteAccount:
    return RemoteAccount(**{**plain, "credentials": credentials_from_dict(plain["credentials"])})


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode("utf-8", "replace")).hexdigest()
