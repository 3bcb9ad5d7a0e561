"""`slipway attention`: everything that needs an operator, with the command that deals with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, pick, stream_rows
from pipeline.cli.runtime import open_transaction

if TYPE_CHECKING:
    from pipeline.actions.attention import AttentionItem

_WIDTHS = (14, 44, 6, 24)


@click.command(epilog=EXAMPLE + "slipway attention --json")
@json_option
def command(*, as_json: bool) -> None:
    """List everything that needs an operator: how much of it, since when, and the command that deals with it."""
    from datetime import timedelta

    from config.settings import settings
    from pipeline.actions.attention import read_attention

    with open_transaction(warn=False) as c:  # a restore is in the list
        rows = map(_to_row, read_attention(c, timedelta(seconds=settings().worker.silent)))
        shown = rows if as_json else map(_shorten, rows)
        stream_rows(shown, _WIDTHS, as_json=as_json, empty="Nothing needs an operator.")


def _to_row(item: AttentionItem) -> dict[str, Any]:
    matter = item.matter
    return {
        "kind": matter.kind.value,
        **pick(matter, "platform state reason error_class code count count_capped=is_capped oldest"),
        "command": item.command,
    }


def _shorten(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns for people: what it is in one, and a + behind a count that has more."""
    parts = [row[name] for name in ("platform", "state", "reason", "error_class", "code")]
    if row["kind"] == "unread":
        from pipeline.store.health import CHECK_SECONDS

        parts.append(f"took longer than {CHECK_SECONDS:.0f} s")
    return {
        "kind": row["kind"],
        "what": " ".join(str(part) for part in parts if part),
        "count": f"{row['count']}{'+' if row['count_capped'] else ''}",
        "oldest": row["oldest"],
        "command": row["command"],
    }
