"""`slipway up`: the whole stack on this machine, in the foreground."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli import EXAMPLE

if TYPE_CHECKING:
    from pipeline.embedded.summary import Summary


@click.command(epilog=EXAMPLE + "SLIPWAY_API__PORT=9000 slipway up")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one line of JSON.")
def command(*, as_json: bool) -> None:
    """Run PostgreSQL, Valkey, API, workers, beat, Flower and sandbox on this folder's .slipway until Ctrl-C."""
    from pipeline.embedded.data_folder import FolderError, hold_lock
    from pipeline.embedded.supervisor import run

    def print_summary(found: Summary) -> None:
        from pipeline.embedded.summary import format_summary

        click.echo(json.dumps(dataclasses.asdict(found)) if as_json else format_summary(found))
        sys.stdout.flush()

    folder = Path(os.environ.get("SLIPWAY_FOLDER") or ".slipway")
    try:
        with hold_lock(folder):
            status = run(folder, print_line, print_summary)
    except FolderError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(status)


def print_line(name: str, sentence: str) -> None:
    """Print one line to standard error, after the name of its service; standard output has the summary only."""
    click.echo(f"{name:<19}| {sentence}", err=True)
