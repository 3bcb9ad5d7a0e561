"""Sessions of the dashboard, and tries to log in.

A session is a row with a hash of its token: 256 random bits, as the secret of a key (``keys``), so SHA-256 without a
salt is enough. Ending a session deletes its row.

Tries are counted for all processes: ten, then a wait. A browser is known for a login by the token of its form, of which
only a hash is stored, as of all subjects. A row of a known one has no tries; the tries of a browser have their own row.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.account import Role
from pipeline.store.auth.users import StoredPassword
from pipeline.store.database import (
    build,
    execute,
    find_value,
    has_row,
    hash_text,
    new_id,
    read_all,
    read_column,
    row,
    rows,
)
from pipeline.store.selection import delete_oldest, where_given

MAX_TEXT = 200
"""Characters of the browser's name that are kept."""
_VALID = """s.seen_at > now() - interval '12 hours' AND s.created_at > now() - interval '30 days'
            AND u.disabled_at IS NULL"""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenSession:
    """A valid session with its user, and the user's roles."""

    id: UUID
    user_id: UUID
    login: str
    is_stale: bool
    """Its last use was recorded a minute ago or longer."""
    everywhere: Role | None
    """The role in all workspaces."""
    roles: Mapping[UUID, Role]
    names: Mapping[UUID, str]
    """Names of the workspaces in *roles*."""
    has_second_factor: bool
    position: int
    """Every move up to this id is visible to later reads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedSession:
    """A valid session as its user, and an admin, see it."""

    id: UUID
    user_id: UUID
    login: str
    created_at: datetime
    seen_at: datetime
    address: str
    agent: str


def start_session(
    c: Connection, user: StoredPassword, address: str, agent: str, *, has_factor: bool = False
) -> str | None:
    """Start a session and return its token; None if the user was disabled or has another password by then.

    *has_factor*: the provider that signed the user on has asked for a second factor.
    """
    token = secrets.token_urlsafe(32)
    started = row(
        c,
        """WITH user_ AS (UPDATE users SET last_login_at = now()
                          WHERE id = :user AND password_hash = :hash AND disabled_at IS NULL RETURNING id)
           INSERT INTO sessions (id, user_id, token_sha256, address, agent, has_factor)
           SELECT :id, id, :token, :address, :agent, :factor FROM user_ RETURNING id""",
        id=new_id(),
        user=user.user_id,
        hash=user.password_hash,
        token=hash_text(token),
        address=address[:MAX_TEXT],
        agent=agent[:MAX_TEXT],
        factor=has_factor,
    )
    return None if started is None else token


def find_session(c: Connection, token: str) -> OpenSession | None:
    """Return the session of this token; None if it has ended."""
    found = rows(
        c,
        f"""SELECT s.id, s.user_id, u.login, s.seen_at < now() - interval '1 minute' AS is_stale,
                   m.role, m.role IS NOT NULL AND m.workspace_id IS NULL AS is_everywhere, w.id AS workspace, w.name,
                   s.has_factor OR EXISTS (
                       SELECT 1 FROM second_factors f WHERE f.id = u.id AND f.confirmed_at IS NOT NULL)
                   AS has_second_factor,
                   (SELECT proven FROM move_progress WHERE reader = 'export') AS position
            FROM sessions s JOIN users u ON u.id = s.user_id LEFT JOIN memberships m ON m.user_id = u.id
            LEFT JOIN workspaces w ON m.role IS NOT NULL AND (m.workspace_id IS NULL OR w.id = m.workspace_id)
                AND w.closed_at IS NULL
            WHERE s.token_sha256 = :token AND {_VALID}""",
        token=hash_text(token),
    )
    return _to_session(found) if found else None


def list_audiences(c: Connection, sessions: Collection[UUID]) -> dict[UUID, frozenset[UUID] | None]:
    """Return the valid ones of these sessions, with the workspaces of their users; None: all workspaces."""
    found = rows(
        c,
        f"""SELECT s.id, coalesce(bool_or(m.role IS NOT NULL AND m.workspace_id IS NULL), false) AS is_everywhere,
                   array_agg(m.workspace_id) AS workspaces
            FROM sessions s JOIN users u ON u.id = s.user_id LEFT JOIN memberships m ON m.user_id = u.id
            WHERE s.id = ANY(CAST(:ids AS uuid[])) AND {_VALID} GROUP BY s.id""",
        ids=list(sessions),
    )
    return {r.id: None if r.is_everywhere else frozenset(filter(None, r.workspaces)) for r in found}


def touch_session(c: Connection, session: UUID) -> None:
    """Record that a session was used: it ends after 12 hours without."""
    execute(c, "UPDATE sessions SET seen_at = now() WHERE id = :id", id=session)


def end_session(c: Connection, session: UUID, user: UUID | None = None) -> str | None:
    """End a session, if it is *user*'s; None: of any user. Return its user's login; None if there is none."""
    sql = """DELETE FROM sessions s USING users u
             WHERE s.id = :id AND u.id = s.user_id AND (CAST(:user AS uuid) IS NULL OR u.id = :user)
             RETURNING u.login"""
    return find_value(c, str, sql, id=session, user=user)


def end_other_sessions(c: Connection, user: UUID, session: UUID) -> None:
    """End all sessions of a user but this one."""
    execute(c, "DELETE FROM sessions WHERE user_id = :user AND id <> :id", user=user, id=session)


def list_sessions(c: Connection, user: UUID | None = None) -> list[ListedSession]:
    """Return the valid sessions of a user, or of all users, the last used first."""
    own = where_given({"user": "s.user_id = :user"}, user=user)
    return read_all(
        c,
        ListedSession,
        f"""SELECT s.id, s.user_id, u.login, s.created_at, s.seen_at, s.address, s.agent
            FROM sessions s JOIN users u ON u.id = s.user_id
            WHERE {_VALID} AND {own} ORDER BY s.seen_at DESC LIMIT 1000""",
        **own.values,
    )


def delete_ended(c: Connection) -> None:
    """Delete some sessions and tries that are over."""
    delete_oldest(c, "sessions", "created_at < now() - interval '30 days'", by="created_at", limit=100)
    delete_oldest(c, "login_tries", "until < now()", by="until", limit=100)


def _to_session(found: list[Any]) -> OpenSession:
    first = found[0]
    roles: dict[UUID, Role] = {}
    for r in found:
        if r.workspace is not None:
            roles[r.workspace] = max(Role(r.role), roles.get(r.workspace, Role.VIEWER))
    return build(
        OpenSession,
        first,
        everywhere=next((Role(r.role) for r in found if r.is_everywhere), None),
        roles=roles,
        names={r.workspace: r.name for r in found if r.workspace is not None},
    )


MAX_TRIES = 10
WAIT = timedelta(minutes=15)
"""How long after the last counted try all tries are forgotten."""


KNOWN_FOR = timedelta(days=30)
"""How long after its last login a subject counts as known."""


def name_login(login: str) -> str:
    """Return the subject of the tries for a login."""
    return f"login {login}"


def name_address(address: str) -> str:
    """Return the subject of the tries from an address. An IPv6 network of /64 is one customer's: it counts as one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"address {address}"
    network = ip_network((parsed, 32 if parsed.version == 4 else 64), strict=False)  # noqa: PLR2004  IPv4
    return f"address {network}"


