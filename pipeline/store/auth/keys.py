"""API keys. Only a hash of the secret is stored, so a stolen database authenticates no request.

A key is written ``<public_id>.<secret>``: the public half finds the row, the secret half is 256 random bits. SHA-256
without a salt is enough for them, as no dictionary holds 256-bit numbers.

A key acts for its workspace, within its terms: read-only, some accounts, an expiry. Terms never change, so that the
holder of a key can rely on them; its limits (rate, daily count, music) can. Rotation changes the secret, nothing else.

The posts a key has sent today, counted in its row: a flushed broker does not reset the count.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.account import SERVER_DEFAULT, KeyLimits, Plan, Subscription, WorkspaceKind
from pipeline.domain.audit import Actor
from pipeline.store.database import (
    build,
    execute,
    has_row,
    hash_text,
    insert,
    new_id,
    read_column,
    require_row,
    row,
    rows,
)
from pipeline.store.selection import where_given

_TODAY = "(now() AT TIME ZONE 'UTC')::date"
_COUNTED = f"CASE WHEN counted_on = {_TODAY} THEN counted_posts ELSE 0 END"
_LEFT = "86400 - floor(extract(epoch FROM (now() AT TIME ZONE 'UTC')::time))"


@dataclass(frozen=True, kw_only=True, slots=True)
class DailyCount:
    """The count after a request. ``is_allowed`` False: nothing was counted."""

    is_allowed: bool
    posts: int
    """Posts of today (UTC)."""
    reset: int
    """Seconds until the next day begins."""


def count_posts(c: Connection, key: UUID, posts: int, limit: int) -> DailyCount:
    """Count *posts* for today, all or none: none if the day would have more than *limit*."""
    counted = row(
        c,
        f"""UPDATE keys SET counted_posts = {_COUNTED} + :posts, counted_on = {_TODAY}
            WHERE id = :key AND {_COUNTED} + :posts <= :limit
            RETURNING counted_posts AS posts, {_LEFT} AS reset""",
        key=key,
        posts=posts,
        limit=limit,
    )
    sql = f"SELECT {_COUNTED} AS posts, {_LEFT} AS reset FROM keys WHERE id = :key"
    found = counted or require_row(c, f"There is no key {key}.", sql, key=key)
    return DailyCount(is_allowed=counted is not None, posts=found.posts, reset=int(found.reset))


PREFIX = "slw_live_"
COMMAND_LINE = UUID(int=0)
"""Stands for the key of a caller that has none."""
_LIMITS = tuple(f.name for f in fields(KeyLimits))
MAX_LENGTH = 200
"""Characters; ours have 68."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """An authenticated key and its workspace."""

    key_id: UUID
    actor: Actor | None
    """The actor of its changes; None: a worker, which carries out a change that was recorded when requested."""
    workspace_id: UUID
    kind: WorkspaceKind
    owner_user_id: UUID | None
    plan: Plan
    subscription: Subscription
    time_zone: str
    read_only: bool = False
    accounts: Sequence[UUID] | None = None
    """The only accounts it may see and publish to, sorted; None: all of the workspace's."""
    bulk: bool = False
    """Its requests are queued as bulk work."""
    limits: KeyLimits = SERVER_DEFAULT
    approves_all: bool = False
    """Every post of the workspace needs an approval."""
    self_approval: bool = False
    """Authors of the workspace may approve their own posts."""
    is_closed: bool = False
    """Its workspace is being deleted: nothing acts for it."""
    behalf: Actor | None = None
    """The actor that asked for what a worker does without a key."""

    @property
    def needs_approval(self) -> bool:
        """Return True if what it writes is sent only with an approval."""
        return self.approves_all or bool(self.limits.needs_approval)

    @property
    def author(self) -> str:
        """The name under which it writes and approves: a key's, a user's, or the command line's account."""
        actor = self.actor or self.behalf
        if self.key_id != COMMAND_LINE:
            return f"key {self.key_id}"
        return "command line" if actor is None else f"{actor.kind} {actor.id or actor.name}"

    def require_actor(self) -> Actor:
        """Return the actor. Raises LookupError for a worker's caller."""
        if self.actor is None:
            raise LookupError("A worker acts for others: it has no actor of its own.")
        return self.actor

    @property
    def stored_key(self) -> UUID | None:
        """Return the key id that rows refer to; None for the command line."""
        return None if self.key_id == COMMAND_LINE else self.key_id

    @property
    def realm(self) -> str:
        """The namespace of its external ids: keys that see the same posts share one."""
        if self.accounts is None:
            return ""
        return hashlib.sha256(b"".join(a.bytes for a in self.accounts)).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The permissions of a new key; by default everything, without an expiry."""

    read_only: bool = False
    accounts: Sequence[UUID] | None = None
    expires_at: datetime | None = None
    bulk: bool = False
    limits: KeyLimits = SERVER_DEFAULT


UNRESTRICTED = Terms()


@dataclass(frozen=True, kw_only=True, slots=True)
class Key(Terms):
    """A key without its secret, as the command line lists it."""

    id: UUID
    workspace_id: UUID
    public_id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_at: datetime | None
    earlier_until: datetime | None
    """When the secret of before the last rotation stops working."""
    posts_today: int
    """Posts that were counted today (UTC)."""


_CALLER = """k.id, k.public_id, k.read_only, k.accounts, k.bulk, w.id AS workspace_id, w.kind, w.owner_user_id, w.plan,
             w.subscription, w.time_zone, w.needs_approval AS approves_all,
             w.self_approval, w.closed_at IS NOT NULL AS is_closed, """ + ", ".join(
    f"k.{name}" for name in _LIMITS
)
VALID = "k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())"
"""Condition on a key ``k``: it works."""


class OutsideWorkspace(Exception):
    """A key was to be restricted to an account that is not in its workspace."""


def create_key(c: Connection, workspace: UUID, name: str, terms: Terms = UNRESTRICTED) -> str:
    """Create a key and return it whole; it cannot be read again. Raises OutsideWorkspace."""
    accounts = None if terms.accounts is None else sorted(set(terms.accounts))
    _require_own(c, workspace, accounts or ())
    public, secret = PREFIX + secrets.token_hex(8), secrets.token_urlsafe(32)
    insert(
        c,
        "keys",
        id=new_id(),
        workspace_id=workspace,
        public_id=public,
        secret_sha256=hash_text(secret),
        name=name,
        read_only=terms.read_only,
        accounts=accounts,
        expires_at=terms.expires_at,
        bulk=terms.bulk,
        **_write_limits(asdict(terms.limits)),
    )
    return f"{public}.{secret}"


def rotate_key(c: Connection, public_id: str, overlap: timedelta) -> str | None:
    """Give a valid key a new secret and return the key; None when there is no such valid key.

    The old secret works for ``overlap`` longer. A second rotation within that time ends the oldest secret at once: two
    secrets work at a time, never three.
    """
    public, secret = public_id.partition(".")[0], secrets.token_urlsafe(32)
    found = row(
        c,
        """UPDATE keys SET earlier_sha256 = secret_sha256, earlier_until = now() + :overlap, secret_sha256 = :hash,
                  rotated_at = now()
           WHERE public_id = :public AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
           RETURNING id""",
        public=public,
        hash=hash_text(secret),
        overlap=overlap,
    )
    return None if found is None else f"{public}.{secret}"


def find_caller(c: Connection, token: str) -> Caller | None:
    """Return the caller of a token; None if it is malformed, unknown, revoked or expired."""
    public, dot, secret = token.partition(".")
    if not (dot and public and secret and token.isascii()) or len(token) > MAX_LENGTH or "\0" in token:
        return None
    found = row(
        c,
        f"""SELECT {_CALLER}, k.secret_sha256,
                   CASE WHEN k.earlier_until > now() THEN k.earlier_sha256 END AS earlier_sha256
            FROM keys k JOIN workspaces w ON w.id = k.workspace_id WHERE k.public_id = :public AND {VALID}""",
        public=public,
    )
    if found is None or not _matches(secret, found.secret_sha256, found.earlier_sha256):
        return None
    return _to_caller(found, Actor(kind="key", name=found.public_id, id=found.id))


def read_caller(
    c: Connection, workspace: UUID, key_id: UUID | None, *, closed: bool = False
) -> Caller | None:
    """Return the caller of work that a key left; None if the key is not valid any more.

    *key_id* None: the command line, which acts for the workspace. *closed*: also for one that is being deleted.
    """
    found = row(
        c,
        f"""SELECT {_CALLER} FROM workspaces w LEFT JOIN keys k ON k.workspace_id = w.id AND k.id = :key
            WHERE w.id = :w AND (:closed OR w.closed_at IS NULL)
              AND (CAST(:key AS uuid) IS NULL OR (k.id IS NOT NULL AND {VALID}))""",
        w=workspace,
        key=key_id,
        closed=closed,
    )
    return None if found is None else _to_caller(found, None)


def _to_caller(found: Any, actor: Actor | None) -> Caller:
    return build(
        Caller,
        found,
        key_id=found.id or COMMAND_LINE,
        actor=actor,
        read_only=bool(found.read_only),
        bulk=bool(found.bulk),
        accounts=None if found.accounts is None else tuple(sorted(found.accounts)),
        limits=_read_limits(found._mapping),
    )


def touch_key(c: Connection, key_id: UUID) -> None:
    """Record that the key was used, at most once a minute: most requests then write nothing."""
    sql = """UPDATE keys SET last_used_at = now()
             WHERE id = :id AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')"""
    execute(c, sql, id=key_id)


