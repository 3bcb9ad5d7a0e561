"""`slipway workspace` and `slipway user`: workspaces with their plans, users of the dashboard with their roles."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.cli import lazy_imports
from pipeline.cli.delete_workspace import delete
from pipeline.cli.lock_workspace import lock, unlock
from pipeline.cli.options import DURATION, ZONE
from pipeline.cli.output import Group, answer, is_json, pick, print_fields, print_rows
from pipeline.cli.runtime import find_actor, open_context, open_transaction, record
from pipeline.domain import account as domain

with lazy_imports():
    from pipeline.actions import people, workspaces
    from pipeline.store.auth import sessions as session_store
    from pipeline.store.auth import users as user_store
    from pipeline.store.auth import workspaces as workspace_store


if TYPE_CHECKING:
    from sqlalchemy import Connection


@click.group(cls=Group)
def workspace() -> None:
    """Workspaces: the owners of posts, with the plan they publish by."""


@workspace.command("create")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice([k.value for k in domain.WorkspaceKind]),
    default="workspace",
    show_default=True,
)
@click.option(
    "--plan", type=click.Choice([p.value for p in domain.Plan]), default="business", show_default=True
)
@click.option(
    "--time-zone", type=ZONE, default="UTC", show_default=True, help="IANA name, such as Europe/Berlin."
)
def add_workspace(name: str, kind: str, plan: str, time_zone: str) -> None:
    """Create a workspace. A personal one also gets an owner.

    Example:
      slipway workspace create Acme --time-zone Europe/Berlin
    """
    with open_transaction() as c:
        try:
            found = workspaces.create_workspace(
                c, find_actor(), name, domain.WorkspaceKind(kind), domain.Plan(plan), time_zone
            )
        except workspaces.InvalidRule as error:
            raise click.ClickException(str(error)) from None
    print_fields(pick(found, _FIELDS))


@workspace.command("list")
def list_all_workspaces() -> None:
    """List all workspaces, oldest first.

    Example:
      slipway workspace list --json
    """
    with open_transaction() as c:
        late = workspace_store.list_policies(c)
        found = [
            {**pick(w, _FIELDS), "late": workspaces.describe_policy(late.get(w.id))}
            for w in workspace_store.list_workspaces(c)
        ]
    print_rows(found, empty="No workspaces. `slipway workspace create NAME` makes one.")


@workspace.command()
@click.argument("workspace")
@click.argument("plan", type=click.Choice([p.value for p in domain.Plan]))
@click.option(
    "--subscription", type=click.Choice([s.value for s in domain.Subscription]), help="Default: unchanged."
)
def set_plan(workspace: str, plan: str, subscription: str | None) -> None:
    """Change the plan of WORKSPACE (name or id). Its keys publish by the new plan at once.

    Example:
      slipway workspace set-plan Acme professional --subscription past_due
    """
    with open_transaction() as c:
        found = workspace_store.find_workspace(c, workspace)
        paid = None if subscription is None else domain.Subscription(subscription)
        changed = workspaces.set_plan(c, find_actor(), found.id, domain.Plan(plan), paid)
    print_fields(pick(changed, _FIELDS))


@workspace.command()
@click.argument("workspace")
@click.argument("on_late", metavar="publish|skip|hold", type=click.Choice(["publish", "skip", "hold"]))
@click.option("--after", type=DURATION, help="How late counts as late: 30m, 2h, 1d. Not with publish.")
def set_late(workspace: str, on_late: str, after: timedelta | None) -> None:
    """Set what happens to late posts of WORKSPACE without expires_at: publish, skip (fail) or hold for an operator.

    It takes effect at once, for posts already accepted too.

    Examples:
      slipway workspace set-late Acme hold --after 2h
      slipway workspace set-late Acme publish
    """
    with open_transaction() as c:
        found = workspace_store.find_workspace(c, workspace)
        try:
            policy = workspaces.set_late(c, find_actor(), found.id, on_late, after)
        except workspaces.InvalidRule as error:
            raise click.ClickException(f"{error} (--after 2h)") from None
    print_fields({"id": found.id, "name": found.name, "late": workspaces.describe_policy(policy)})


@workspace.command()
@click.argument("workspace")
@click.argument("needed", metavar="needed|by-key", type=click.Choice(["needed", "by-key"]))
@click.option(
    "--by-author", is_flag=True, help="Who writes a post may approve it: for a workspace of one person."
)
def set_approval(workspace: str, needed: str, *, by_author: bool) -> None:
    """Say which posts of WORKSPACE wait for an approval: all, also scheduled ones, or those of keys that need it.

    Posts that wait already go on waiting.

    Examples:
      slipway workspace set-approval Acme needed
      slipway workspace set-approval Acme by-key --by-author
    """
    with open_context() as context:
        with context.database.begin() as c:
            found = workspace_store.find_workspace(c, workspace)
        changed, waiting = workspaces.set_approval(
            context, find_actor(), found.id, needed=needed == "needed", by_author=by_author
        )
    print_fields({**pick(changed, "id name needs_approval self_approval"), "waiting": waiting})


for one in (delete, lock, unlock):
    workspace.add_command(one)
_FIELDS = "id name kind owner_user_id plan subscription time_zone needs_approval self_approval"
SHOWN_ONCE = "This password is shown only once: pass it on now. It is stored as a hash."


def ask_password(login: str, *, generate: bool) -> tuple[str, bool]:
    """Return a new password, and whether it was generated: if *generate*, or without a terminal.

    Raises ClickException for one that breaks a rule.
    """
    if generate or not sys.stdin.isatty():
        return user_store.generate_password(), True
    given: str = click.prompt("Password", hide_input=True, confirmation_prompt="Again", err=True)
    try:
        return domain.require_password(given, login), False
    except domain.UnusablePassword as error:
        raise click.ClickException(str(error)) from None


ALL = "all"
"""Stands for all workspaces, later ones included."""
ROLES = [role.value for role in domain.Role]
generate_option = click.option(
    "--generate", is_flag=True, help="Generate the password, as without a terminal, and print it once."
)


@click.group(cls=Group)
def user() -> None:
    """People who use the dashboard. A role is for one workspace, or for all.

    viewer: sees. author: also edits, moves, cancels and retries posts. operator: also pauses, decides, steers and
    connects accounts. admin: also makes keys and gives roles there; where the role is for all workspaces, also
    resets and disables people, and ends their sessions.
    """


def workspace_option(help_text: str) -> Callable[[Any], Any]:
    """Return the option --workspace, whose value may be `ALL`."""
    return click.option("--workspace", metavar="NAME|ID|all", help=help_text)


@user.command()
@click.argument("login")
@click.option(
    "--role", type=click.Choice(ROLES), help="What the user may do; `slipway user grant` gives it later."
)
@workspace_option("Where; needed with --role.")
@generate_option
def create(login: str, role: str | None, workspace: str | None, *, generate: bool) -> None:
    """Create user LOGIN. The password is asked for at a terminal; otherwise it is generated, and shown only now.

    Examples:
      slipway user create ann --role operator --workspace Acme
      slipway user create bo --role viewer --workspace all --generate
    """
    if (role is None) != (workspace is None):
        raise click.UsageError("Give --role and --workspace together: a role is for a workspace, or for all.")
    with _report_errors():
        login = domain.require_login(login)
        password, is_generated = ask_password(login, generate=generate)
        stored = user_store.hash_password(password)
        with open_transaction() as c:
            identity = people.add_user(c, find_actor(), login, stored)
            if role is not None:
                where = _find_workspace(c, workspace or "")
                people.grant(c, find_actor(), identity, where, domain.Role(role))
    facts = {"id": identity, "login": login, "role": role, "workspace": workspace}
    _print_password(facts, password if is_generated else None)


@user.command("list")
def list_() -> None:
    """List all users with their roles.

    Example:
      slipway user list --json
    """
    with open_transaction() as c:
        names: dict[UUID | None, str] = {w.id: w.name for w in workspace_store.list_workspaces(c)}
        found = user_store.list_users(c)
    rows = [_to_row(user, names | {None: ALL}) for user in found]
    print_rows(rows, empty="No users. `slipway user create LOGIN` makes one.")


@user.command()
@click.argument("login")
def disable(login: str) -> None:
    """Keep user LOGIN out, and end their sessions at once. What they did keeps their name.

    Example:
      slipway user disable ann
    """
    _set_disabled(login, disabled=True)


@user.command()
@click.argument("login")
def enable(login: str) -> None:
    """Let user LOGIN, who was disabled, log in again.

    Example:
      slipway user enable ann
    """
    _set_disabled(login, disabled=False)


@user.command()
@click.argument("login")
@generate_option
def reset(login: str, *, generate: bool) -> None:
    """Give user LOGIN a new password, end their sessions, and let them try again at once, without a second factor.

    Example:
      slipway user reset ann
    """
    login = domain.normalize_login(login)
    with _report_errors():
        with open_transaction() as c:
            user_store.find_user(c, login)
        password, is_generated = ask_password(login, generate=generate)
        stored = user_store.hash_password(password)
        with open_transaction(warn=False) as c:
            identity = user_store.find_user(c, login)
            people.reset(c, find_actor(), identity, login, stored)
    _print_password({"id": identity, "login": login}, password if is_generated else None)


@user.command()
@click.argument("login")
@click.argument("role", type=click.Choice([*ROLES, "none"]))
@workspace_option("Where.")
def grant(login: str, role: str, workspace: str | None) -> None:
    """Give user LOGIN another ROLE in a workspace or in all; none takes it. Their next page follows it.

    Examples:
      slipway user grant ann operator --workspace Acme
      slipway user grant ann admin --workspace all
      slipway user grant ann none --workspace Acme
    """
    if workspace is None:
        raise click.UsageError("Give --workspace: a name, an id, or all.")
    with _report_errors(), open_transaction() as c:
        chosen = None if role == "none" else domain.Role(role)
        user = user_store.find_user(c, login)
        people.grant(c, find_actor(), user, _find_workspace(c, workspace), chosen)
    print_fields({"login": login, "role": role, "workspace": workspace})


@user.command()
@click.argument("login", required=False)
@click.option("--end", "ends", is_flag=True, help="End all sessions of LOGIN.")
def sessions(login: str | None, *, ends: bool) -> None:
    """List the open sessions of all users, or of LOGIN; or end them.

    Examples:
      slipway user sessions
      slipway user sessions ann --end
    """
    if ends and login is None:
        raise click.UsageError("Give LOGIN: whose sessions are to end.")
    with _report_errors(), open_transaction() as c:
        user = None if login is None else user_store.find_user(c, login)
        if ends and user is not None:
            ended = user_store.end_sessions_of(c, user)
            record(c, "end sessions", "user", user, None, before={"sessions": ended}, after={"sessions": 0})
            print_fields({"login": login, "ended": ended})
            return
        found = session_store.list_sessions(c, user)
    rows = [pick(one, "id login created_at seen_at address browser=agent") for one in found]
    print_rows(rows, empty="No open sessions.")


@contextmanager
def _report_errors() -> Iterator[None]:
    """Turn errors that an operator can act on into ClickException."""
    try:
        yield
    except domain.UnusableLogin as error:
        raise click.ClickException(str(error)) from None
    except user_store.LoginTaken as error:
        raise click.ClickException(f"{error} `slipway user reset` gives them a new password.") from None
    except user_store.NoSuchUser as error:
        raise click.ClickException(f"{error} `slipway user list` shows them.") from None


def _find_workspace(c: Connection, given: str) -> UUID | None:
    """Return the id of a workspace; None for `ALL`. Raises NoSuchWorkspace."""
    return None if given == ALL else workspace_store.find_workspace(c, given).id


def _set_disabled(login: str, *, disabled: bool) -> None:
    with _report_errors(), open_transaction() as c:
        identity = user_store.find_user(c, login)
        people.set_disabled(c, find_actor(), identity, disabled=disabled)
    print_fields({"login": login, "disabled": disabled})


def _to_row(user: user_store.User, names: dict[UUID | None, str]) -> dict[str, Any]:
    """Return the user's columns: roles by workspace id for JSON, by name for people."""
    roles = {
        (str(workspace or ALL) if is_json() else names[workspace]): role.value
        for workspace, role in user.roles.items()
    }
    return {
        **pick(user, "id login"),
        "roles": roles if is_json() else ", ".join(f"{role} in {where}" for where, role in roles.items()),
        **pick(user, "created_at last_login_at disabled_at"),
    }


def _print_password(facts: dict[str, Any], password: str | None) -> None:
    """Print what was made; a generated password alone on standard output, for people."""
    answer({**facts, "password": password}, password or f"{facts['login']} can log in with the new password.")
    if password is not None and not is_json():
        click.echo(SHOWN_ONCE, err=True)
