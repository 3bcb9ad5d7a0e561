"""`slipway broker`: the doorbell, which may forget everything without a post being lost."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, show_one
from pipeline.cli.runtime import house

if TYPE_CHECKING:
    from pipeline.maintenance.rebuild_broker import Dispatched


@click.group()
def command() -> None:
    """The broker holds no facts: everything in it can be rung again out of the ledger."""


@command.command(epilog=EXAMPLE + "slipway broker rebuild --per-second 500")
@click.option("--per-second", type=click.FloatRange(1, 100_000), default=1000, show_default=True)
@json_option
def rebuild(per_second: float, *, as_json: bool) -> None:
    """Ring again for everything that waits. Safe at any time, and twice; seldom needed, for upkeep does it too."""
    from pipeline.maintenance.rebuild_broker import BrokerAway, rebuild_broker

    def told(rung: Dispatched) -> None:
        click.echo(f"\r{rung.deliveries} deliveries, {rung.looks} looks", nl=False, err=True)

    with house() as context:
        try:
            rung = rebuild_broker(context, per_second=per_second, told=(lambda _: None) if as_json else told)
        except BrokerAway as error:
            raise click.ClickException(str(error)) from None
    if not as_json:
        click.echo(err=True)
    show_one(asdict(rung), as_json=as_json)
