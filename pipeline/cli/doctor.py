"""`slipway doctor`: what keeps this installation from publishing, and the commands that mend it."""

from __future__ import annotations

from dataclasses import asdict

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, print_rows
from pipeline.cli.runtime import report_errors


@click.command(epilog=EXAMPLE + "slipway doctor --json")
@json_option
def command(*, as_json: bool) -> None:
    """Check settings, disk, API versions, engines, clocks, tables, epoch, keys, queues and grants.

    Each finding that is not `ok` has the command to type. Exit 1 when one is `fail`: posts do not go out.
    """
    from config.settings import settings
    from pipeline.actions.diagnose import diagnose
    from pipeline.wiring import build_context

    with report_errors():
        context = build_context(settings(), keeps_epoch_file=False)
        try:
            found = list(diagnose(context))
        finally:
            context.database.close()
    print_rows([asdict(finding) for finding in found], as_json=as_json)
    if any(finding.result == "fail" for finding in found):
        raise SystemExit(1)
