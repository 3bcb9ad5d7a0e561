"""`slipway account`: what we may publish to, in whose name, and for how long."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from pipeline.api.http.timestamp import written
from pipeline.cli import EXAMPLE
from pipeline.cli.connect import connect
from pipeline.cli.output import json_option, show, show_one
from pipeline.cli.runtime import ask_sandbox, house, ledger, vault
from pipeline.failpoint import failpoint

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Connection

    from adapters.contract import Credentials, Platform
    from pipeline.context import Context
    from pipeline.store.accounts.accounts import AccountRow

TOKENS = (
    'Tokens are read from standard input as JSON: {"access_token", "refresh_token"?, "expires_in"? or "expires_at"?,'
    ' "refresh_expires_in"?, "scopes"?}; in a terminal they are asked for.'
)
unchecked_option = click.option(
    "--unchecked", is_flag=True, help="Do not ask the platform whose tokens these are."
)


@click.group()
def command() -> None:
    """Accounts at the platforms; their credentials are sealed at rest."""


command.add_command(connect)


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
@click.option("--username", required=True, help="Its name there, without @.")
@click.option("--display-name", help="How people know it; default the username.")
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
    """Add an account with tokens from standard input; one that is known gets them as its new ones."""
    from pipeline.cli.token_input import read

    kind, pairs = platform_of(platform), dict(map(_pair, settings))
    credentials = read()
    remote_id, connection = str(names["remote_id"]), str(names["connection"])
    with house() as context:
        if not unchecked:
            _require_owner(context, kind, connection, remote_id, credentials)
        with context.database.begin() as c:
            made = _add(
                c,
                workspace,
                platform=kind,
                connection=connection,
                remote_id=remote_id,
                credentials=credentials,
                username=str(names["username"]),
                display_name=names["display_name"] or str(names["username"]),
                settings=pairs,
            )
    show_one(made, as_json=as_json)


@command.command(
    "add-sandbox", epilog=EXAMPLE + "slipway account add-sandbox tiktok --workspace Acme --username ann"
)
@click.argument("platform")
@click.option("--workspace", required=True, help="Name or id.")
@click.option("--username", required=True, help="One the sandbox knows, or a new one.")
@click.option(
    "--setting", "settings", multiple=True, metavar="K=V", help="E.g. board_id=123; may be repeated."
)
@json_option
def add_sandbox(
    platform: str, *, workspace: str, username: str, settings: tuple[str, ...], as_json: bool
) -> None:
    """Let the sandbox make an account (it answers a wrong PLATFORM with the right ones), and add it."""
    from pipeline.cli.token_input import of_sandbox

    pairs = dict(map(_pair, settings))
    person = ask_sandbox("POST", "accounts", json={"platform": platform, "username": username})
    with ledger() as c:
        made = _add(
            c,
            workspace,
            platform=platform_of(platform.partition("_")[0]),
            connection=person["connection"],
            remote_id=person["remote_id"],
            username=person["username"],
            display_name=person["username"],
            credentials=of_sandbox(person),
            settings=pairs,
        )
    show_one(made, as_json=as_json)


@command.command("list", epilog=EXAMPLE + "slipway account list --workspace Acme --json")
@click.option("--workspace", help="Name or id; default all.")
@json_option
def list_(workspace: str | None, *, as_json: bool) -> None:
    """List accounts: who has to be connected again, until when each grant lives, and how many posts that endangers."""
    from pipeline.store.accounts.connections import standings
    from pipeline.store.auth.workspaces import find_workspace

    with ledger() as c:
        only = find_workspace(c, workspace).id if workspace else None
        found = standings(c, vault(), only)
    rows = [
        {
            "platform": s.account.platform.value,
            "username": s.account.username,
            "id": str(s.account.id),
            "connection": s.account.connection,
            "status": s.account.status.value if s.opens else "sealed by another key",
            "grant_ends_at": written(s.ends_at),
            "endangered_posts": s.endangered,
        }
        for s in found
    ]
    show(rows, as_json=as_json, empty="No accounts. `slipway account connect PLATFORM` adds some.")


@command.command(epilog=f"{TOKENS}\n\n{EXAMPLE}slipway account reconnect acme < tokens.json")
@click.argument("account")
@unchecked_option
@json_option
def reconnect(account: str, *, unchecked: bool, as_json: bool) -> None:
    """Give ACCOUNT (id or username) new tokens of the same remote account; posts that waited for it go on."""
    from pipeline.cli.token_input import read
    from pipeline.maintenance.resume_blocked import resume_blocked
    from pipeline.store.accounts.accounts import add_account
    from pipeline.store.accounts.connections import waiting_for

    credentials = read()
    with house() as context:
        with context.database.begin() as c:
            known = account_of(c, account)
        if not unchecked:
            _require_owner(context, known.platform, known.connection, known.remote_id, credentials)
        with context.database.begin() as c:
            waited = waiting_for(c, known.id)
            add_account(
                c,
                context.vault,
                workspace=known.workspace_id,
                platform=known.platform,
                connection=known.connection,
                remote_id=known.remote_id,
                username=known.username,
                display_name=known.display_name,
                credentials=credentials,
                settings={},
            )
        failpoint("account.usable-again")
        resume_blocked(context)
    show_one({"id": str(known.id), "status": "active", "posts_that_go_on": waited}, as_json=as_json)


@command.command(epilog=EXAMPLE + "slipway account deactivate acme")
@click.argument("account")
@json_option
def deactivate(account: str, *, as_json: bool) -> None:
    """Take ACCOUNT (id or username) out of use: new posts are refused, waiting ones set aside when they are due."""
    from pipeline.store.accounts.connections import deactivate as store_inactive

    with ledger() as c:
        known = account_of(c, account)
        store_inactive(c, known.id)
    show_one({"id": str(known.id), "status": "inactive"}, as_json=as_json)


@command.command(epilog=EXAMPLE + "slipway account activate acme")
@click.argument("account")
@json_option
def activate(account: str, *, as_json: bool) -> None:
    """Put ACCOUNT (id or username) back in use; posts that were set aside for it go on."""
    from pipeline.maintenance.resume_blocked import resume_blocked
    from pipeline.store.accounts.connections import activate as store_active

    with house() as context:
        with context.database.begin() as c:
            known = account_of(c, account)
            status = store_active(c, known.id)
        failpoint("account.usable-again")
        resume_blocked(context)
    show_one({"id": str(known.id), "status": status.value}, as_json=as_json)
    if status == "reconnect":
        again = f"slipway account reconnect {known.id}"
        raise click.ClickException(f"Its grant had died before: connect it again with `{again}`.")


def _add(
    c: Connection, workspace: str, *, platform: Platform, connection: str, remote_id: str, **values: Any
) -> dict[str, Any]:
    from pipeline.store.accounts.accounts import add_account, find_accounts
    from pipeline.store.auth.workspaces import find_workspace

    found = find_workspace(c, workspace)
    before = {a.id for a in find_accounts(c, found.id)}
    made: UUID = add_account(
        c,
        vault(),
        workspace=found.id,
        platform=platform,
        connection=connection,
        remote_id=remote_id,
        **values,
    )
    return {
        "id": str(made),
        "platform": platform.value,
        "username": values["username"],
        "workspace": found.name,
        "was": "known; its tokens are replaced" if made in before else "new",
    }


def account_of(c: Connection, account: str) -> AccountRow:
    """The account of this id or username. Raises ClickException."""
    from pipeline.store.accounts.connections import NoSuchAccount, find_account

    try:
        return find_account(c, account)
    except NoSuchAccount as error:
        raise click.ClickException(f"{error} `slipway account list` shows them.") from None


def _require_owner(
    context: Context, platform: Platform, connection: str, remote_id: str, credentials: Credentials
) -> None:
    """Tokens of somebody else would publish to somebody else: ask whose they are, where that can be asked."""
    from dataclasses import replace

    from adapters.errors import AdapterError

    if platform not in context.adapters:
        return
    told = context.platform_settings[platform]
    settings = replace(told, options={**told.options, "connection": connection})
    try:
        found = context.adapters[platform](context.client(), settings).discover(credentials)
    except AdapterError as error:
        raise click.ClickException(
            f"{platform.value} did not say whose tokens these are ({error}); nothing was changed. "
            "Get new tokens, or pass --unchecked if you are sure."
        ) from None
    if remote_id not in {account.remote_id for account in found}:
        owners = ", ".join(f"{a.username} ({a.remote_id})" for a in found) or "nobody's account"
        raise click.ClickException(
            f"These tokens are for {owners}, not for {remote_id}; nothing was changed. "
            "Sign in there as the right account and take its tokens."
        )


def platform_of(text: str) -> Platform:
    """The platform a person typed. Raises ClickException with the nearest one."""
    from adapters.contract import Platform

    if text not in set(Platform):
        near = get_close_matches(text, [p.value for p in Platform], n=1)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(Platform)}."
        raise click.ClickException(f"There is no platform {text!r}: {hint}")
    return Platform(text)


def _pair(text: str) -> tuple[str, Any]:
    """``k=v``; true and false are what they say, everything else stays text (ids look like numbers)."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.ClickException(f"--setting {text!r} is not like name=value: write it that way.")
    return name, {"true": True, "false": False}.get(value, value)
