"""How commands print: a table for people, JSON for programs, and the option that chooses."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from inspect import cleandoc
from itertools import zip_longest
from textwrap import indent
from typing import Any
from uuid import UUID

import click

from pipeline.api.http.timestamp import format_timestamp
from pipeline.cli import lazy_imports

with lazy_imports():
    from pipeline.domain import restore

_JSON = f"{__name__}.json"
UNBROKEN = ("id", "delivery", "account", "post", "workspace")
"""Columns that are never wrapped: their values are copied into other commands."""


class Command(click.Command):
    """A command whose last option is --json. Examples at the end of its docstring are shown below its options."""

    def __init__(
        self, *arguments: Any, epilog: str = "", json_help: str = "Print JSON.", **more: Any
    ) -> None:
        more["help"], _, examples = cleandoc(more.get("help") or "").partition("\n\nExample")
        if examples:
            head, _, lines = examples.partition(":\n")
            epilog += f"{epilog and chr(10) * 2}Example{head}:\n\n\b\n{lines}"
        more["epilog"] = epilog
        super().__init__(*arguments, **more)
        option = click.Option(["--json"], is_flag=True, expose_value=False, callback=_keep, help=json_help)
        self.params.append(option)


class Group(click.Group):
    """A group of commands with --json."""

    command_class = Command


def _keep(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[_JSON] = value


def is_json() -> bool:
    """Return True if the command that runs was given --json."""
    return bool(click.get_current_context().meta.get(_JSON))


def pick(fact: Any, names: str = "") -> dict[str, Any]:
    """Return fields to print: names separated by blanks, ``NAME=FIELD`` for a field that is shown by another name.

    Without names, all fields of a dataclass.
    """
    pairs = [name.partition("=") for name in names.split() or [field.name for field in fields(fact)]]
    found = {name: getattr(fact, field or name) for name, _, field in pairs}
    return {name: format_timestamp(v) if isinstance(v, datetime) else v for name, v in found.items()}


def print_rows(rows: Sequence[Mapping[str, Any]], empty: str = "Nothing.") -> None:
    """Print rows with equal keys: a JSON array, or a table with the keys as its heads; ``empty`` instead of no rows."""
    if is_json():
        click.echo(json.dumps(list(rows), default=str, indent=2, ensure_ascii=False))
    elif not rows:
        click.echo(empty)
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in rows[0]:
            table.add_column(name, overflow="fold", no_wrap=name in UNBROKEN)
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        # A pipe has no width: ids and URLs stay whole for the program that reads them.
        Console(width=None if sys.stdout.isatty() else 1000, markup=False, emoji=False).print(table)


def stream_rows(rows: Iterable[Mapping[str, Any]], widths: Sequence[int], empty: str = "Nothing.") -> None:
    """Print each row as it comes, as `print_rows` would; *widths*: of all columns but the last."""
    n = 0
    for n, row in enumerate(rows, 1):
        if is_json():
            text = indent(json.dumps(row, default=str, indent=2, ensure_ascii=False), "  ")
            click.echo(f"{'[' if n == 1 else ','}\n{text}", nl=False)
            continue
        for cells in (row, row.values()) if n == 1 else (row.values(),):
            padded = zip_longest(("" if cell is None else str(cell) for cell in cells), widths, fillvalue=0)
            click.echo("  ".join(f"{cell:<{width}}" for cell, width in padded).rstrip())
    if is_json():
        click.echo("\n]" if n else "[]")
    elif not n:
        click.echo(empty)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print one thing: a JSON object, or a line for each field."""
    if is_json():
        click.echo(json.dumps(fields, default=str, indent=2, ensure_ascii=False))
    else:
        width = max(map(len, fields), default=0)
        for name, value in fields.items():
            click.echo(f"{name:<{width}}  {value}")


def list_candidates(error: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    """Return the candidates of a stored error, as the API shows them."""
    found: Sequence[Mapping[str, Any]] = (error or {}).get("candidates", ())
    return found


def print_present(facts: Mapping[str, Any]) -> None:
    """Print one thing as `print_fields` does; lines for people leave out what is None or empty."""
    print_fields(facts if is_json() else {n: v for n, v in facts.items() if v not in (None, "", [])})


def answer(facts: Mapping[str, Any], sentence: str) -> None:
    """Print one thing: a JSON object, or a sentence."""
    if is_json():
        print_fields(facts)
    else:
        click.echo(sentence)


def print_tables(tables: Mapping[str, Sequence[Mapping[str, Any]]], without: Collection[str]) -> None:
    """Print a table below each name, *without* columns for programs, so that it fits a terminal."""
    for name, rows in tables.items():
        click.echo(f"\n{name.capitalize()}")
        print_rows([{n: v for n, v in row.items() if n not in without} for row in rows], empty="None yet.")


def print_outcome(
    done: str, ids: Sequence[UUID], left: Mapping[UUID, str], left_as: str, *, key: str
) -> None:
    """Print what an action has *done* to *ids*, and why it left others as they are. *key*: of those in JSON."""
    reasons = {str(one): why for one, why in left.items()}
    if is_json():
        print_fields({done: [str(one) for one in ids], key: reasons})
        return
    click.echo(f"{len(ids)} {done}, {len(reasons)} {left_as}.")
    for one, why in reasons.items():
        click.echo(f"  {one}  {why}")


def require_one_format(form: str) -> None:
    """Raise UsageError where --json is given with another --format than ndjson."""
    if is_json() and form != "ndjson":
        raise click.UsageError(f"--json and --format {form} exclude each other: give one of them.")


def print_page(
    rows: Sequence[Mapping[str, Any]], limit: int, *, empty: str, key: str = "id", columns: Sequence[str] = ()
) -> None:
    """Print a page, for people only *columns* of it; if there may be more, say how to get the next one."""
    is_cut = columns and not is_json()
    print_rows([{name: row[name] for name in columns} for row in rows] if is_cut else rows, empty=empty)
    if len(rows) == limit:
        click.echo(f"There may be more: repeat with --after {rows[-1][key]}", err=True)


def print_candidates(errors: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Print a table of the likely candidates of these errors, by delivery, and how many others there are."""
    split = {delivery: restore.split_candidates(error) for delivery, error in errors.items()}
    rows = [_candidate_to_row(delivery, one) for delivery, (likely, _) in split.items() for one in likely]
    if rows:
        click.echo("\nLive posts that could be it")
        print_rows(rows)
    for delivery, (_, unlikely) in split.items():
        if unlikely:
            click.echo(
                f"\n{delivery}: {len(unlikely)} more live posts of the account differ from it; --json lists them."
            )


def _candidate_to_row(delivery: str, one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "delivery": delivery,
        "url": one["url"] or f"(no link; id {one['remote_id']})",
        "created_at": one["created_at"],
        "compared": restore.describe_candidate(one),
    }
