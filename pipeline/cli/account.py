"""`slipway account`: the accounts that posts are published to, and their credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import EXAMPLE, EXAMPLES
from pipeline.cli.account_import import import_
from pipeline.cli.actor import find_actor
from pipeline.cli.connect import connect, discover
from pipeline.cli.output import json_option, pick, print_fields, print_rows
from pipeline.cli.runtime import (
    call_sandbox,
    choose_workspace,
    load_vault,
    open_context,
    open_transaction,
    workspace_option,
)
from pipeline.runtime.failpoint import failpoint

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Connection

    from adapters.contract import Credentials, Platform
    from pipeline.runtime.context import Context
    from pipeline.store.accounts.accounts import AccountRow
    from pipeline.store.auth.workspaces import Workspace

TOKENS = (
    'Tokens are read from standard input as JSON: {"access_token", "refresh_token"?, "expires_in"? or "expires_at"?,'
    ' "refresh_expires_in"?, "scopes"?}; in a terminal the command asks for them.'
)
unchecked_option = click.option(
    "--unchecked", is_flag=True, help="Do not ask the platform which account the tokens belong to."
)


@click.group()
def command() -> None:
    """Accounts at the platforms. Their credentials are encrypted at rest."""


for _command in (connect, discover, import_):
    command.add_command(_command)


@command.command(
    epilog=f"{TOKENS}\n\n{EXAMPLE}slipway account add tiktok --workspace Acme --connection creator "
    "--remote-id _000abc --username acme < tokens.json"
)
@click.argument("platform")
@click.option("--workspace", required=True, help="Name or id.")
@click.option(
    "--connection", required=True, help="The platform's product, e.g. creator, business, instagram_login."
)
@click.option("--remote-id", required=True, help="The account's id at the platform.")
@click.option("--username", required=True, help="The account's username at the platform, without @.")
@click.option("--display-name", help="Default: the username.")
@click.option(
    "--setting", "settings", multiple=True, metavar="K=V", help="E.g. board_id=123; may be repeated."
)
@unchecked_option
@json_option
def add(
    platform: str,
    *,
    workspace: str,
    settings: tuple[str, ...],
    unchecked: bool,
    as_json: bool,
    **names: str | None,
) -> None:
    """Add an account with tokens from standard input. A known account gets the new tokens."""
    from pipeline.cli.token_input import read_credentials

    kind, pairs = parse_platform(platform), dict(map(_parse_setting, settings))
    credentials = read_credentials()
    remote_id, connection = str(names["remote_id"]), str(names["connection"])
    with open_context() as context:
        if not unchecked:
            _require_owner(context, kind, connection, remote_id, credentials)
        with context.database.begin() as c:
            added = _add(
                c,
                workspace,
                kind,
                connection=connection,
                remote_id=remote_id,
                credentials=credentials,
                username=str(names["username"]),
                display_name=names["display_name"] or str(names["username"]),
                settings=pairs,
            )
    print_fields(added, as_json=as_json)


@command.command(
    "add-sandbox",
    epilog=EXAMPLES + "slipway account add-sandbox tiktok --workspace Acme --username ann\n"
    "  slipway account add-sandbox --count 200",
)
@click.argument("platform", required=False)
@workspace_option
@click.option(
    "--username", help="A username the sandbox knows, or a new one. With --count: what theirs begin with."
)
@click.option(
    "--count", type=click.IntRange(1, 10_000), help="Add so many, on PLATFORM or on all platforms in turn."
)
@click.option(
    "--setting", "settings", multiple=True, metavar="K=V", help="E.g. board_id=123; may be repeated."
)
@json_option
def add_sandbox(
    platform: str | None,
    *,
    workspace: str | None,
    username: str | None,
    count: int | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Create accounts in the sandbox and add them. A wrong PLATFORM is answered with the list of right ones."""
    pairs = dict(map(_parse_setting, settings))
    with open_transaction() as c:
        chosen = choose_workspace(c, workspace)
    if count is None:
        if platform is None or username is None:
            raise click.ClickException("Give PLATFORM and --username, or --count for many accounts.")
        print_fields(_add_sandbox(chosen, platform, username, pairs), as_json=as_json)
        return
    kinds = [platform] if platform else [p.value for p in list_platforms()]
    prefix = username or "sample"
    added = [
        _add_sandbox(chosen, kinds[n % len(kinds)], f"{prefix}_{n // len(kinds) + 1:04d}", pairs)
        for n in range(count)
    ]
    print_rows(added, as_json=as_json)


