"""`slipway forecast`: when the posts of a workspace go out; and the table of a forecast, which a plan ends with."""

from __future__ import annotations

import csv
import sys
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from pipeline.cli import lazy_imports, output, runtime
from pipeline.cli.options import FUTURE

with lazy_imports():
    from pipeline.actions import forecast as forecasts
    from pipeline.api.imports import models
    from pipeline.store.accounts import accounts as account_store

if TYPE_CHECKING:
    from pipeline.store.accounts.accounts import AccountRow

SHOWN = 20
"""Accounts of a table for people; those with late posts come first."""
csv_option = click.option("--csv", "as_csv", is_flag=True, help="A line for each account, as CSV.")


@click.command(cls=output.Command)
@runtime.workspace_option
@click.option("--until", type=FUTURE, help="Only of posts that are due before: 30d. Default: all.")
@click.option("--what-if", metavar="CHANGES", default="", help="posts-per-day=50,pause=tiktok")
@csv_option
def command(workspace: str | None, until: datetime | None, what_if: str, *, as_csv: bool) -> None:
    """Show when the posts of a workspace go out: how many of each account are on time, late, or held.

    The release is run ahead with the limits that publishing keeps: rates, gaps, daily quotas, pauses.

    Examples:
      slipway forecast --until 30d
      slipway forecast --what-if posts-per-day=50,pause=tiktok --csv > august.csv
    """
    with runtime.open_context() as context, context.database.begin() as c:
        chosen = runtime.choose_workspace(c, workspace)
        accounts = account_store.find_accounts(c, chosen.id)
        circumstances = _parse_what_if(what_if, accounts)
        releases = forecasts.forecast_releases(context, c, accounts, until=until, what_if=circumstances)
    found = [*forecasts.summarize({account.id: account for account in accounts}, releases)]
    shown = [models.fill_forecast(models.ForecastAccount, one).model_dump(mode="json") for one in found]
    if output.is_json():
        output.print_rows(shown)
        return
    print_accounts(shown, as_csv=as_csv, rest="slipway forecast --csv")


def print_accounts(found: Sequence[dict[str, object]], *, as_csv: bool, rest: str) -> None:
    """Print a line for each account: the first `SHOWN` as a table, or all as CSV. *rest*: the command for all."""
    rows = [{name: value for name, value in one.items() if name != "account_id"} for one in found]
    if as_csv:
        writer = csv.DictWriter(sys.stdout, rows[0] if rows else ["platform"])
        writer.writeheader()
        writer.writerows(rows)
        return
    output.print_rows(rows[:SHOWN], empty="Nothing is to be sent.")
    if len(rows) > SHOWN:
        click.echo(f"… and {len(rows) - SHOWN} more accounts: {rest}")


def _parse_what_if(text: str, accounts: Collection[AccountRow]) -> forecasts.WhatIf:
    """Return other circumstances. Raises ClickException for what is none."""
    posts_per_day, paused = None, set()
    for change in filter(None, text.split(",")):
        name, _, value = (part.strip() for part in change.partition("="))
        named = [
            a for a in accounts if value in (a.platform, str(a.id), a.username, f"{a.platform}:{a.username}")
        ]
        if name == "posts-per-day" and value.isdigit() and int(value):
            posts_per_day = int(value)
        elif name == "pause" and named:
            paused |= {account.id for account in named}
        else:
            raise click.ClickException(
                f"--what-if: {change!r} is neither posts-per-day=N, from 1, nor pause= with a platform or an account "
                "of the workspace, by id or username."
            )
    return forecasts.WhatIf(posts_per_day=posts_per_day, paused=frozenset(paused))
