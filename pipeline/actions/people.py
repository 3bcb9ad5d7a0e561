"""Add users, give them roles, reset and disable them, for the command line and the page of people, with audit rows.

On the page, the last admin of all workspaces stays one, as no other user could give a role there; the command line may
take that role too, as it needs none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.store.audit import record_change
from pipeline.store.auth import second_factors, sessions, users


class LastAdmin(Exception):
    """Without this user no admin of all workspaces would be left. ``str()`` is a sentence for the visitor."""

    def __init__(self) -> None:
        super().__init__("This is the last admin of all clients: make another user one first.")


def add_user(c: Connection, actor: Actor, login: str, password_hash: str) -> UUID:
    """Add a user without a role and return the id. Raises LoginTaken."""
    identity = users.create_user(c, login, password_hash)
    record_change(c, actor, "create", "user", identity, None, after={"login": login})
    return identity


def grant(c: Connection, actor: Actor, user: UUID, workspace: UUID | None, role: Role | None) -> None:
    """Give a user this role in a workspace, None: in all; without a role, take it. Raises LastAdmin."""
    with _keep_an_admin(c, actor):
        before = users.set_role(c, user, workspace, role)
    sides = [{"role": one.value if one else None} for one in (before, role)]
    record_change(c, actor, "grant", "user", user, workspace, *sides)


def reset(c: Connection, actor: Actor, user: UUID, login: str, password_hash: str) -> None:
    """Give a user a new password, end their sessions, forget wrong tries, take second factor and sign-on off."""
    users.set_password(c, user, password_hash)
    second_factors.delete_factor(c, user)
    sessions.forget_tries(c, sessions.name_login(login))
    record_change(
        c, actor, "reset", "user", user, None, {"password": "the old one"}, {"password": "a new one"}
    )


def set_disabled(c: Connection, actor: Actor, user: UUID, *, disabled: bool) -> None:
    """Disable a user and end their sessions, or let them log in again. Raises LastAdmin."""
    with _keep_an_admin(c, actor):
        was_disabled = users.set_disabled(c, user, disabled=disabled)
    sides = {"disabled": was_disabled}, {"disabled": disabled}
    record_change(c, actor, "disable" if disabled else "enable", "user", user, None, *sides)


@contextmanager
def _keep_an_admin(c: Connection, actor: Actor) -> Iterator[None]:
    """Raise LastAdmin if a visitor's change, within, takes the last admin of all workspaces who can log in."""
    if actor.kind != "user":
        yield
        return
    had_one = users.lock_admins(c) > 0
    yield
    if had_one and not users.lock_admins(c):
        raise LastAdmin
