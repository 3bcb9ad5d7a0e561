"""`slipway doctor`: what keeps this installation from publishing, and the commands that mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, stream_rows
from pipeline.cli.runtime import report_errors

if TYPE_CHECKING:
    from pipeline.actions.diagnose import Finding

_WIDTHS = (11, 6)


@click.command(epilog=EXAMPLE + "slipway doctor --json")
@json_option
def command(*, as_json: bool) -> None:
    """Check settings, disk, API versions, engines, clocks, tables, epoch, keys, queues, hosts and grants.

    Each finding that is not `ok` has the command that removes it, or names what to change. A table that is
    locked holds a check up for 2 s. Exit 1 when one is `fail`: posts do not go out.
    """
    from config.settings import settings
    from pipeline.actions.diagnose import diagnose
    from pipeline.wiring import build_context

    results = Counter[str]()

    def iterate() -> Iterator[dict[str, Any]]:
        for finding in diagnose(context):
            results[finding.result] += 1
            yield asdict(finding) if as_json else _to_row(finding)

    with report_errors():
        context = build_context(settings(), keeps_epoch_file=False)
        try:
            stream_rows(iterate(), _WIDTHS, as_json=as_json)
        finally:
            context.database.close()
    if results["fail"]:
        raise SystemExit(1)


def _to_row(finding: Finding) -> dict[str, str]:
    """Return the columns for people: the command on a line of its own."""
    command = f"\n{'':<21}{finding.command}" if finding.command else ""
    return {"part": finding.part, "result": finding.result, "says": finding.says + command}
