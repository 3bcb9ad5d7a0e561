"""`slipway account connect|discover|import`: accounts by OAuth, of one login's tokens, or of a CSV file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

import click

from pipeline.cli import lazy_imports
from pipeline.cli.options import PLATFORM
from pipeline.cli.output import Command, pick, print_rows
from pipeline.cli.runtime import find_actor, open_context, require_account

with lazy_imports():
    from adapters import contract, errors, live_check
    from pipeline.accounts import authorize, connected_account, posting_times
    from pipeline.cli import account_file
    from pipeline.store.accounts import accounts as account_store
    from pipeline.store.accounts import oauth_sessions
    from pipeline.store.auth import workspaces as workspace_store


if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.runtime.context import Context
    from pipeline.store.vault import Vault

ASKED_AT_ONCE = 8
"""Accounts that the platforms are asked about at the same time."""
_OWNERSHIP = ("account", "token", "scopes")
"""Findings of a live check that show whether the tokens are usable and of this account."""

yes_option = click.option("--yes", is_flag=True, help="Store the accounts; default is a dry run.")


@click.command(
    "import",
    cls=Command,
    epilog="FILE is CSV in UTF-8 (- is standard input); its first line names the columns: platform, connection, "
    "remote_id, username, access_token, and optionally workspace, display_name, refresh_token, expires_in (seconds) or "
    "expires_at, refresh_expires_in, scopes (separated by spaces), setting.NAME, and when it posts: times (mon-fri "
    "09:00 18:00; sat 10:00), time_zone, most_a_day, least_gap_minutes.",
)
@click.argument("file", type=click.File("rb"))
@click.option("--workspace", help="Name or id; for rows without a workspace of their own.")
@click.option(
    "--unchecked", is_flag=True, help="Do not ask the platforms which accounts the tokens belong to."
)
@yes_option
def import_(file: BinaryIO, workspace: str | None, *, unchecked: bool, yes: bool) -> None:
    """Import accounts with their tokens from FILE: check every row, and store all with --yes, or none.

    Each problem is printed with its line, column, rule and value. Tokens are encrypted before they are stored, and
    never printed. A known account gets the new tokens.

    Example:
      slipway account import accounts.csv --workspace Acme
    """
    content = file.read(account_file.LARGEST + 1)
    if len(content) > account_file.LARGEST:
        raise click.ClickException(
            f"The file is larger than {account_file.LARGEST // 1_000_000} MB: split it."
        )
    accounts, problems = account_file.read_accounts(content, workspace)
    if not accounts and not problems:
        raise click.ClickException("The file has no account: write one on each line after the first.")
    with open_context() as context:
        workspaces, unknown = _find_workspaces(context, accounts)
        problems += unknown
        problems += account_file.find_repeated(accounts, {name: one.id for name, one in workspaces.items()})
        problems += _check_connections(context, accounts)
        if not problems and not unchecked:
            problems = _ask_platforms(context, accounts)
        if problems:
            _refuse(problems)
        rows = _store_lines(context, accounts, workspaces, store=yes)
    print_rows(rows)
    print_outcome(len(rows), stored=yes)


def print_outcome(count: int, *, stored: bool) -> None:
    """Print to standard error whether *count* accounts were stored."""
    accounts = f"{count} account{'' if count == 1 else 's'}"
    dry_run = f"Nothing was stored: this was a dry run. Run it again with --yes to store {accounts}."
    done = f"Stored {accounts}. Delete every other copy of the tokens."
    click.echo(done if stored else dry_run, err=True)


def _refuse(problems: Sequence[account_file.Problem]) -> None:
    ordered = sorted(problems, key=lambda one: (one.line, one.column))
    print_rows([asdict(one) for one in ordered])
    s = "" if len(problems) == 1 else "s"
    raise click.ClickException(f"{len(problems)} problem{s} in the file; nothing was stored.")


def _find_workspaces(
    context: Context, accounts: Sequence[account_file.AccountLine]
) -> tuple[dict[str, workspace_store.Workspace], list[account_file.Problem]]:
    found: dict[str, workspace_store.Workspace] = {}
    with context.database.begin() as c:
        for name in {one.fields.workspace for one in accounts}:
            with suppress(workspace_store.NoSuchWorkspace):
                found[name] = workspace_store.find_workspace(c, name)
    rule = "no workspace, or several, have this name or id: `slipway workspace list`"
    unknown = [one for one in accounts if one.fields.workspace not in found]
    return found, [one.build_problem("workspace", rule) for one in unknown]


def _check_connections(
    context: Context, accounts: Sequence[account_file.AccountLine]
) -> Iterator[account_file.Problem]:
    for one in accounts:
        known = [checks.connection for checks in context.adapters[one.fields.platform].live_checks]
        if one.fields.connection not in known:
            rule = f"accounts of {one.fields.platform} are connected as {' or '.join(known)}"
            yield one.build_problem("connection", rule)


def _ask_platforms(
    context: Context, accounts: Sequence[account_file.AccountLine]
) -> list[account_file.Problem]:
    """Return the rows whose tokens cannot be used, or are another account's: those would publish to that account."""
    click.echo(f"Asking the platforms about {len(accounts)} accounts …", err=True)
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        return [one for found in pool.map(partial(_ask_platform, context), accounts) for one in found]


