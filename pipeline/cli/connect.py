"""`slipway account connect`: adds accounts by OAuth, in a browser on the platform's own page."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, print_rows
from pipeline.cli.runtime import open_context

if TYPE_CHECKING:
    from pipeline.accounts.authorize import AuthorizationStart
    from pipeline.runtime.context import Context
    from pipeline.store.accounts.oauth_sessions import SessionStatus

POLL_SECONDS = 0.5
"""Between two reads of the OAuth session."""
ANSWER_TIMEOUT = timedelta(minutes=2)
"""For the platform's answers, from the moment the browser is back."""


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
