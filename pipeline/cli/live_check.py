"""`slipway live-check`: read token, scopes, quota and limits of accounts, and report what would stop the next post."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.account import parse_platform, require_account
from pipeline.cli.output import json_option, print_rows
from pipeline.cli.runtime import open_context

if TYPE_CHECKING:
    from adapters.contract import Platform
    from adapters.live_check import Finding
    from pipeline.context import Context
    from pipeline.store.accounts.accounts import AccountRow


@click.command("live-check", epilog=EXAMPLE + "slipway live-check tiktok --account acme")
@click.argument("platform")
@click.option("--account", help="Id or username; default every account of PLATFORM that is in use.")
@json_option
def command(platform: str, account: str | None, *, as_json: bool) -> None:
    """Check by reads only whether the next post of PLATFORM's accounts would go out; exit 1 when one would not."""
    selected = parse_platform(platform)
    with open_context() as context:
        rows = [
            {"account": row.username, **asdict(finding)}
            for row in _select_accounts(context, selected, account)
            for finding in _check_account(context, row)
        ]
    print_rows(rows, as_json=as_json)
    if any(row["result"] == "fail" for row in rows):
        raise SystemExit(1)


def _select_accounts(context: Context, platform: Platform, name: str | None) -> list[AccountRow]:
    from pipeline.domain.account import AccountStatus
    from pipeline.store.accounts.accounts import list_accounts

    with context.database.begin() as c:
        if name is not None:
            found = [require_account(c, name)]
        else:
            found = [row for row in list_accounts(c) if row.status is not AccountStatus.INACTIVE]
    selected = [row for row in found if row.platform is platform]
    if not selected:
        problem = f"{name} is no account of {platform}" if name else f"No account of {platform} is connected"
        raise click.ClickException(f"{problem}: `slipway account connect {platform}` connects one.")
    return selected


def _check_account(context: Context, row: AccountRow) -> Iterator[Finding]:
    from adapters.live_check import check_account, fail
    from pipeline.domain.account import AccountStatus
    from pipeline.store.accounts.accounts import read_account

    with context.database.begin() as c:
        account, _, _ = read_account(c, context.vault, row.id)
    if row.status is AccountStatus.RECONNECT:
        yield fail("account", "it has to be connected again: its grant was refused")
    yield from check_account(
        context.adapters[account.platform],
        context.platform_settings[account.platform],
        account,
        limit=timedelta(seconds=context.settings.publish.call),
    )
