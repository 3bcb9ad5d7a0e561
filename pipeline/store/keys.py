"""API keys: only a hash of the secret is kept, so a stolen database opens nothing.

A key reads ``<public_id>.<secret>``: the public half finds the row, the secret half is 256 random bits. SHA-256
without a salt is right for those: there is no dictionary of 256-bit numbers to try.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.account import Plan, Subscription, WorkspaceKind
from pipeline.store.database import new_id, row, rows

PREFIX = "slw_live_"
LONGEST = 200
"""Characters; ours have 68."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who a key speaks for. ``scope`` of a personal key is its owner, of a workspace key the workspace."""

    key_id: UUID
    workspace_id: UUID
    kind: WorkspaceKind
    owner_user_id: UUID | None
    plan: Plan
    subscription: Subscription
    time_zone: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One key as the command line lists it; the secret is nowhere."""

    id: UUID
    workspace_id: UUID
    public_id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


def create_key(c: Connection, workspace: UUID, name: str) -> str:
    """A new key for a workspace; the return value is the only time the whole of it is seen."""
    public, secret = PREFIX + secrets.token_hex(8), secrets.token_urlsafe(32)
    row(
        c,
        """INSERT INTO keys (id, workspace_id, public_id, secret_sha256, name)
           VALUES (:id, :workspace, :public, :hash, :name) RETURNING id""",
        id=new_id(), workspace=workspace, public=public, hash=_hash(secret), name=name,
    )  # fmt: skip
    return f"{public}.{secret}"


def find_caller(c: Connection, token: str) -> Caller | None:
    """Who this token speaks for; None for anything malformed, unknown or revoked."""
    public, dot, secret = token.partition(".")
    if not (dot and public and secret and token.isascii()) or len(token) > LONGEST or "\0" in token:
        return None
    found = row(
        c,
        """SELECT k.id, k.secret_sha256, k.workspace_id, w.kind, w.owner_user_id, w.plan, w.subscription, w.time_zone
           FROM keys k JOIN workspaces w ON w.id = k.workspace_id
           WHERE k.public_id = :public AND k.revoked_at IS NULL""",
        public=public,
    )
    if found is None or not hmac.compare_digest(bytes(found.secret_sha256), _hash(secret)):
        return None
    return Caller(
        key_id=found.id, workspace_id=found.workspace_id, kind=WorkspaceKind(found.kind),
        owner_user_id=found.owner_user_id, plan=Plan(found.plan), subscription=Subscription(found.subscription),
        time_zone=found.time_zone,
    )  # fmt: skip


def touch_key(c: Connection, key_id: UUID) -> None:
    """Notes that the key was used, at most once a minute so that reading does not become writing."""
    row(
        c,
        """UPDATE keys SET last_used_at = now()
           WHERE id = :id AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute') RETURNING id""",
        id=key_id,
    )


def list_keys(c: Connection, workspace: UUID | None = None) -> list[Key]:
    """Keys of a workspace, or all."""
    found = rows(
        c,
        """SELECT id, workspace_id, public_id, name, created_at, revoked_at, last_used_at FROM keys
           WHERE CAST(:workspace AS uuid) IS NULL OR workspace_id = :workspace ORDER BY created_at""",
        workspace=workspace,
    )
    return [Key(**r._mapping) for r in found]


def revoke_key(c: Connection, public_id: str) -> bool:
    """Takes a key out of use; False when there is no such live key. The API notices within a second."""
    return (
        row(
            c,
            "UPDATE keys SET revoked_at = now() WHERE public_id = :public AND revoked_at IS NULL RETURNING id",
            public=public_id.partition(".")[0],
        )
        is not None
    )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