def _ask_platform(context: Context, one: account_file.AccountLine) -> list[account_file.Problem]:
    platform, remote = one.fields.platform, one.to_remote_account()
    facts = pick(remote, "connection remote_id username credentials settings")
    account = contract.Account(id="", platform=platform, **facts)
    adapter, settings = context.adapters[platform], context.platform_settings[platform]
    limit = timedelta(seconds=context.settings.publish.call)
    found = list(live_check.check_account(adapter, settings, account, limit))
    bad = [f for f in found if f.result == "fail" and f.check in _OWNERSHIP]
    if not bad and ("account", "ok") not in {(f.check, f.result) for f in found}:
        bad = [f for f in found if f.result == "warn" and f.check == "token"]
    return [one.build_problem("access_token", f"{f.check}: {f.says}") for f in bad]


def _store_lines(
    context: Context,
    accounts: Sequence[account_file.AccountLine],
    workspaces: dict[str, workspace_store.Workspace],
    *,
    store: bool,
) -> list[dict[str, Any]]:
    """Store the rows in one transaction, in one order of accounts, so that two imports cannot wait for each other."""
    rows = []
    with context.database.begin() as c:
        for one in sorted(accounts, key=lambda one: _get_order(one, workspaces)):
            remote, owner = one.to_remote_account(), workspaces[one.fields.workspace]
            row = store_account(c, context.vault, owner, one.fields.platform, remote, store=store)
            if store and (times := one.fields.posting_times):
                posting_times.change_posting_times(
                    c, find_actor(), UUID(row["id"]), owner.id, owner.time_zone, times
                )
            rows.append({"line": one.line, **row})
    return sorted(rows, key=lambda row: row["line"])


def _get_order(
    one: account_file.AccountLine, workspaces: dict[str, workspace_store.Workspace]
) -> tuple[Any, ...]:
    given = one.fields
    return workspaces[given.workspace].id, given.platform, given.connection, given.remote_id


def store_account(
    c: Connection,
    vault: Vault,
    workspace: workspace_store.Workspace,
    platform: contract.Platform,
    one: contract.RemoteAccount,
    *,
    store: bool,
) -> dict[str, Any]:
    """Return an account as a row; store it with its tokens sealed if *store*."""
    known = account_store.find_account_of(c, workspace.id, platform, one.connection, one.remote_id)
    identity = known.id if known else None
    if store:
        identity = connected_account.add_remote_account(c, vault, find_actor(), workspace.id, platform, one)
    return {
        "id": identity and str(identity),
        "workspace": workspace.name,
        "platform": platform.value,
        **pick(one, "connection remote_id username"),
        "was": _describe_known(known),
    }


def _describe_known(known: account_store.AccountRow | None) -> str:
    if known is None:
        return "new"
    again = "" if known.status == "active" else f" ({known.status.value}); it is active again"
    return f"known; its tokens are replaced{again}"


@click.command(cls=Command, epilog="Tokens are read from standard input, as by `slipway account add`.")
@click.argument("platform", type=PLATFORM)
@click.option("--workspace", required=True, help="Name or id.")
@click.option(
    "--connection", help="The platform's product, e.g. organization. Default: the platform's usual one."
)
@click.option("--only", multiple=True, metavar="ID", help="Store only this remote id; may be repeated.")
@yes_option
def discover(
    platform: contract.Platform,
    *,
    workspace: str,
    connection: str | None,
    only: tuple[str, ...],
    yes: bool,
) -> None:
    """List every account that one login's tokens give access to, and store all with --yes, or none.

    A Facebook login has its Pages, each with a token of its own; a LinkedIn member their organizations.

    Example:
      slipway account discover facebook --workspace Acme < tokens.json
    """
    credentials = account_file.read_credentials()
    with open_context() as context:
        with context.database.begin() as c:
            owner = workspace_store.find_workspace(c, workspace)
        found = _discover(context, platform, connection, credentials)
        if missing := set(only) - {one.remote_id for one in found}:
            raise click.ClickException(
                f"This login has no {', '.join(sorted(missing))}; nothing was stored. "
                "Run it without --only to see what it has."
            )
        chosen = [one for one in found if not only or one.remote_id in only]
        with context.database.begin() as c:
            rows = [store_account(c, context.vault, owner, platform, one, store=yes) for one in chosen]
    print_rows(rows)
    print_outcome(len(rows), stored=yes)


