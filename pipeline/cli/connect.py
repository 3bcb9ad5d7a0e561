"""`slipway account connect`: adds accounts by OAuth, in a browser on the platform's own page.

`slipway account discover`: every account that the tokens of one login give access to.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.account_import import print_outcome, store_account, yes_option
from pipeline.cli.output import json_option, print_rows
from pipeline.cli.runtime import open_context

if TYPE_CHECKING:
    from adapters.contract import Credentials, Platform, RemoteAccount
    from pipeline.accounts.authorize import AuthorizationStart
    from pipeline.runtime.context import Context
    from pipeline.store.accounts.oauth_sessions import SessionStatus


@click.command(
    epilog="Tokens are read from standard input, as by `slipway account add`.\n\n"
    + EXAMPLE
    + "slipway account discover facebook --workspace Acme < tokens.json",
)
@click.argument("platform")
@click.option("--workspace", required=True, help="Name or id.")
@click.option(
    "--connection", help="The platform's product, e.g. organization. Default: the platform's usual one."
)
@click.option("--only", multiple=True, metavar="ID", help="Store only this remote id; may be repeated.")
@yes_option
@json_option
def discover(
    platform: str,
    *,
    workspace: str,
    connection: str | None,
    only: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """List every account that one login's tokens give access to, and store all with --yes, or none.

    A Facebook login has its Pages, each with a token of its own; a LinkedIn member their organizations.
    """
    from pipeline.cli.account import parse_platform
    from pipeline.cli.token_input import read_credentials
    from pipeline.store.auth.workspaces import find_workspace

    kind, credentials = parse_platform(platform), read_credentials()
    with open_context() as context:
        with context.database.begin() as c:
            owner = find_workspace(c, workspace)
        found = _discover(context, kind, connection, credentials)
        if missing := set(only) - {one.remote_id for one in found}:
            raise click.ClickException(
                f"This login has no {', '.join(sorted(missing))}; nothing was stored. "
                "Run it without --only to see what it has."
            )
        chosen = [one for one in found if not only or one.remote_id in only]
        with context.database.begin() as c:
            rows = [store_account(c, context, owner, kind, one, store=yes) for one in chosen]
    print_rows(rows, as_json=as_json)
    print_outcome(len(rows), stored=yes)


def _discover(
    context: Context, platform: Platform, connection: str | None, credentials: Credentials
) -> list[RemoteAccount]:
    from adapters.errors import AdapterError

    settings = context.platform_settings[platform]
    if connection is not None:
        settings = replace(settings, options={**settings.options, "connection": connection})
    try:
        found = context.adapters[platform](context.client(), settings).discover(credentials)
    except AdapterError as error:
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


@click.command(epilog=EXAMPLE + "slipway account connect linkedin --workspace Acme")
@click.argument("platform")
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
@json_option
def connect(
    platform: str,
    *,
    workspace: str,
    connection: str | None,
    reconnect: str | None,
    only: tuple[str, ...],
    everything: bool,
    as_json: bool,
) -> None:
    """Connect accounts at PLATFORM: print an address to open in a browser, and wait until the sign-in is completed.

    The browser returns to a page that names the workspace and the accounts found, and asks to confirm. Where the
    sign-in gives access to several accounts (a LinkedIn member and organizations, Facebook Pages), it asks which.
    """
    from pipeline.accounts.authorize import start_authorization
    from pipeline.cli.account import parse_platform, require_account
    from pipeline.cli.actor import find_actor
    from pipeline.stages.post_request import Refusal
    from pipeline.store.accounts.oauth_sessions import ALL, CLI
    from pipeline.store.auth.workspaces import find_workspace

    kind = parse_platform(platform)
    with open_context() as context:
        with context.database.begin() as c:
            workspace_id = find_workspace(c, workspace).id
            again = require_account(c, reconnect).id if reconnect else None
        try:
            chosen = ALL if everything else only or None
            opened = start_authorization(
                context,
                find_actor(),
                workspace_id,
                kind,
                CLI,
                connection=connection,
                reconnect=again,
                chosen=chosen,
            )
        except Refusal as refusal:
            raise click.ClickException(refusal.message) from None
        _print_instructions(opened)
        rows = _require_accounts(_wait_for_result(context, opened))
    print_rows(rows, as_json=as_json)


def _print_instructions(opened: AuthorizationStart) -> None:
    """Print to standard error, so that standard output has the accounts only."""
    minutes = int(opened.lifetime.total_seconds() // 60)
    click.echo(f"Open this address in a browser and allow the access:\n\n  {opened.url}\n", err=True)
    click.echo(
        f"Waiting for up to {minutes} minutes; the platform sends the browser to {opened.redirect_uri}, where the "
        "API (`slipway up`) has to be running.",
        err=True,
    )


def _wait_for_result(context: Context, opened: AuthorizationStart) -> SessionStatus:
    from pipeline.store.accounts.oauth_sessions import read_session_status

    while True:
        with context.database.begin() as c:
            found = read_session_status(c, opened.state, ANSWER_TIMEOUT)
        if found.outcome is not None or found.is_over:
            return found
        time.sleep(POLL_SECONDS)


def _require_accounts(found: SessionStatus) -> list[dict[str, object]]:
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
