"""`slipway user`: users of the dashboard, their roles and sessions.

Asks for a new password at a terminal, or generates one. Never from the command line: other users can read it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.cli import EXAMPLE, EXAMPLES
from pipeline.cli.output import json_option, pick, print_fields, print_rows
from pipeline.cli.runtime import open_transaction
from pipeline.domain.account import Role

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.store.auth.users import User

SHOWN_ONCE = "This password is shown only once: pass it on now. It is stored as a hash."


def ask_password(login: str, *, generate: bool) -> tuple[str, bool]:
    """Return a new password, and whether it was generated: if *generate*, or without a terminal.

    Raises ClickException for one that breaks a rule.
    """
    from pipeline.domain.account import UnusablePassword, require_password
    from pipeline.store.auth.users import generate_password

    if generate or not sys.stdin.isatty():
        return generate_password(), True
    given: str = click.prompt("Password", hide_input=True, confirmation_prompt="Again", err=True)
    try:
        return require_password(given, login), False
    except UnusablePassword as error:
        raise click.ClickException(str(error)) from None


ALL = "all"
"""Stands for all workspaces, later ones included."""
ROLES = [role.value for role in Role]
generate_option = click.option(
    "--generate", is_flag=True, help="Generate the password, as without a terminal, and print it once."
)


@click.group()
def command() -> None:
    """People who use the dashboard. A role is for one workspace, or for all.

    viewer: sees. author: also edits, moves, cancels and retries posts. operator: also pauses, decides, steers and
    connects accounts. admin: also sees and ends the sessions of others, where the role is for all workspaces.
    """


def workspace_option(help_text: str) -> Callable[[Any], Any]:
    """Return the option --workspace, whose value may be `ALL`."""
    return click.option("--workspace", metavar="NAME|ID|all", help=help_text)


@command.command(
    epilog=f"{EXAMPLES}slipway user create ann --role operator --workspace Acme\n"
    "  slipway user create bo --role viewer --workspace all --generate"
)
@click.argument("login")
@click.option(
    "--role", type=click.Choice(ROLES), help="What the user may do; `slipway user grant` gives it later."
)
@workspace_option("Where; needed with --role.")
@generate_option
@json_option
def create(login: str, role: str | None, workspace: str | None, *, generate: bool, as_json: bool) -> None:
    """Create user LOGIN. The password is asked for at a terminal; otherwise it is generated, and shown only now."""
    from pipeline.domain.account import require_login
    from pipeline.store.auth.users import create_user, hash_password

    if (role is None) != (workspace is None):
        raise click.UsageError("Give --role and --workspace together: a role is for a workspace, or for all.")
    with _report_errors():
        login = require_login(login)
        password, is_generated = ask_password(login, generate=generate)
        stored = hash_password(password)
        with open_transaction() as c:
            identity = create_user(c, login, stored)
            _record(c, "create", identity, after={"login": login})
            if role is not None:
                _grant(c, identity, _find_workspace(c, workspace or ""), Role(role))
    facts = {"id": identity, "login": login, "role": role, "workspace": workspace}
    _print_password(facts, password if is_generated else None, as_json=as_json)


@command.command("list", epilog=EXAMPLE + "slipway user list --json")
@json_option
def list_(*, as_json: bool) -> None:
    """List all users with their roles."""
    from pipeline.store.auth.users import list_users
    from pipeline.store.auth.workspaces import list_workspaces

    with open_transaction() as c:
        names: dict[UUID | None, str] = {w.id: w.name for w in list_workspaces(c)}
        found = list_users(c)
    rows = [_to_row(user, names | {None: ALL}, as_json=as_json) for user in found]
    print_rows(rows, as_json=as_json, empty="No users. `slipway user create LOGIN` makes one.")


@command.command(epilog=EXAMPLE + "slipway user disable ann")
@click.argument("login")
@json_option
def disable(login: str, *, as_json: bool) -> None:
    """Keep user LOGIN out, and end their sessions at once. What they did keeps their name."""
    _set_disabled(login, disabled=True, as_json=as_json)


@command.command(epilog=EXAMPLE + "slipway user enable ann")
@click.argument("login")
@json_option
def enable(login: str, *, as_json: bool) -> None:
    """Let user LOGIN, who was disabled, log in again."""
    _set_disabled(login, disabled=False, as_json=as_json)


@command.command(epilog=EXAMPLE + "slipway user reset ann")
@click.argument("login")
@generate_option
@json_option
def reset(login: str, *, generate: bool, as_json: bool) -> None:
    """Give user LOGIN a new password, end their sessions, and let them try again at once."""
    from pipeline.domain.account import normalize_login
    from pipeline.store.auth.sessions import forget_tries, name_login
    from pipeline.store.auth.users import find_user, hash_password, set_password

    login = normalize_login(login)
    with _report_errors():
        with open_transaction() as c:
            find_user(c, login)
        password, is_generated = ask_password(login, generate=generate)
        stored = hash_password(password)
        with open_transaction(warn=False) as c:
            identity = find_user(c, login)
            set_password(c, identity, stored)
            forget_tries(c, name_login(login))
            _record(c, "reset", identity, before={"password": "the old one"}, after={"password": "a new one"})
    _print_password({"id": identity, "login": login}, password if is_generated else None, as_json=as_json)


@command.command(
    epilog=f"{EXAMPLES}slipway user grant ann operator --workspace Acme\n"
    "  slipway user grant ann admin --workspace all\n"
    "  slipway user grant ann none --workspace Acme"
)
@click.argument("login")
@click.argument("role", type=click.Choice([*ROLES, "none"]))
@workspace_option("Where.")
@json_option
def grant(login: str, role: str, workspace: str | None, *, as_json: bool) -> None:
    """Give user LOGIN another ROLE in a workspace or in all; none takes it. Their next page follows it."""
    from pipeline.store.auth.users import find_user

    if workspace is None:
        raise click.UsageError("Give --workspace: a name, an id, or all.")
    with _report_errors(), open_transaction() as c:
        chosen = None if role == "none" else Role(role)
        _grant(c, find_user(c, login), _find_workspace(c, workspace), chosen)
    print_fields({"login": login, "role": role, "workspace": workspace}, as_json=as_json)


@command.command(epilog=f"{EXAMPLES}slipway user sessions\n  slipway user sessions ann --end")
@click.argument("login", required=False)
@click.option("--end", "ends", is_flag=True, help="End all sessions of LOGIN.")
@json_option
def sessions(login: str | None, *, ends: bool, as_json: bool) -> None:
    """List the open sessions of all users, or of LOGIN; or end them."""
    from pipeline.store.auth.sessions import list_sessions
    from pipeline.store.auth.users import end_sessions_of, find_user

    if ends and login is None:
        raise click.UsageError("Give LOGIN: whose sessions are to end.")
    with _report_errors(), open_transaction() as c:
        user = None if login is None else find_user(c, login)
        if ends and user is not None:
            ended = end_sessions_of(c, user)
            _record(c, "end sessions", user, before={"sessions": ended}, after={"sessions": 0})
            print_fields({"login": login, "ended": ended}, as_json=as_json)
            return
        found = list_sessions(c, user)
    rows = [pick(one, "id login created_at seen_at address browser=agent") for one in found]
    print_rows(rows, as_json=as_json, empty="No open sessions.")


@contextmanager
def _report_errors() -> Iterator[None]:
    """Turn errors that an operator can act on into ClickException."""
    from pipeline.domain.account import UnusableLogin
    from pipeline.store.auth.users import LoginTaken, NoSuchUser

    try:
        yield
    except UnusableLogin as error:
        raise click.ClickException(str(error)) from None
    except LoginTaken as error:
        raise click.ClickException(f"{error} `slipway user reset` gives them a new password.") from None
    except NoSuchUser as error:
        raise click.ClickException(f"{error} `slipway user list` shows them.") from None


def _find_workspace(c: Connection, given: str) -> UUID | None:
    """Return the id of a workspace; None for `ALL`. Raises NoSuchWorkspace."""
    from pipeline.store.auth.workspaces import find_workspace

    return None if given == ALL else find_workspace(c, given).id


def _grant(c: Connection, user: UUID, workspace: UUID | None, role: Role | None) -> None:
    from pipeline.store.auth.users import set_role

    before = set_role(c, user, workspace, role)
    sides = [{"role": one.value if one else None} for one in (before, role)]
    _record(c, "grant", user, workspace, *sides)


def _record(
    c: Connection,
    verb: str,
    user: UUID,
    workspace: UUID | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Add the audit row of a change of a user."""
    from pipeline.cli.actor import find_actor
    from pipeline.store.audit import record_change

    record_change(c, find_actor(), verb, "user", user, workspace, before, after)


