"""Users of the dashboard, and their roles in workspaces. A user is never deleted: what they did keeps their name.

Passwords of users: Argon2id hashes, which carry their parameters and salt.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from unicodedata import normalize
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from pipeline.domain.account import Role, normalize_login
from pipeline.store.database import (
    build,
    execute,
    find_value,
    insert,
    is_violation,
    new_id,
    read_one,
    row,
    rows,
)

_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4)
"""The second recommended option of RFC 9106 (September 2021), section 4: 64 MiB for the length of one call."""


def hash_password(password: str) -> str:
    """Return the hash of a password with today's parameters."""
    return _HASHER.hash(_normalize(password))


def verify_password(stored: str | None, password: str) -> bool:
    """Return True if *password* is the one that was hashed. Without a hash it takes as long, and is False."""
    decoy = _make_decoy()
    try:
        _HASHER.verify(stored or decoy, _normalize(password))
    except VerificationError:
        return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """Return True if a hash has other parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


def generate_password() -> str:
    """Return a random password of 24 characters: 144 bits."""
    return secrets.token_urlsafe(18)


def _normalize(password: str) -> str:
    """Return the form that all keyboards agree on: an accented letter may arrive as one character or as two."""
    return normalize("NFC", password)


@cache
def _make_decoy() -> str:
    return hash_password(secrets.token_urlsafe())


class LoginTaken(Exception):
    """Another user has this login."""


class NoSuchUser(Exception):
    """No user has this login."""


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """A user, without the password's hash."""

    id: UUID
    login: str
    created_at: datetime
    last_login_at: datetime | None
    disabled_at: datetime | None
    roles: Mapping[UUID | None, Role]
    """By workspace; None: in all workspaces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredPassword:
    """The stored password that a login is checked against."""

    user_id: UUID
    password_hash: str


def create_user(c: Connection, login: str, password_hash: str) -> UUID:
    """Create a user without a role and return its id. Raises LoginTaken."""
    identity = new_id()
    try:
        insert(c, "users", id=identity, login=login, password_hash=password_hash)
    except IntegrityError as error:
        if is_violation(error, "users_login_key"):
            raise LoginTaken(f"There is a user {login!r} already.") from None
        raise
    return identity


def find_user(c: Connection, login: str) -> UUID:
    """Return the id of the user with this login. Raises NoSuchUser."""
    found = find_value(c, UUID, "SELECT id FROM users WHERE login = :login", login=normalize_login(login))
    if found is None:
        raise NoSuchUser(f"There is no user {login!r}.")
    return found


def list_users(c: Connection) -> list[User]:
    """Return all users, by login."""
    found = rows(
        c,
        """SELECT u.id, u.login, u.created_at, u.last_login_at, u.disabled_at,
                  coalesce(array_agg(m.workspace_id) FILTER (WHERE m.role IS NOT NULL), '{}') AS workspaces,
                  coalesce(array_agg(m.role) FILTER (WHERE m.role IS NOT NULL), '{}') AS roles
           FROM users u LEFT JOIN memberships m ON m.user_id = u.id GROUP BY u.id ORDER BY u.login""",
    )
    return [build(User, r, roles=dict(zip(r.workspaces, map(Role, r.roles), strict=True))) for r in found]


def set_role(c: Connection, user: UUID, workspace: UUID | None, role: Role | None) -> Role | None:
    """Give a user this role in a workspace, None: in all of them. Without a role, take it. Return the one before."""
    sql = """DELETE FROM memberships WHERE user_id = :user AND workspace_id IS NOT DISTINCT FROM :workspace
             RETURNING role"""
    before = find_value(c, str, sql, user=user, workspace=workspace)
    if role is not None:
        renewed = "(user_id, workspace_id) DO UPDATE SET role = excluded.role, granted_at = now()"
        insert(c, "memberships", conflict=renewed, user_id=user, workspace_id=workspace, role=role.value)
    return None if before is None else Role(before)


def lock_admins(c: Connection) -> int:
    """Return how many admins of all workspaces can log in; who else asks waits until this transaction ends."""
    return execute(
        c,
        """SELECT u.id FROM users u JOIN memberships m ON m.user_id = u.id
           WHERE m.workspace_id IS NULL AND m.role = 'admin' AND u.disabled_at IS NULL
           ORDER BY u.id FOR UPDATE OF u""",
    )


def read_password(c: Connection, login: str) -> StoredPassword | None:
    """Return the hash to check a login against; None when no user who may log in has it."""
    sql = "SELECT id AS user_id, password_hash FROM users WHERE login = :login AND disabled_at IS NULL"
    return read_one(c, StoredPassword, sql, login=login)


def find_signed_on(c: Connection, issuer: str, subject: str) -> Any | None:
    """Return id, login and disabled_at of the user who is bound to an identity of a provider."""
    return row(
        c,
        """SELECT id, login, disabled_at FROM users
           WHERE sign_on_issuer = :issuer AND sign_on_subject = :subject""",
        issuer=issuer,
        subject=subject,
    )


def bind_sign_on(c: Connection, login: str, issuer: str, subject: str) -> Any | None:
    """Bind the user with this login to an identity, and return the same; None without one, or if it has one."""
    return row(
        c,
        """UPDATE users SET sign_on_issuer = :issuer, sign_on_subject = :subject
           WHERE login = :login AND sign_on_subject IS NULL RETURNING id, login, disabled_at""",
        login=login,
        issuer=issuer,
        subject=subject,
    )


def set_password(c: Connection, user: UUID, password_hash: str) -> None:
    """Set a password, end the user's sessions, and forget who they are at a provider."""
    sql = """UPDATE users SET password_hash = :hash, password_set_at = now(), sign_on_issuer = NULL,
                 sign_on_subject = NULL WHERE id = :user"""
    execute(c, sql, user=user, hash=password_hash)
    end_sessions_of(c, user)


def upgrade_hash(c: Connection, stored: StoredPassword, password_hash: str) -> StoredPassword:
    """Replace the hash of the same password, unless the password was changed concurrently.

    Return the password stored then; a session does not start with it if the password was changed.
    """
    sql = "UPDATE users SET password_hash = :new WHERE id = :user AND password_hash = :old"
    execute(c, sql, user=stored.user_id, new=password_hash, old=stored.password_hash)
    return StoredPassword(user_id=stored.user_id, password_hash=password_hash)


def set_disabled(c: Connection, user: UUID, *, disabled: bool) -> bool:
    """Disable a user and end their sessions, or let them log in again. Return whether they were disabled before."""
    before = row(c, "SELECT disabled_at FROM users WHERE id = :user FOR UPDATE", user=user)
    sql = "UPDATE users SET disabled_at = CASE WHEN :disabled THEN coalesce(disabled_at, now()) END WHERE id = :user"
    execute(c, sql, user=user, disabled=disabled)
    if disabled:
        end_sessions_of(c, user)
    return before is not None and before.disabled_at is not None


def end_sessions_of(c: Connection, user: UUID) -> int:
    """End all sessions of a user; return how many there were."""
    return execute(c, "DELETE FROM sessions WHERE user_id = :user", user=user)
