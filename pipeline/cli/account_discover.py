"""`slipway account discover`: every account that the tokens of one login give access to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.account_import import print_outcome, store_account, yes_option
from pipeline.cli.output import json_option, print_rows
from pipeline.cli.runtime import open_context

if TYPE_CHECKING:
    from adapters.contract import Credentials, Platform, RemoteAccount
    from pipeline.runtime.context import Context


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