def discover_accounts(
    context: Context, platform: contract.Platform, connection: str | None, credentials: contract.Credentials
) -> Sequence[contract.RemoteAccount]:
    """Return the accounts that the platform lists for these tokens. Raises AdapterError."""
    settings = context.platform_settings[platform]
    if connection is not None:
        settings = replace(settings, options={**settings.options, "connection": connection})
    return context.adapters[platform](context.client(), settings).discover(credentials)


def _discover(
    context: Context, platform: contract.Platform, connection: str | None, credentials: contract.Credentials
) -> list[contract.RemoteAccount]:
    try:
        found = discover_accounts(context, platform, connection, credentials)
    except errors.AdapterError as error:
        raise click.ClickException(
            f"{platform.value} did not list the accounts of these tokens ({error}); nothing was stored."
        ) from None
    once = {(one.connection, one.remote_id): one for one in found}
    if not once:
        raise click.ClickException(
            f"This {platform.value} login has no account that can be published to; nothing was stored."
        )
    return sorted(once.values(), key=lambda one: (one.connection, one.remote_id))


POLL_SECONDS = 0.5
"""Between two reads of the OAuth session."""
ANSWER_TIMEOUT = timedelta(minutes=2)
"""For the platform's answers, from the return of the browser."""


@click.command(cls=Command)
@click.argument("platform", type=PLATFORM)
@click.option("--workspace", required=True, help="Name or id.")
@click.option(
    "--connection",
    help="The platform's product, e.g. business, facebook_login, organization. Default: the platform's usual one.",
)
@click.option(
    "--reconnect", metavar="ACCOUNT", help="Connect this account (id or username) again, and no other."
)
@click.option("--only", multiple=True, metavar="ID", help="Store only this remote id; may be repeated.")
@click.option(
    "--all", "everything", is_flag=True, help="Store all accounts found: the page asks only to confirm them."
)
def connect(
    platform: contract.Platform,
    *,
    workspace: str,
    connection: str | None,
    reconnect: str | None,
    only: tuple[str, ...],
    everything: bool,
) -> None:
    """Connect accounts at PLATFORM: print an address to open in a browser, and wait until the sign-in is completed.

    The browser returns to a page that names the workspace and the accounts found, and asks to confirm. Where the
    sign-in gives access to several accounts (a LinkedIn member and organizations, Facebook Pages), it asks which.

    Example:
      slipway account connect linkedin --workspace Acme
    """
    with open_context() as context:
        with context.database.begin() as c:
            workspace_id = workspace_store.find_workspace(c, workspace).id
            again = require_account(c, reconnect).id if reconnect else None
        opened = authorize.start_authorization(
            context,
            find_actor(),
            workspace_id,
            platform,
            oauth_sessions.CLI,
            connection=connection,
            reconnect=again,
            chosen=oauth_sessions.ALL if everything else only or None,
        )
        _print_instructions(opened)
        rows = _require_accounts(_wait_for_result(context, opened))
    print_rows(rows)


def _print_instructions(opened: authorize.AuthorizationStart) -> None:
    """Print to standard error, so that standard output has the accounts only."""
    minutes = int(opened.lifetime.total_seconds() // 60)
    click.echo(f"Open this address in a browser and allow the access:\n\n  {opened.url}\n", err=True)
    click.echo(
        f"Waiting for up to {minutes} minutes; the platform sends the browser to {opened.redirect_uri}, where the "
        "API (`slipway up`) has to be running.",
        err=True,
    )


def _wait_for_result(context: Context, opened: authorize.AuthorizationStart) -> oauth_sessions.SessionStatus:
    while True:
        with context.database.begin() as c:
            found = oauth_sessions.read_session_status(c, opened.state, ANSWER_TIMEOUT)
        if found.outcome is not None or found.is_over:
            return found
        time.sleep(POLL_SECONDS)


def _require_accounts(found: oauth_sessions.SessionStatus) -> list[dict[str, object]]:
    if found.outcome is None:
        what = (
            "neither the platform's answer nor a confirmation of the accounts arrived"
            if found.is_used
            else "the browser did not return from the platform"
        )
        raise click.ClickException(
            f"Nothing was connected: {what} in time. Run `slipway account connect` again."
        )
    if error := found.outcome.get("error"):
        raise click.ClickException(error["message"])
    return list(found.outcome["accounts"])