def list_keys(c: Connection, workspace: UUID | None = None) -> list[Key]:
    """Return the keys of a workspace, or of all, oldest first."""
    own = where_given({"w": "workspace_id = :w"}, w=workspace)
    found = rows(
        c,
        f"""SELECT id, workspace_id, public_id, name, created_at, revoked_at, last_used_at, expires_at, rotated_at,
                  earlier_until, read_only, accounts, bulk, {_COUNTED} AS posts_today, {", ".join(_LIMITS)} FROM keys
            WHERE {own} ORDER BY created_at""",
        **own.values,
    )
    return [build(Key, r, limits=_read_limits(r._mapping)) for r in found]


def change_limits(c: Connection, public_id: str, changes: Mapping[str, Any]) -> KeyLimits | None:
    """Change these limits of a valid key and return all of them; None when there is no such valid key.

    Requests follow them within a second. *changes*: names and values of `KeyLimits`.
    """
    assignments = ", ".join(f"{name} = :{name}" for name in _LIMITS if name in changes)
    found = row(
        c,
        f"""UPDATE keys SET {assignments} WHERE public_id = :public AND revoked_at IS NULL
            RETURNING {", ".join(_LIMITS)}""",
        public=public_id.partition(".")[0],
        **_write_limits(changes),
    )
    return None if found is None else _read_limits(found._mapping)


def revoke_key(c: Connection, public_id: str) -> bool:
    """Revoke a key; False when there is no such valid key. The API refuses it within a second."""
    return has_row(
        c,
        "UPDATE keys SET revoked_at = now() WHERE public_id = :public AND revoked_at IS NULL RETURNING id",
        public=public_id.partition(".")[0],
    )


def _read_limits(columns: Mapping[str, Any]) -> KeyLimits:
    found = {name: columns[name] for name in _LIMITS}
    lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return KeyLimits(**{**found, **lists})


def _write_limits(limits: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in limits.items()}


def _require_own(c: Connection, workspace: UUID, accounts: Sequence[UUID]) -> None:
    sql = "SELECT id FROM accounts WHERE workspace_id = :w AND id = ANY(CAST(:ids AS uuid[]))"
    if strangers := set(accounts) - {*read_column(c, sql, w=workspace, ids=list(accounts))}:
        raise OutsideWorkspace(", ".join(sorted(map(str, strangers))))


def _matches(secret: str, *hashes: bytes | None) -> bool:
    shown = hash_text(secret)
    return any(hmac.compare_digest(bytes(h), shown) for h in hashes if h is not None)
