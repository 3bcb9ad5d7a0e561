"""`slipway account connect`: adds an account by asking its owner, in a browser, on the platform's own page."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, show
from pipeline.cli.runtime import house

if TYPE_CHECKING:
    from pipeline.accounts.authorize import Started
    from pipeline.context import Context
    from pipeline.store.accounts.oauth_sessions import Standing

GLANCE = 0.5
"""Seconds between two looks at the grant."""
ANSWER = timedelta(minutes=2)
"""How long the platform's answers are waited for once the person is back."""


@click.command(epilog=EXAMPLE + "slipway account connect linkedin --workspace Acme")
@click.argument("platform")
@click.option("--workspace", required=True, help="Name or id.")
@click.option(
    "--connection",
    help="The platform's product, e.g. business, facebook_login, organization; default its usual one.",
)
@click.option(
    "--reconnect", metavar="ACCOUNT", help="Id or username of an account to connect again, and no other."
)
@click.option("--only", multiple=True, metavar="ID", help="Store only this remote id; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="Store all that are found, without asking which.")
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
    """Connect accounts at PLATFORM: prints the address to open in a browser, and waits until that is done.

    Where the login opens several accounts (a LinkedIn member and organizations, Facebook Pages), the browser comes back
    to a page on which to tick those to connect.
    """
    from pipeline.accounts.authorize import start
    from pipeline.cli.account import account_of, platform_of
    from pipeline.stages.post_request import Refusal
    from pipeline.store.accounts.oauth_sessions import ALL, CLI
    from pipeline.store.auth.workspaces import find_workspace

    kind = platform_of(platform)
    with house() as context:
        with context.database.begin() as c:
            home = find_workspace(c, workspace).id
            again = account_of(c, reconnect).id if reconnect else None
        try:
            chosen = ALL if everything else only or None
            opened = start(context, home, kind, CLI, connection=connection, reconnect=again, chosen=chosen)
        except Refusal as refusal:
            raise click.ClickException(refusal.message) from None
        _tell(opened)
        rows = _accounts(_wait(context, opened))
    show(rows, as_json=as_json)


def _tell(opened: Started) -> None:
    """On standard error, so that what a program reads is the accounts alone."""
    minutes = int(opened.lives.total_seconds() // 60)
    click.echo(f"Open this address in a browser and allow the access:\n\n  {opened.url}\n", err=True)
    click.echo(
        f"Waiting for up to {minutes} minutes; the platform sends the browser to {opened.redirect_uri}, where the "
        "API (`slipway up`) has to be running.",
        err=True,
    )


def _wait(context: Context, opened: Started) -> Standing:
    from pipeline.store.accounts.oauth_sessions import standing

    while True:
        with context.database.begin() as c:
            found = standing(c, opened.state, ANSWER)
        if found.outcome is not None or found.is_over:
            return found
        time.sleep(GLANCE)


def _accounts(found: Standing) -> list[dict[str, object]]:
    if found.outcome is None:
        what = (
            "neither the platform's answer nor a choice arrived"
            if found.is_used
            else "nobody came back from the platform"
        )
        raise click.ClickException(
            f"Nothing was connected: {what} in time. Start `slipway account connect` again."
        )
    if error := found.outcome.get("error"):
        raise click.ClickException(error["message"])
    return list(found.outcome["accounts"])
