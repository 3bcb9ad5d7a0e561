"""`slipway pause`: hold back everything, a platform, a workspace or an account, and let it go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pipeline.api.http.timestamp import written
from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, show, show_one
from pipeline.cli.runtime import house, ledger
from pipeline.failpoint import failpoint

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.store.deliveries.pauses import Scope

why_option = click.option("--why", required=True, help="For whoever asks later.")


@click.group()
def command() -> None:
    """Hold publishing back. What was armed before goes on; no post is lost, and due times stay."""


@command.command("all", epilog=EXAMPLE + "slipway pause all --why 'wrong campaign, checking'")
@why_option
@json_option
def all_(why: str, *, as_json: bool) -> None:
    """Hold everything back."""
    _pause("all", "", why, as_json=as_json)


@command.command(epilog=EXAMPLE + "slipway pause platform tiktok --why 'their API answers 500'")
@click.argument("target", metavar="PLATFORM")
@why_option
@json_option
def platform(target: str, why: str, *, as_json: bool) -> None:
    """Hold one platform back."""
    _pause("platform", target, why, as_json=as_json)


@command.command(epilog=EXAMPLE + "slipway pause workspace Acme --why 'customer asked'")
@click.argument("target", metavar="WORKSPACE")
@why_option
@json_option
def workspace(target: str, why: str, *, as_json: bool) -> None:
    """Hold one workspace back (name or id)."""
    _pause("workspace", target, why, as_json=as_json)


@command.command(epilog=EXAMPLE + "slipway pause account acme --why 'under review'")
@click.argument("target", metavar="ACCOUNT")
@why_option
@json_option
def account(target: str, why: str, *, as_json: bool) -> None:
    """Hold one account back (id or username)."""
    _pause("account", target, why, as_json=as_json)


@command.command("list", epilog=EXAMPLE + "slipway pause list --json")
@json_option
def list_(*, as_json: bool) -> None:
    """List what is paused, since when, why, and how many due deliveries that holds."""
    from pipeline.store.deliveries.pauses import list_pauses

    with ledger() as c:
        rows = [
            {
                "scope": p.scope,
                "target": p.target,
                "name": p.name,
                "since": written(p.since),
                "holds": p.holds,
                "why": p.why,
            }
            for p in list_pauses(c)
        ]
    show(rows, as_json=as_json, empty="Nothing is paused.")


@command.command(epilog="Examples:\n\n\b\n  slipway pause lift all\n  slipway pause lift platform tiktok")
@click.argument("scope", type=click.Choice(["all", "platform", "workspace", "account"]))
@click.argument("target", required=False)
@json_option
def lift(scope: Scope, target: str | None, *, as_json: bool) -> None:
    """Let it go on, at once. Other pauses that hold the same deliveries stay."""
    from pipeline.store.deliveries.pauses import lift as store_lift

    if (target is None) != (scope == "all"):
        raise click.ClickException(
            "`lift all` takes no target."
            if scope == "all"
            else f"Say which: slipway pause lift {scope} NAME."
        )
    with house() as context:
        with context.database.begin() as c:
            found = TARGETS[scope](c, target or "")
            if not store_lift(c, scope, found):
                raise click.ClickException("That is not paused: `slipway pause list` shows what is.")
        failpoint("pause.lifted")
        context.dispatcher.now()
    show_one({"scope": scope, "target": found, "paused": False}, as_json=as_json)


def _pause(scope: Scope, target: str, why: str, *, as_json: bool) -> None:
    from pipeline.store.deliveries.pauses import pause

    if not why.strip():
        raise click.ClickException("--why is empty: say why, for whoever asks later.")
    with ledger() as c:
        found = TARGETS[scope](c, target)
        pause(c, scope, found, why)
    show_one({"scope": scope, "target": found, "paused": True, "why": why}, as_json=as_json)


def _platform(_: Connection, text: str) -> str:
    from pipeline.cli.account import platform_of

    return platform_of(text).value


def _workspace(c: Connection, text: str) -> str:
    from pipeline.store.auth.workspaces import find_workspace

    return str(find_workspace(c, text).id)


def _account(c: Connection, text: str) -> str:
    from pipeline.cli.account import account_of

    return str(account_of(c, text).id)


TARGETS: dict[str, Callable[[Any, str], str]] = {
    "all": lambda _c, _text: "",
    "platform": _platform,
    "workspace": _workspace,
    "account": _account,
}
"""Scope -> how what a person typed becomes the target that is stored."""
