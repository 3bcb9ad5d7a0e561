"""`slipway account import`: the accounts of a CSV file, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, pick, print_rows
from pipeline.cli.runtime import open_context

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from adapters.contract import Platform, RemoteAccount
    from pipeline.cli.account_file import AccountLine, Problem
    from pipeline.runtime.context import Context
    from pipeline.store.accounts.accounts import AccountRow
    from pipeline.store.auth.workspaces import Workspace

ASKED_AT_ONCE = 8
"""Accounts that the platforms are asked about at the same time."""
DRY_RUN = "Nothing was stored: this was a dry run. Run it again with --yes to store {count} account{s}."
_OWNERSHIP = ("account", "token", "scopes")
"""Findings of a live check that show whether the tokens are usable and of this account."""

yes_option = click.option("--yes", is_flag=True, help="Store the accounts; default is a dry run.")


@click.command(
    "import",
    epilog="FILE is CSV in UTF-8 (- is standard input); its first line names the columns: platform, connection, "
    "remote_id, username, access_token, and optionally workspace, display_name, refresh_token, expires_in (seconds) or "
    "expires_at, refresh_expires_in, scopes (separated by spaces), setting.NAME.\n\n"
    + EXAMPLE
    + "slipway account import accounts.csv --workspace Acme",
)
@click.argument("file", type=click.File("rb"))
@click.option("--workspace", help="Name or id; for rows without a workspace of their own.")
@click.option(
    "--unchecked", is_flag=True, help="Do not ask the platforms which accounts the tokens belong to."
)
@yes_option
@json_option
def import_(file: BinaryIO, workspace: str | None, *, unchecked: bool, yes: bool, as_json: bool) -> None:
    """Import accounts with their tokens from FILE: check every row, and store all with --yes, or none.

    Each problem is printed with its line, column, rule and value. Tokens are encrypted before they are stored, and
    never printed. A known account gets the new tokens.
    """
    from pipeline.cli.account_file import LARGEST, find_repeated, read_accounts

    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise click.ClickException(f"The file is larger than {LARGEST // 1_000_000} MB: split it.")
    accounts, problems = read_accounts(content, workspace)
    if not accounts and not problems:
        raise click.ClickException("The file has no account: write one on each line after the first.")
    with open_context() as context:
        workspaces, unknown = _find_workspaces(context, accounts)
        problems += unknown
        problems += find_repeated(accounts, {name: one.id for name, one in workspaces.items()})
        problems += _check_connections(context, accounts)
        if not problems and not unchecked:
            problems = _ask_platforms(context, accounts)
        if problems:
            _refuse(problems, as_json=as_json)
        rows = _store_lines(context, accounts, workspaces, store=yes)
    print_rows(rows, as_json=as_json)
    print_outcome(len(rows), stored=yes)


def print_outcome(count: int, *, stored: bool) -> None:
    """Print to standard error whether *count* accounts were stored."""
    s = "" if count == 1 else "s"
    if stored:
        click.echo(f"Stored {count} account{s}. Delete every other copy of the tokens.", err=True)
    else:
        click.echo(DRY_RUN.format(count=count, s=s), err=True)


def _refuse(problems: Sequence[Problem], *, as_json: bool) -> None:
    ordered = sorted(problems, key=lambda one: (one.line, one.column))
    print_rows([asdict(one) for one in ordered], as_json=as_json)
    s = "" if len(problems) == 1 else "s"
    raise click.ClickException(f"{len(problems)} problem{s} in the file; nothing was stored.")


def _find_workspaces(
    context: Context, accounts: Sequence[AccountLine]
) -> tuple[dict[str, Workspace], list[Problem]]:
    from pipeline.cli.account_file import Problem, show_value
    from pipeline.store.auth.workspaces import NoSuchWorkspace, find_workspace

    found: dict[str, Workspace] = {}
    refused: dict[str, str] = {}
    with context.database.begin() as c:
        for name in {one.fields.workspace for one in accounts}:
            try:
                found[name] = find_workspace(c, name)
            except NoSuchWorkspace:
                refused[name] = "no workspace, or several, have this name or id: `slipway workspace list`"
    problems = [
        Problem(
            line=one.line,
            column="workspace",
            rule=refused[one.fields.workspace],
            value=show_value({"workspace": one.fields.workspace}, "workspace"),
        )
        for one in accounts
        if one.fields.workspace in refused
    ]
    return found, problems


def _check_connections(context: Context, accounts: Sequence[AccountLine]) -> Iterator[Problem]:
    from pipeline.cli.account_file import Problem, show_value

    for one in accounts:
        known = [checks.connection for checks in context.adapters[one.fields.platform].live_checks]
        if one.fields.connection not in known:
            rule = f"accounts of {one.fields.platform} are connected as {' or '.join(known)}"
            value = show_value({"connection": one.fields.connection}, "connection")
            yield Problem(line=one.line, column="connection", rule=rule, value=value)


def _ask_platforms(context: Context, accounts: Sequence[AccountLine]) -> list[Problem]:
    """Return the rows whose tokens cannot be used, or are another account's: those would publish to that account."""
    click.echo(f"Asking the platforms about {len(accounts)} accounts …", err=True)
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        return [one for found in pool.map(partial(_ask_platform, context), accounts) for one in found]


