"""`slipway account`: the accounts that posts are published to, and their credentials."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import lazy_imports, runtime
from pipeline.cli.connect import connect, discover, discover_accounts, import_, store_account
from pipeline.cli.options import PLATFORM, POSTING_TIMES, ZONE
from pipeline.cli.output import Group, pick, print_fields, print_present, print_rows
from pipeline.runtime.failpoint import failpoint

with lazy_imports():
    from adapters import contract, errors
    from pipeline.accounts import connected_account, posting_times
    from pipeline.cli import account_file
    from pipeline.domain import posting_times as times_of_day
    from pipeline.embedded import sample_workspace
    from pipeline.store.accounts import accounts as account_store
    from pipeline.store.accounts import grants
    from pipeline.store.auth import workspaces as workspace_store


if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.runtime.context import Context
    from pipeline.store.vault import Vault

TOKENS = (
    'Tokens are read from standard input as JSON: {"access_token", "refresh_token"?, "expires_in"? or "expires_at"?,'
    ' "refresh_expires_in"?, "scopes"?}; in a terminal the command asks for them.'
)
setting_option = click.option(
    "--setting", "settings", multiple=True, metavar="K=V", help="E.g. board_id=123; may be repeated."
)
unchecked_option = click.option(
    "--unchecked", is_flag=True, help="Do not ask the platform which account the tokens belong to."
)


@click.group(cls=Group)
def command() -> None:
    """Accounts at the platforms. Their credentials are encrypted at rest."""


for _command in (connect, discover, import_):
    command.add_command(_command)


@command.command(epilog=TOKENS)
@click.argument("platform", type=PLATFORM)
@click.option("--workspace", required=True, help="Name or id.")
@click.option(
    "--connection", required=True, help="The platform's product, e.g. creator, business, instagram_login."
)
@click.option("--remote-id", required=True, help="The account's id at the platform.")
@click.option("--username", required=True, help="The account's username at the platform, without @.")
@click.option("--display-name", help="Default: the username.")
@setting_option
@unchecked_option
def add(
    platform: contract.Platform, *, workspace: str, settings: tuple[str, ...], unchecked: bool, **names: Any
) -> None:
    """Add an account with tokens from standard input. A known account gets the new tokens.

    Example:
      slipway account add tiktok --workspace Acme --connection creator --remote-id _000abc --username acme < tokens.json
    """
    names["display_name"] = names["display_name"] or names["username"]
    credentials, pairs = account_file.read_credentials(), dict(map(_parse_setting, settings))
    remote = contract.RemoteAccount(**names, credentials=credentials, settings=pairs)
    with runtime.open_context() as context:
        if not unchecked:
            _require_owner(context, platform, remote)
        with context.database.begin() as c:
            owner = workspace_store.find_workspace(c, workspace)
            print_fields(_add(c, context.vault, owner, platform, remote))


@command.command("add-sandbox")
@click.argument("platform", required=False)
@runtime.workspace_option
@click.option(
    "--username", help="A username the sandbox knows, or a new one. With --count: what theirs begin with."
)
@click.option(
    "--count", type=click.IntRange(1, 10_000), help="Add so many, on PLATFORM or on all platforms in turn."
)
@setting_option
def add_sandbox(
    platform: str | None,
    *,
    workspace: str | None,
    username: str | None,
    count: int | None,
    settings: tuple[str, ...],
) -> None:
    """Create accounts in the sandbox and add them. A wrong PLATFORM is answered with the list of right ones.

    Examples:
      slipway account add-sandbox tiktok --workspace Acme --username ann
      slipway account add-sandbox --count 200
    """
    pairs = dict(map(_parse_setting, settings))
    with runtime.open_transaction() as c:
        chosen = runtime.choose_workspace(c, workspace)
    if count is None:
        if platform is None or username is None:
            raise click.ClickException("Give PLATFORM and --username, or --count for many accounts.")
        print_fields(_add_sandbox(chosen, platform, username, pairs))
        return
    kinds = [platform] if platform else [p.value for p in contract.Platform]
    prefix = username or "sample"
    added = [
        _add_sandbox(chosen, kinds[n % len(kinds)], f"{prefix}_{n // len(kinds) + 1:04d}", pairs)
        for n in range(count)
    ]
    print_rows(added)


def _add_sandbox(
    workspace: workspace_store.Workspace, platform: str, username: str, settings: dict[str, Any]
) -> dict[str, Any]:
    created = sample_workspace.create_sandbox_account(runtime.call_sandbox, platform, username)
    remote = replace(created, settings={**created.settings, **settings})
    kind = runtime.parse_platform(platform.partition("_")[0])
    with runtime.open_transaction() as c:
        return _add(c, runtime.load_vault(), workspace, kind, remote)


@command.command("list")
@click.option("--workspace", help="Name or id; default all.")
def list_(workspace: str | None) -> None:
    """List accounts: status, when each grant ends, and how many posts are due after that end.

    Example:
      slipway account list --workspace Acme --json
    """
    with runtime.open_transaction() as c:
        only = runtime.find_workspace_id(c, workspace)
        found = grants.list_grant_statuses(c, runtime.load_vault(), only)
    rows = [
        {
            **pick(s.account, "platform username id connection"),
            "status": s.account.status.value if s.opens else "sealed by another key",
            **pick(s, "grant_ends_at=ends_at endangered_posts=endangered"),
        }
        for s in found
    ]
    print_rows(rows, empty="No accounts. `slipway account connect PLATFORM` adds some.")


@command.command(epilog=TOKENS)
@click.argument("account")
@unchecked_option
def reconnect(account: str, *, unchecked: bool) -> None:
    """Give ACCOUNT (id or username) new tokens of the same remote account. Deliveries blocked on it resume.

    Example:
      slipway account reconnect acme < tokens.json
    """
    credentials = account_file.read_credentials()
    with runtime.open_context() as context:
        with context.database.begin() as c:
            known = runtime.require_account(c, account)
        names = pick(known, "remote_id username display_name connection")
        remote = contract.RemoteAccount(**names, credentials=credentials)
        if not unchecked:
            _require_owner(context, known.platform, remote)
        with context.database.begin() as c:
            waited = grants.count_waiting(c, known.id)
            connected_account.add_remote_account(
                c, context.vault, runtime.find_actor(), known.workspace_id, known.platform, remote
            )
        _resume_blocked(context)
    print_fields({"id": str(known.id), "status": "active", "posts_that_go_on": waited})


@command.command()
@click.argument("account")
def deactivate(account: str) -> None:
    """Take ACCOUNT (id or username) out of use: new posts are refused, deliveries that become due are blocked.

    Example:
      slipway account deactivate acme
    """
    with runtime.open_transaction() as c:
        known = runtime.require_account(c, account)
        grants.deactivate(c, known.id)
        _record_status(c, "deactivate", known, "inactive")
    print_fields({"id": str(known.id), "status": "inactive"})


@command.command()
@click.argument("account")
def activate(account: str) -> None:
    """Put ACCOUNT (id or username) back in use. Deliveries blocked on it resume.

    Example:
      slipway account activate acme
    """
    with runtime.open_context() as context:
        with context.database.begin() as c:
            known = runtime.require_account(c, account)
            status = grants.activate(c, known.id)
            _record_status(c, "activate", known, status)
        _resume_blocked(context)
    print_fields({"id": str(known.id), "status": status.value})
    if status == "reconnect":
        again = f"slipway account reconnect {known.id}"
        raise click.ClickException(f"Its grant is no longer valid: connect it again with `{again}`.")


@command.command()
@click.argument("account")
@click.argument("times", type=POSTING_TIMES, required=False)
@click.option("--time-zone", type=ZONE, help="Of the times, e.g. Europe/Berlin. Usual: the workspace's.")
@click.option("--most-a-day", type=click.IntRange(1, 100), help="Posts that a day takes. Usual: one a time.")
@click.option(
    "--least-gap",
    "least_gap_minutes",
    type=click.IntRange(0, 10_080),
    help="Minutes between two posts. Usual: 60.",
)
@click.option("--usual", is_flag=True, help="First drop everything that was set.")
def times(account: str, *, usual: bool, **given: Any) -> None:
    """Show when ACCOUNT (id or username) posts, or set it; `auto` as a post's time takes the next that is free.

    TIMES are times of day by weekday, in the time zone; a day that is not named has none.

    Examples:
      slipway account times acme
      slipway account times acme "mon-fri 09:00 18:00; sat 10:00" --time-zone Europe/Berlin --most-a-day 2
      slipway account times acme --usual
    """
    changes = {name: value for name, value in given.items() if usual or value is not None}
    with runtime.open_transaction() as c:
        known = runtime.require_account(c, account)
        zone = runtime.choose_workspace(c, str(known.workspace_id)).time_zone
        found = times_of_day.PostingTimes.from_dict(known.posting_times, zone)
        if changes:
            found = posting_times.change_posting_times(
                c, runtime.find_actor(), known.id, known.workspace_id, zone, changes
            )
    shown = {**found.to_dict(), "times": times_of_day.describe_times(found)}
    print_present({"id": str(known.id), "username": known.username, **shown})


def _resume_blocked(context: Context) -> None:
    from pipeline.maintenance.rescue_expired_leases import resume_blocked

    failpoint("account.usable-again")
    resume_blocked(context)


def _record_status(c: Connection, verb: str, known: account_store.AccountRow, status: str) -> None:
    sides = {"status": known.status}, {"status": status}
    runtime.record(c, verb, "account", known.id, known.workspace_id, *sides)


def _add(
    c: Connection,
    vault: Vault,
    workspace: workspace_store.Workspace,
    platform: contract.Platform,
    remote: contract.RemoteAccount,
) -> dict[str, Any]:
    row = store_account(c, vault, workspace, platform, remote, store=True)
    return {name: row[name] for name in ("id", "platform", "username", "workspace", "was")}


def _require_owner(context: Context, platform: contract.Platform, remote: contract.RemoteAccount) -> None:
    """Ask the platform which account the tokens belong to. Raises ClickException when it is another one.

    Tokens of another account would publish to that account.
    """
    if platform not in context.adapters:
        return
    try:
        found = discover_accounts(context, platform, remote.connection, remote.credentials)
    except errors.AdapterError as error:
        raise click.ClickException(
            f"{platform.value} did not say which account these tokens belong to ({error}); nothing was changed. "
            "Get new tokens, or pass --unchecked if you are sure."
        ) from None
    if remote.remote_id not in {account.remote_id for account in found}:
        owners = ", ".join(f"{a.username} ({a.remote_id})" for a in found) or "no account"
        raise click.ClickException(
            f"These tokens are for {owners}, not for {remote.remote_id}; nothing was changed. "
            "Sign in at the platform as the right account and use its tokens."
        )


def _parse_setting(text: str) -> tuple[str, Any]:
    """``k=v``; true and false become booleans, everything else stays text (ids look like numbers)."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.ClickException(f"--setting {text!r} is not like name=value: write it that way.")
    return name, {"true": True, "false": False}.get(value, value)
