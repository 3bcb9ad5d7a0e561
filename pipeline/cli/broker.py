"""`slipway broker`: messages of the broker, which can all be dispatched again from the database."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, print_fields
from pipeline.cli.runtime import open_context

if TYPE_CHECKING:
    from pipeline.maintenance.rebuild_broker import Dispatched


@click.group()
def command() -> None:
    """Messages of the broker. It holds no facts: all can be dispatched again from the database."""


@command.command(epilog=EXAMPLE + "slipway broker rebuild --per-second 500")
@click.option(
    "--per-second",
    type=click.FloatRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Messages sent per second.",
)
@json_option
def rebuild(per_second: float, *, as_json: bool) -> None:
    """Dispatch a message for everything that waits. Safe at any time; seldom needed, as maintenance does it too."""
    from pipeline.maintenance.rebuild_broker import BrokerUnreachable, rebuild_broker

    def print_progress(dispatched: Dispatched) -> None:
        if not as_json:
            click.echo(f"\r{dispatched.deliveries} deliveries, {dispatched.looks} looks", nl=False, err=True)

    with open_context() as context:
        try:
            dispatched = rebuild_broker(context, per_second=per_second, on_progress=print_progress)
        except BrokerUnreachable as error:
            raise click.ClickException(str(error)) from None
    if not as_json:
        click.echo(err=True)
    print_fields(asdict(dispatched), as_json=as_json)
