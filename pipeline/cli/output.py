"""How commands print: a table for people, JSON for programs, one option for both."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def show(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str = "Nothing.") -> None:
    """Rows of equal keys: as a JSON array, or as columns under their names."""
    if as_json:
        click.echo(json.dumps(list(rows), default=str, indent=2, ensure_ascii=False))
    elif not rows:
        click.echo(empty)
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in rows[0]:
            table.add_column(
                name, overflow="fold", no_wrap=name in ("id", "delivery", "account", "post", "workspace")
            )
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        # a pipe has no edge: ids and URLs stay whole for whoever reads them
        Console(width=None if sys.stdout.isatty() else 1000).print(table)


def show_one(value: Mapping[str, Any], *, as_json: bool) -> None:
    """One thing: as a JSON object, or a line for each of its facts."""
    if as_json:
        click.echo(json.dumps(value, default=str, indent=2, ensure_ascii=False))
    else:
        width = max(map(len, value), default=0)
        for name, fact in value.items():
            click.echo(f"{name:<{width}}  {fact}")
