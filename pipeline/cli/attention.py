"""`slipway attention`: everything that needs a person, with the command that deals with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from pipeline.api.http.timestamp import format_timestamp
from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, print_rows
from pipeline.cli.runtime import open_transaction


@click.command(epilog=EXAMPLE + "slipway attention --json")
@json_option
def command(*, as_json: bool) -> None:
    """List everything that needs a person: how much of it, since when, and the command that deals with it."""
    from datetime import timedelta

    from config.settings import settings
    from pipeline.actions.attention import list_attention

    with open_transaction() as c:
        found = list_attention(c, timedelta(seconds=settings().worker.silent))
    rows = [
        {
            "kind": item.matter.kind.value,
            "platform": item.matter.platform,
            "state": item.matter.state,
            "reason": item.matter.reason,
            "error_class": item.matter.error_class,
            "code": item.matter.code,
            "count": item.matter.count,
            "count_capped": item.matter.is_capped,
            "oldest": format_timestamp(item.matter.oldest),
            "command": item.command,
        }
        for item in found
    ]
    print_rows(rows if as_json else [*map(_shorten, rows)], as_json=as_json, empty="Nothing needs a person.")


def _shorten(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns for people: what it is in one, and a + behind a count that has more."""
    parts = (row[name] for name in ("platform", "state", "reason", "error_class", "code"))
    return {
        "kind": row["kind"],
        "what": " ".join(str(part) for part in parts if part),
        "count": f"{row['count']}{'+' if row['count_capped'] else ''}",
        "oldest": row["oldest"],
        "command": row["command"],
    }