def _add_sandbox(
    workspace: Workspace, platform: str, username: str, settings: dict[str, Any]
) -> dict[str, Any]:
    from pipeline.cli.token_input import credentials_of_sandbox
    from pipeline.embedded.sample_workspace import OPTIONS

    kind = parse_platform(platform.partition("_")[0]) if platform in list_platforms() else None
    asked = {"platform": platform, "username": username, "options": OPTIONS.get(kind, {}) if kind else {}}
    created = call_sandbox("POST", "accounts", json=asked)
    with open_transaction() as c:
        return _add(
            c,
            str(workspace.id),
            parse_platform(platform.partition("_")[0]),
            connection=created["connection"],
            remote_id=created["remote_id"],
            username=created["username"],
            display_name=created["username"],
            credentials=credentials_of_sandbox(created),
            settings={**(created.get("settings") or {}), **settings},
        )


def list_platforms() -> list[Platform]:
    """Return all platforms."""
    from adapters.contract import Platform

    return list(Platform)


@command.command("list", epilog=EXAMPLE + "slipway account list --workspace Acme --json")
@click.option("--workspace", help="Name or id; default all.")
@json_option
def list_(workspace: str | None, *, as_json: bool) -> None:
    """List accounts: status, when each grant ends, and how many posts are due after that end."""
    from pipeline.store.accounts.grants import list_grant_statuses
    from pipeline.store.auth.workspaces import find_workspace

    with open_transaction() as c:
        only = find_workspace(c, workspace).id if workspace else None
        found = list_grant_statuses(c, load_vault(), only)
    rows = [
        {
            **pick(s.account, "platform username id connection"),
            "status": s.account.status.value if s.opens else "sealed by another key",
            **pick(s, "grant_ends_at=ends_at endangered_posts=endangered"),
        }
        for s in found
    ]
    print_rows(rows, as_json=as_json, empty="No accounts. `slipway account connect PLATFORM` adds some.")


@command.command(epilog=f"{TOKENS}\n\n{EXAMPLE}slipway account reconnect acme < tokens.json")
@click.argument("account")
@unchecked_option
@json_option
def reconnect(account: str, *, unchecked: bool, as_json: bool) -> None:
    """Give ACCOUNT (id or username) new tokens of the same remote account. Deliveries blocked on it resume."""
    from adapters.contract import RemoteAccount
    from pipeline.accounts.connected_account import add_remote_account
    from pipeline.cli.token_input import read_credentials
    from pipeline.maintenance.rescue_expired_leases import resume_blocked
    from pipeline.store.accounts.grants import count_waiting

    credentials = read_credentials()
    with open_context() as context:
        with context.database.begin() as c:
            known = require_account(c, account)
        if not unchecked:
            _require_owner(context, known.platform, known.connection, known.remote_id, credentials)
        with context.database.begin() as c:
            waited = count_waiting(c, known.id)
            remote = RemoteAccount(
                remote_id=known.remote_id,
                username=known.username,
                display_name=known.display_name,
                connection=known.connection,
                credentials=credentials,
                settings={},
            )
            actor = find_actor()
            add_remote_account(c, context.vault, actor, known.workspace_id, known.platform, remote)
        failpoint("account.usable-again")
        resume_blocked(context)
    print_fields({"id": str(known.id), "status": "active", "posts_that_go_on": waited}, as_json=as_json)


@command.command(epilog=EXAMPLE + "slipway account deactivate acme")
@click.argument("account")
@json_option
def deactivate(account: str, *, as_json: bool) -> None:
    """Take ACCOUNT (id or username) out of use: new posts are refused, deliveries that become due are blocked."""
    from pipeline.store.accounts.grants import deactivate as store_inactive

    with open_transaction() as c:
        known = require_account(c, account)
        store_inactive(c, known.id)
        _record_status(c, "deactivate", known, "inactive")
    print_fields({"id": str(known.id), "status": "inactive"}, as_json=as_json)


