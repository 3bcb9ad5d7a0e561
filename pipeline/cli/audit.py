"""`slipway audit`: who changed what. `slipway receipts`: what was published, as a hash chain to verify offline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

import click

from pipeline.cli import lazy_imports
from pipeline.cli.options import PAST, PAST_OR_NOW, Parsed, add_options, limit_option, workspace_filter
from pipeline.cli.output import Group, is_json, pick, print_fields, print_rows, require_one_format
from pipeline.cli.runtime import find_workspace_id, open_database, open_transaction, read_pages

with lazy_imports():
    from pipeline.domain import receipt
    from pipeline.imports import cells
    from pipeline.imports import export as post_export
    from pipeline.store import audit as audit_store
    from pipeline.store import receipts as receipt_store
    from pipeline.store.auth import workspaces as workspace_store


if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.store.database import Database

PAGE = 1000
"""Rows that are read and written at once."""
SHOWN = 120
"""Characters of a change in the table for people."""
_FILTERS = (
    click.option("--since", type=PAST, help="Only changes since: 2027-01-31T00:00:00Z, or 30d (ago)."),
    click.option("--until", type=PAST_OR_NOW, help="Only changes before that: a time, or 1d (ago)."),
    workspace_filter,
    click.option(
        "--actor", help="Only by this one: a login, a key (id or public id), an account of a machine."
    ),
    click.option("--subject", metavar="ID", help="Only of this post, account, key, import, …"),
)


@click.group(cls=Group)
def audit() -> None:
    """The audit: every change by a user, a key or the command line. A new post is its own record."""


filter_options = add_options(*_FILTERS)


@audit.command("list")
@filter_options
@limit_option
def list_(limit: int, **options: Any) -> None:
    """List changes, newest first. `slipway audit export` writes all of them.

    Examples:
      slipway audit list --workspace Acme --since 7d
      slipway audit list --subject 0199c0de-0000-7000-8000-000000000000 --json
    """
    with open_transaction() as c:
        found = audit_store.list_changes(c, _read_filter(c, options), limit=limit, newest_first=True)
    rows = [pick(one) if is_json() else _summarize(one) for one in found]
    print_rows(rows, empty="No changes.")
    if len(found) == limit:
        click.echo("There may be more: give another --until, --since or --limit, or export them.", err=True)


@audit.command("export")
@click.argument("file", type=click.File("wb", lazy=True, atomic=True), default="-")
@filter_options
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
def export_audit(file: BinaryIO, form: str, **options: Any) -> None:
    """Write changes to FILE (- is standard output), oldest first: JSON lines, or CSV without formulas.

    Examples:
      slipway audit export audit.ndjson --since 30d
      slipway audit export --format csv --workspace Acme --until 2027-01-01T00:00:00Z > acme.csv
    """
    require_one_format(form)
    count, write = 0, _to_lines if form == "ndjson" else _to_csv
    with open_database() as database:
        with database.begin() as c:
            chosen = _read_filter(c, options)
        if form == "csv":
            header = [*audit_store.AuditRow.__dataclass_fields__]
            file.write(post_export.UTF_8_MARK + post_export.write_rows([header]))
        read = partial(audit_store.list_changes, chosen=chosen)
        for page in read_pages(database.begin, read, PAGE, lambda row: (row.at, row.id)):
            file.write(write(page))
            count += len(page)
    file.flush()
    click.echo(f"{count} changes", err=True)


def _read_filter(c: Connection, options: dict[str, Any]) -> audit_store.AuditFilter:
    workspace = options.pop("workspace")
    return audit_store.AuditFilter(workspace=find_workspace_id(c, workspace), **options)


def _to_lines(page: Sequence[audit_store.AuditRow]) -> bytes:
    lines = (json.dumps(pick(one), default=str, ensure_ascii=False) for one in page)
    return "".join(f"{line}\n" for line in lines).encode()


def _to_csv(page: Sequence[audit_store.AuditRow]) -> bytes:
    rows = (pick(one).values() for one in page)
    return post_export.write_rows([cells.defuse(_to_cell(value)) for value in row] for row in rows)


def _to_cell(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def _summarize(one: audit_store.AuditRow) -> dict[str, Any]:
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


HEAD = Parsed("head", lambda text: receipt.Head.parse(text))  # noqa: PLW0108 - the module is lazy


@click.group(cls=Group)
def receipts() -> None:
    """Receipts of what was published and when. Each contains the hash of the one before, so changes are detected."""


@receipts.command()
@click.option("--workspace", help="Name or id; default all.")
def head(workspace: str | None) -> None:
    """Print the head (last receipt) of each workspace as NUMBER:HASH. Keep it to verify later exports against.

    Example:
      slipway receipts head --workspace Acme
    """
    with open_transaction() as c:
        found = receipt_store.list_heads(c, find_workspace_id(c, workspace))
    if is_json():
        row = "workspace id=workspace_id head issued_at"
        print_rows([pick(h, row) for h in found])
        return
    for h in found:  # no table: it would wrap the hashes, which are to be copied
        click.echo(f"{h.head}  {h.workspace}")
    if not found:
        click.echo("No receipts yet.")


@receipts.command("export")
@click.option("--workspace", required=True, help="Name or id.")
@click.option("--since", type=PAST, help="Only receipts written since: 2027-01-31T00:00:00Z, or 30d (ago).")
def export_receipts(workspace: str, since: datetime | None) -> None:
    """Write receipts to standard output, one JSON object per line, in order; the head to standard error.

    Examples:
      slipway receipts export --workspace Acme > acme.jsonl
      slipway receipts export --workspace Acme --since 30d --json > november.jsonl
    """
    with open_database() as opened:
        with opened.begin() as c:
            found = workspace_store.find_workspace(c, workspace)
            ends: list[receipt_store.WorkspaceHead] = receipt_store.list_heads(c, found.id)
            if not ends:
                raise click.ClickException(
                    f"{found.name} has no receipts yet: one is written within seconds of a publish."
                )
            last = ends[0].head
            first = receipt_store.find_first_since(c, found.id, last, since) if since else 1
        for page in _read_pages(opened, found.id, first, last.sequence):
            click.echo("\n".join(page))
    click.echo(f"{last.sequence - first + 1} receipts; head {last}", err=True)


@receipts.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--head", "kept", type=HEAD, metavar="NUMBER:HASH", help="A head you kept: FILE must contain it."
)
@click.option(
    "--after",
    type=HEAD,
    metavar="NUMBER:HASH",
    help="The head that FILE continues, if it does not begin at receipt 1.",
)
def verify(file: BinaryIO, kept: receipt.Head | None, after: receipt.Head | None) -> None:
    """Verify an exported FILE (- is standard input), without settings, database or network.

    Reports the first line that was altered, is missing, is out of order or belongs to another workspace.

    Examples:
      slipway receipts verify acme.jsonl
      slipway receipts verify acme.jsonl --head 1841:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    """
    # cut where lines are longer than any receipt: a huge line must not fill memory
    lines = iter(lambda: file.readline(receipt.MAX_LINE_BYTES + 1), b"")
    try:
        found = receipt.verify(lines, head=kept, after=after)
    except receipt.BrokenChain as broken:
        if is_json():
            print_fields(
                {"holds": False, **{name: getattr(broken, name) for name in ("line", "flaw", "why")}}
            )
        else:
            click.echo(f"Error: {broken}.", err=True)
        raise click.exceptions.Exit(1) from None
    _print_verified(found, kept, after)


def _read_pages(opened: Database, workspace: UUID, first: int, last: int) -> Iterator[list[str]]:
    """Yield pages, each read in its own transaction: a long export must not hold back vacuum."""
    for start in range(first, last + 1, PAGE):
        with opened.begin() as c:
            page = receipt_store.list_lines(c, workspace, start, min(start + PAGE - 1, last))
        yield page


def _print_verified(
    found: receipt.VerifiedChain, kept: receipt.Head | None, after: receipt.Head | None
) -> None:
    if is_json():
        facts = {
            "holds": True,
            **pick(found, "workspace first receipts"),
            "head": str(found.head),
            "compared_with": None if kept is None else str(kept),
            "after": None if after is None else str(after),
        }
        print_fields(facts)
        return
    click.echo(
        f"The chain holds: receipts {found.first} to {found.head.sequence} of workspace {found.workspace}."
    )
    click.echo(f"Head  {found.head}")
    if kept is None:
        click.echo(
            "Compare this head with one kept elsewhere (--head): a chain rebuilt from its start verifies too."
        )
    if found.first > 1 and after is None:
        click.echo(f"It begins at {found.first}: --after checks the link to the receipt before.")
