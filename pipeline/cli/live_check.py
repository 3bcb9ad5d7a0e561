"""`slipway live-check`: read token, scopes, quota and limits of accounts, and report what would stop the next post.

What no read can decide follows as findings with the result ``unknown``, once per platform.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.account import parse_platform, require_account
from pipeline.cli.output import json_option, print_rows
from pipeline.cli.runtime import open_context

if TYPE_CHECKING:
    from adapters.contract import Platform
    from adapters.live_check import Finding
    from pipeline.runtime.context import Context
    from pipeline.store.accounts.accounts import AccountRow


@click.command("live-check", epilog=EXAMPLE + "slipway live-check tiktok --account acme")
@click.argument("platform", required=False)
@click.option("--account", help="Id or username; default every account that is in use.")
@json_option
def command(platform: str | None, account: str | None, *, as_json: bool) -> None:
    """Check by reads only whether the next post of PLATFORM's accounts would go out; exit 1 when one would not.

    Without PLATFORM, the accounts of all platforms are checked. Rows with the result `unknown` are what only a live
    post can tell.
    """
    selected = None if platform is None else parse_platform(platform)
    with open_context() as context:
        accounts = _select_accounts(context, selected, account)
        rows: list[dict[str, Any]] = []
        for one in _list_platforms(context, selected, accounts if account else None):
            rows += _check_platform(context, one, [row for row in accounts if row.platform is one])
    print_rows(rows, as_json=as_json)
    if any(row["result"] == "fail" for row in rows):
        raise SystemExit(1)


def _select_accounts(context: Context, platform: Platform | None, name: str | None) -> list[AccountRow]:
    from pipeline.domain.account import AccountStatus
    from pipeline.store.accounts.accounts import list_accounts

    with context.database.begin() as c:
        if name is not None:
            found = [require_account(c, name)]
        else:
            found = [row for row in list_accounts(c) if row.status is not AccountStatus.INACTIVE]
    selected = [row for row in found if platform in (None, row.platform)]
    if platform is not None and not selected:
        problem = f"{name} is no account of {platform}" if name else f"No account of {platform} is connected"
        raise click.ClickException(f"{problem}: `slipway account connect {platform}` connects one.")
    return selected


def _list_platforms(
    context: Context, platform: Platform | None, only: Sequence[AccountRow] | None
) -> list[Platform]:
    """Return the platforms to report: the requested one, those of the accounts in *only*, or all."""
    if platform is not None:
        return [platform]
    return [one for one in context.adapters if only is None or one in {row.platform for row in only}]


def _check_platform(
    context: Context, platform: Platform, accounts: Sequence[AccountRow]
) -> Iterator[dict[str, Any]]:
    from adapters.live_check import list_questions, warn

    if not accounts:
        says = f"no account is connected: `slipway account connect {platform}` connects one"
        yield _to_dict(platform, None, warn("account", says))
    for row in accounts:
        yield from (_to_dict(platform, row.username, finding) for finding in _check_account(context, row))
    connections = {row.connection for row in accounts}
    for question in list_questions(context.adapters[platform], connections):
        yield _to_dict(platform, None, question)


def _to_dict(platform: Platform, username: str | None, finding: Finding) -> dict[str, Any]:
    return {"platform": platform.value, "account": username, **asdict(finding)}


def _check_account(context: Context, row: AccountRow) -> Iterator[Finding]:
    from adapters.live_check import check_account, fail
    from pipeline.domain.account import AccountStatus
    from pipeline.store.accounts.accounts import read_account
    from pipeline.store.vault import VaultError

    try:
        with context.database.begin() as c:
            account, _, _ = read_account(c, context.vault, row.id)
    except VaultError:
        yield fail("token", "it is sealed by a key that SLIPWAY_VAULT__KEYS does not have")
        return
    if row.status is AccountStatus.RECONNECT:
        yield fail("account", "it has to be connected again: its grant was refused")
    yield from check_account(
        context.adapters[account.platform],
        context.platform_settings[account.platform],
        account,
        limit=timedelta(seconds=context.settings.publish.call),
    )