@command.command(epilog=EXAMPLE + "slipway account activate acme")
@click.argument("account")
@json_option
def activate(account: str, *, as_json: bool) -> None:
    """Put ACCOUNT (id or username) back in use. Deliveries blocked on it resume."""
    from pipeline.maintenance.rescue_expired_leases import resume_blocked
    from pipeline.store.accounts.grants import activate as store_active

    with open_context() as context:
        with context.database.begin() as c:
            known = require_account(c, account)
            status = store_active(c, known.id)
            _record_status(c, "activate", known, status)
        failpoint("account.usable-again")
        resume_blocked(context)
    print_fields({"id": str(known.id), "status": status.value}, as_json=as_json)
    if status == "reconnect":
        again = f"slipway account reconnect {known.id}"
        raise click.ClickException(f"Its grant is no longer valid: connect it again with `{again}`.")


def _record_status(c: Connection, verb: str, known: AccountRow, status: str) -> None:
    from pipeline.store.audit import record_change

    sides = {"status": known.status}, {"status": status}
    record_change(c, find_actor(), verb, "account", known.id, known.workspace_id, *sides)


def _add(c: Connection, workspace: str, platform: Platform, **values: Any) -> dict[str, Any]:
    from adapters.contract import RemoteAccount
    from pipeline.accounts.connected_account import add_remote_account
    from pipeline.store.accounts.accounts import find_accounts
    from pipeline.store.auth.workspaces import find_workspace

    found = find_workspace(c, workspace)
    before = {a.id for a in find_accounts(c, found.id)}
    remote = RemoteAccount(**values)
    account = add_remote_account(c, load_vault(), find_actor(), found.id, platform, remote)
    return {
        "id": str(account),
        "platform": platform.value,
        "username": values["username"],
        "workspace": found.name,
        "was": "known; its tokens are replaced" if account in before else "new",
    }


def require_account(c: Connection, account: str) -> AccountRow:
    """Return the account with this id or username. Raises ClickException."""
    from pipeline.store.accounts.grants import NoSuchAccount, find_account

    try:
        return find_account(c, account)
    except NoSuchAccount as error:
        raise click.ClickException(f"{error} `slipway account list` shows them.") from None


def require_account_of(c: Connection, workspace: UUID, given: str) -> AccountRow:
    """Return the account of a workspace with this id or username. Raises ClickException."""
    from pipeline.store.accounts.accounts import find_accounts

    found = [a for a in find_accounts(c, workspace) if given.lower() == str(a.id) or given == a.username]
    if not found:
        raise click.ClickException(
            f"The workspace has no account {given!r}: `slipway account list` shows its accounts."
        )
    if len(found) > 1:
        ids = ", ".join(f"{a.id} ({a.platform})" for a in found)
        raise click.ClickException(f"Several accounts are called {given!r}; give the id of one: {ids}.")
    return found[0]


def _require_owner(
    context: Context, platform: Platform, connection: str, remote_id: str, credentials: Credentials
) -> None:
    """Ask the platform which account the tokens belong to. Raises ClickException when it is another one.

    Tokens of another account would publish to that account.
    """
    from dataclasses import replace

    from adapters.errors import AdapterError

    if platform not in context.adapters:
        return
    base = context.platform_settings[platform]
    settings = replace(base, options={**base.options, "connection": connection})
    try:
        found = context.adapters[platform](context.client(), settings).discover(credentials)
    except AdapterError as error:
        raise click.ClickException(
            f"{platform.value} did not say which account these tokens belong to ({error}); nothing was changed. "
            "Get new tokens, or pass --unchecked if you are sure."
        ) from None
    if remote_id not in {account.remote_id for account in found}:
        owners = ", ".join(f"{a.username} ({a.remote_id})" for a in found) or "no account"
        raise click.ClickException(
            f"These tokens are for {owners}, not for {remote_id}; nothing was changed. "
            "Sign in at the platform as the right account and use its tokens."
        )


def parse_platform(text: str) -> Platform:
    """Return the platform of this name. Raises ClickException with the most similar name."""
    from adapters.contract import Platform

    if text not in set(Platform):
        from difflib import get_close_matches

        near = get_close_matches(text, [p.value for p in Platform], n=1)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(Platform)}."
        raise click.ClickException(f"There is no platform {text!r}: {hint}")
    return Platform(text)


def _parse_setting(text: str) -> tuple[str, Any]:
    """``k=v``; true and false become booleans, everything else stays text (ids look like numbers)."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.ClickException(f"--setting {text!r} is not like name=value: write it that way.")
    return name, {"true": True, "false": False}.get(value, value)