def _ask_platform(context: Context, one: AccountLine) -> list[Problem]:
    from adapters.contract import Account
    from adapters.live_check import check_account
    from pipeline.cli.account_file import Problem

    given = one.fields
    account = Account(
        id="",
        platform=given.platform,
        connection=given.connection,
        remote_id=given.remote_id,
        username=given.username,
        credentials=given.to_credentials(),
        settings=one.settings,
    )
    adapter, settings = context.adapters[given.platform], context.platform_settings[given.platform]
    limit = timedelta(seconds=context.settings.publish.call)
    found = list(check_account(adapter, settings, account, limit))
    bad = [f for f in found if f.result == "fail" and f.check in _OWNERSHIP]
    if not bad and ("account", "ok") not in {(f.check, f.result) for f in found}:
        bad = [f for f in found if f.result == "warn" and f.check == "token"]
    return [Problem(line=one.line, column="access_token", rule=f"{f.check}: {f.says}") for f in bad]


def _store_lines(
    context: Context, accounts: Sequence[AccountLine], workspaces: dict[str, Workspace], *, store: bool
) -> list[dict[str, Any]]:
    """Store the rows in one transaction, in one order of accounts, so that two imports cannot wait for each other."""
    from adapters.contract import RemoteAccount

    rows = []
    with context.database.begin() as c:
        for one in sorted(accounts, key=lambda one: _get_order(one, workspaces)):
            given = one.fields
            remote = RemoteAccount(
                remote_id=given.remote_id,
                username=given.username,
                display_name=given.display_name or given.username,
                connection=given.connection,
                credentials=given.to_credentials(),
                settings=one.settings,
            )
            row = store_account(c, context, workspaces[given.workspace], given.platform, remote, store=store)
            rows.append({"line": one.line, **row})
    return sorted(rows, key=lambda row: row["line"])


def _get_order(one: AccountLine, workspaces: dict[str, Workspace]) -> tuple[Any, ...]:
    given = one.fields
    return workspaces[given.workspace].id, given.platform, given.connection, given.remote_id


def store_account(
    c: Connection,
    context: Context,
    workspace: Workspace,
    platform: Platform,
    one: RemoteAccount,
    *,
    store: bool,
) -> dict[str, Any]:
    """Return an account as a row; store it with its tokens sealed if *store*."""
    from pipeline.accounts.connected_account import add_remote_account
    from pipeline.cli.actor import find_actor
    from pipeline.store.accounts.accounts import find_account_of

    known = find_account_of(c, workspace.id, platform, one.connection, one.remote_id)
    identity = known.id if known else None
    if store:
        identity = add_remote_account(c, context.vault, find_actor(), workspace.id, platform, one)
    return {
        "id": identity and str(identity),
        "workspace": workspace.name,
        "platform": platform.value,
        **pick(one, "connection remote_id username"),
        "was": _describe_known(known),
    }


def _describe_known(known: AccountRow | None) -> str:
    if known is None:
        return "new"
    again = "" if known.status == "active" else f" ({known.status.value}); it is active again"
    return f"known; its tokens are replaced{again}"
