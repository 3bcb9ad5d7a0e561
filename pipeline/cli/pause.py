"""`slipway pause`: pause publishing for everything, a platform, a workspace or an account, and lift pauses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pipeline.api.http.timestamp import format_timestamp
from pipeline.cli import EXAMPLE, EXAMPLES
from pipeline.cli.output import json_option, pick, print_fields, print_rows
from pipeline.cli.runtime import open_context, open_transaction
from pipeline.domain.hold import BREAKER, SCOPES

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.domain.hold import LiftedScope, Scope

why_option = click.option("--why", required=True, help="The reason, shown in `slipway pause list`.")


@click.group()
def command() -> None:
    """Pause publishing. Deliveries already armed are completed; no post is lost, and due times stay."""


@command.command(
    epilog=f"{EXAMPLES}slipway pause add all --why 'wrong campaign, checking'\n"
    "  slipway pause add platform tiktok --why 'their API answers 500'\n"
    "  slipway pause add account acme --why 'under review'"
)
@click.argument("scope", type=click.Choice(SCOPES))
@click.argument("target", required=False)
@why_option
@json_option
def add(scope: Scope, target: str | None, why: str, *, as_json: bool) -> None:
    """Pause everything, a platform, a workspace (name or id) or an account (id or username)."""
    _require_target("add", scope, target)
    _pause(scope, target or "", why, as_json=as_json)


@command.command("list", epilog=EXAMPLE + "slipway pause list --json")
@json_option
def list_(*, as_json: bool) -> None:
    """List pauses and open circuit breakers: scope, since when, who, why, and how many deliveries each holds."""
    from pipeline.store.deliveries.pauses import list_pauses
    from pipeline.store.deliveries.platform_health import list_open_breakers

    with open_transaction() as c:
        rows = [pick(p, "scope target name since holds who why") for p in list_pauses(c)] + [
            {
                "scope": BREAKER,
                **pick(b, "target=platform name=platform since=opened_at holds"),
                "who": "system",
                "why": f"{b.why}; the next probe is at {format_timestamp(b.probe_at)}",
            }
            for b in list_open_breakers(c)
        ]
    print_rows(rows, as_json=as_json, empty="Nothing is paused.")


@command.command(
    epilog=EXAMPLES + "slipway pause lift all\n  slipway pause lift platform tiktok\n"
    "  slipway pause lift breaker tiktok"
)
@click.argument("scope", type=click.Choice([*SCOPES, BREAKER]))
@click.argument("target", required=False)
@json_option
def lift(scope: LiftedScope, target: str | None, *, as_json: bool) -> None:
    """Lift a pause or close a circuit breaker, at once. Others that hold the same deliveries stay.

    A breaker opens again if the platform's calls go on failing.
    """
    from pipeline.actions.pauses import lift_and_release
    from pipeline.cli.actor import find_actor

    _require_target("lift", scope, target)
    with open_context() as context:
        with context.database.begin() as c:
            found = TARGETS[scope](c, target or "")
        if not lift_and_release(context, find_actor(), scope, found):
            raise click.ClickException("That is not paused: `slipway pause list` shows what is.")
    print_fields({"scope": scope, "target": found, "paused": False}, as_json=as_json)


def _require_target(verb: str, scope: str, target: str | None) -> None:
    if (target is None) != (scope == "all"):
        raise click.ClickException(
            f"`{verb} all` takes no target."
            if scope == "all"
            else f"Give the target: slipway pause {verb} {scope} NAME."
        )


def _pause(scope: Scope, target: str, why: str, *, as_json: bool) -> None:
    from pipeline.actions.pauses import pause
    from pipeline.cli.actor import find_actor

    if not why.strip():
        raise click.ClickException("--why is empty: give the reason.")
    with open_transaction() as c:
        found = TARGETS[scope](c, target)
        pause(c, find_actor(), scope, found, why)
    print_fields({"scope": scope, "target": found, "paused": True, "why": why}, as_json=as_json)


def _resolve_platform(_: Connection, text: str) -> str:
    from pipeline.cli.account import parse_platform

    return parse_platform(text).value


def _resolve_workspace(c: Connection, text: str) -> str:
    from pipeline.store.auth.workspaces import find_workspace

    return str(find_workspace(c, text).id)


def _resolve_account(c: Connection, text: str) -> str:
    from pipeline.cli.account import require_account

    return str(require_account(c, text).id)


TARGETS: dict[str, Callable[[Any, str], str]] = {
    "all": lambda _c, _text: "",
    "platform": _resolve_platform,
    "workspace": _resolve_workspace,
    "account": _resolve_account,
    BREAKER: _resolve_platform,
}
"""Scope -> the function that resolves the command's argument to the stored target."""