def _set_disabled(login: str, *, disabled: bool, as_json: bool) -> None:
    from pipeline.store.auth.users import find_user, set_disabled

    with _report_errors(), open_transaction() as c:
        identity = find_user(c, login)
        was_disabled = set_disabled(c, identity, disabled=disabled)
        verb = "disable" if disabled else "enable"
        _record(c, verb, identity, before={"disabled": was_disabled}, after={"disabled": disabled})
    print_fields({"login": login, "disabled": disabled}, as_json=as_json)


def _to_row(user: User, names: dict[UUID | None, str], *, as_json: bool) -> dict[str, Any]:
    """Return the user's columns: roles by workspace id for JSON, by name for people."""
    roles = {
        (str(workspace or ALL) if as_json else names[workspace]): role.value
        for workspace, role in user.roles.items()
    }
    return {
        **pick(user, "id login"),
        "roles": roles if as_json else ", ".join(f"{role} in {where}" for where, role in roles.items()),
        **pick(user, "created_at last_login_at disabled_at"),
    }


def _print_password(facts: dict[str, Any], password: str | None, *, as_json: bool) -> None:
    """Print what was made; a generated password alone on standard output, for people."""
    if as_json:
        print_fields({**facts, "password": password}, as_json=True)
    elif password is not None:
        click.echo(password)
        click.echo(SHOWN_ONCE, err=True)
    else:
        click.echo(f"{facts['login']} can log in with the new password.")
