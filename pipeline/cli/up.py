"""`slipway up`: the whole stack on this machine, in the foreground."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipeline.embedded.summary import Summary


@click.command(epilog="Example:\n\n  SLIPWAY_API__PORT=9000 slipway up")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one line of JSON.")
def command(*, as_json: bool) -> None:
    """Start engines, API, workers, Flower and sandbox in this folder's .slipway, and stop them on Ctrl-C."""
    from pipeline.embedded.data_folder import FolderError, locked
    from pipeline.embedded.supervisor import run

    def tell(found: Summary) -> None:
        from pipeline.embedded.summary import text

        click.echo(json.dumps(dataclasses.asdict(found)) if as_json else text(found))
        sys.stdout.flush()

    folder = Path(os.environ.get("SLIPWAY_FOLDER", ".slipway"))
    try:
        with locked(folder):
            status = run(folder, say, tell)
    except FolderError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(status)


def say(name: str, sentence: str) -> None:
    """One line on the terminal, under the name of the part it is about; standard output stays free for the summary."""
    click.echo(f"{name:<19}| {sentence}", err=True)
