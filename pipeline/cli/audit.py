"""`slipway audit`: who changed what, from where, before and after."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from pipeline.cli import EXAMPLES
from pipeline.cli.durations import PAST, PAST_OR_NOW
from pipeline.cli.output import json_option, pick, print_rows
from pipeline.cli.runtime import open_database, open_transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.store.audit import AuditFilter, AuditRow
    from pipeline.store.database import Database

PAGE = 1000
"""Rows that are read and written at once."""
SHOWN = 120
"""Characters of a change in the table for people."""
_FILTERS = (
    click.option("--since", type=PAST, help="Only changes since: 2027-01-31T00:00:00Z, or 30d (ago)."),
    click.option("--until", type=PAST_OR_NOW, help="Only changes before that: a time, or 1d (ago)."),
    click.option("--workspace", help="Only of this workspace (name or id)."),
    click.option(
        "--actor", help="Only by this one: a login, a key (id or public id), an account of a machine."
    ),
    click.option("--subject", metavar="ID", help="Only of this post, account, key, import, …"),
)


@click.group()
def command() -> None:
    """The audit: every change by a user, a key or the command line. A new post is its own record."""


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose changes."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@command.command(
    "list",
    epilog=f"{EXAMPLES}slipway audit list --workspace Acme --since 7d\n"
    "  slipway audit list --subject 0199c0de-0000-7000-8000-000000000000 --json",
)
@filter_options
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def list_(limit: int, *, as_json: bool, **options: Any) -> None:
    """List changes, newest first. `slipway audit export` writes all of them."""
    from pipeline.store.audit import list_changes

    with open_transaction() as c:
        found = list_changes(c, _read_filter(c, options), limit=limit, newest_first=True)
    rows = [pick(one) if as_json else _summarize(one) for one in found]
    print_rows(rows, as_json=as_json, empty="No changes.")
    if len(found) == limit:
        click.echo("There may be more: give another --until, --since or --limit, or export them.", err=True)


@command.command(
    epilog=f"{EXAMPLES}slipway audit export audit.ndjson --since 30d\n"
    "  slipway audit export --format csv --workspace Acme --until 2027-01-01T00:00:00Z > acme.csv"
)
@click.argument("file", type=click.File("wb", lazy=True, atomic=True), default="-")
@filter_options
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
@json_option
def export(file: BinaryIO, form: str, *, as_json: bool, **options: Any) -> None:
    """Write changes to FILE (- is standard output), oldest first: JSON lines, or CSV without formulas."""
    if as_json and form != "ndjson":
        raise click.UsageError(f"--json and --format {form} exclude each other: give one of them.")
    count, write = 0, _to_lines if form == "ndjson" else _to_csv
    with open_database() as database:
        with database.begin() as c:
            chosen = _read_filter(c, options)
        file.write(b"" if form == "ndjson" else b"\xef\xbb\xbf" + _write_cells([_list_columns()]))
        for page in _read_pages(database, chosen):
            file.write(write(page))
            count += len(page)
    file.flush()
    click.echo(f"{count} changes", err=True)


def _read_filter(c: Connection, options: dict[str, Any]) -> AuditFilter:
    from pipeline.store.audit import AuditFilter
    from pipeline.store.auth.workspaces import find_workspace

    workspace = options.pop("workspace")
    return AuditFilter(workspace=find_workspace(c, workspace).id if workspace else None, **options)


def _read_pages(database: Database, chosen: AuditFilter) -> Iterator[Sequence[AuditRow]]:
    """Yield pages, each read in its own transaction: a long export must not hold back vacuum."""
    from pipeline.store.audit import list_changes

    after, page = None, list[Any]()
    while after is None or len(page) == PAGE:
        with database.begin() as c:
            page = list_changes(c, chosen, limit=PAGE, after=after)
        if not page:
            return
        yield page
        after = (page[-1].at, page[-1].id)


def _list_columns() -> list[str]:
    from pipeline.store.audit import AuditRow

    return [*AuditRow.__dataclass_fields__]


def _to_lines(page: Sequence[AuditRow]) -> bytes:
    lines = (json.dumps(pick(one), default=str, ensure_ascii=False) for one in page)
    return "".join(f"{line}\n" for line in lines).encode()


def _to_csv(page: Sequence[AuditRow]) -> bytes:
    from pipeline.imports.cells import defuse

    return _write_cells([[defuse(_to_cell(value)) for value in pick(one).values()] for one in page])


def _to_cell(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def _write_cells(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _summarize(one: AuditRow) -> dict[str, Any]:
    """Return a row for people. What customers wrote is shown as JSON, which has no control characters."""
    names = dict.fromkeys([*one.before, *one.after])
    change = "; ".join(f"{name}: {_show(one.before, name)} → {_show(one.after, name)}" for name in names)
    return {
        **pick(one, "at who=actor_name from=address"),
        "did": f"{one.verb} {one.kind}",
        "subject": one.subject,
        "change": change if len(change) <= SHOWN else f"{change[:SHOWN]}…",
    }


def _show(side: Any, name: str) -> str:
    return json.dumps(side[name], ensure_ascii=False) if name in side else "-"