def name_browser(token: str, login: str) -> str:
    """Return the subject of the tries for a login in one browser."""
    return f"browser {token} {login}"


def list_known(c: Connection, subjects: Collection[str]) -> frozenset[str]:
    """Return the subjects, from `name_address` and `name_browser`, that have logged in before."""
    hashes = {hash_text(_name_known(subject)): subject for subject in subjects}
    sql = "SELECT subject_sha256 FROM login_tries WHERE subject_sha256 = ANY(:subjects) AND until > now()"
    return frozenset(hashes[known] for known in read_column(c, sql, subjects=list(hashes)))


def remember(c: Connection, subjects: Collection[str]) -> None:
    """Store that these subjects have logged in."""
    sql = """INSERT INTO login_tries (subject_sha256, tries, until) VALUES (:subject, 0, now() + :known)
             ON CONFLICT (subject_sha256) DO UPDATE SET until = excluded.until"""
    for subject in subjects:
        execute(c, sql, subject=hash_text(_name_known(subject)), known=KNOWN_FOR)


def count_try(c: Connection, subject: str) -> bool:
    """Count a try before its password is checked. Return False if the subject has to wait.

    *subject*: from `name_login` or `name_address`. Concurrent tries queue at its row.
    """
    return has_row(
        c,
        """INSERT INTO login_tries AS t (subject_sha256, tries, until) VALUES (:subject, 1, now() + :wait)
           ON CONFLICT (subject_sha256) DO UPDATE
           SET tries = CASE WHEN t.until <= now() THEN 1 ELSE t.tries + 1 END, until = now() + :wait
           WHERE t.tries < :most OR t.until <= now() RETURNING tries""",
        subject=hash_text(subject),
        wait=WAIT,
        most=MAX_TRIES,
    )


def take_once(c: Connection, subject: str, lasts: timedelta) -> bool:
    """Take what is good for one use within *lasts*; False if it was taken."""
    return has_row(
        c,
        """INSERT INTO login_tries (subject_sha256, tries, until) VALUES (:subject, 1, now() + :lasts)
           ON CONFLICT (subject_sha256) DO NOTHING RETURNING tries""",
        subject=hash_text(subject),
        lasts=lasts,
    )


def forget_tries(c: Connection, subject: str) -> None:
    """Forget the tries of a subject."""
    execute(c, "DELETE FROM login_tries WHERE subject_sha256 = :subject", subject=hash_text(subject))


def take_back_try(c: Connection, subject: str) -> None:
    """Count one try less: it was right. An address keeps the wrong ones of other logins."""
    sql = "UPDATE login_tries SET tries = greatest(tries - 1, 0) WHERE subject_sha256 = :subject"
    execute(c, sql, subject=hash_text(subject))


def _name_known(subject: str) -> str:
    return f"known {subject}"
