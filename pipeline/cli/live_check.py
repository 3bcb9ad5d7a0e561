"""`slipway live-check`: would a post go out? Token, scopes, quota and limits, asked for; nothing is published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.account import account_of, platform_of
from pipeline.cli.output import json_option, show
from pipeline.cli.runtime import house

if TYPE_CHECKING:
    from adapters.contract import Account, Adapter, Platform
    from pipeline.cli.live_reads import Finding
    from pipeline.context import Context
    from pipeline.store.accounts.accounts import AccountRow


@click.command("live-check", epilog=EXAMPLE + "slipway live-check tiktok --account acme")
@click.argument("platform")
@click.option("--account", help="Id or username; default every account of PLATFORM that is in use.")
@json_option
def command(platform: str, account: str | None, *, as_json: bool) -> None:
    """Ask PLATFORM, reading only, whether the next post of its accounts would go out; exit 1 when one would not."""
    kind = platform_of(platform)
    with house() as context:
        rows = [
            {"account": who.username, **asdict(finding)}
            for who in _chosen(context, kind, account)
            for finding in _findings(context, who)
        ]
    show(rows, as_json=as_json)
    if any(row["result"] == "fail" for row in rows):
        raise SystemExit(1)


def _chosen(context: Context, platform: Platform, name: str | None) -> list[AccountRow]:
    from pipeline.domain.account import AccountStatus
    from pipeline.store.accounts.accounts import list_accounts

    with context.database.begin() as c:
        if name is not None:
            found = [account_of(c, name)]
        else:
            found = [a for a in list_accounts(c) if a.status is not AccountStatus.INACTIVE]
    chosen = [a for a in found if a.platform is platform]
    if not chosen:
        whose = f"{name} is no account of {platform}" if name else f"No account of {platform} is connected"
        raise click.ClickException(f"{whose}: `slipway account connect {platform}` connects one.")
    return chosen


def _findings(context: Context, who: AccountRow) -> Iterator[Finding]:
    """Everything about one account; each check by itself, so that one refusal hides no other."""
    from pipeline.cli.live_reads import ROWS, Asked, ChecksLive, Finding, MayOnlyRead, expiry, scopes
    from pipeline.store.accounts.accounts import read_account

    with context.database.begin() as c:
        account, _, _ = read_account(c, context.vault, who.id)
    told = context.platform_settings[account.platform]
    settings = replace(told, options={**told.options, "connection": account.connection})
    client = MayOnlyRead(limit=timedelta(seconds=context.settings.publish.call))
    adapter = context.adapters[account.platform](client, settings)
    if who.status == "reconnect":
        yield Finding(
            check="account", result="fail", says="it has to be connected again: its grant was refused"
        )
    yield from expiry(account)
    row = ROWS.get((account.platform, account.connection))
    if row is None:
        yield Finding(check="account", result="fail", says=f"{account.connection!r} is no connection we know")
        return
    yield from scopes(account, row)
    if row.discovers:
        owner = _owner(adapter, account)
        yield owner
        if owner.check == "token":  # stale: the platform would answer nothing else to it
            return
    if isinstance(adapter, ChecksLive):
        yield from adapter.check_live(account)
    else:
        yield from row.check(Asked(client=client, settings=settings, account=account))


def _owner(adapter: Adapter, account: Account) -> Finding:
    """Whose token it is, by the adapter's own discovery. A stale one is not renewed here: that could rotate it."""
    from adapters.errors import AdapterError, CredentialsExpired
    from pipeline.cli.live_reads import Finding, stale

    try:
        found = adapter.discover(account.credentials)
    except CredentialsExpired as error:
        return stale(account, str(error))
    except AdapterError as error:
        return Finding(check="account", result="fail", says=str(error))
    if account.remote_id in {one.remote_id for one in found}:
        return Finding(check="account", result="ok", says="the token is this account's")
    owners = ", ".join(one.username or one.remote_id for one in found) or "nobody"
    return Finding(check="account", result="fail", says=f"the token is for {owners}, not for this account")
