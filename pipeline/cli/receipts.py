"""`slipway receipts`: proof of what was published and when, chained by hash; checked without us."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

import click

from pipeline.api.http.timestamp import written
from pipeline.cli import EXAMPLE
from pipeline.cli.durations import PAST
from pipeline.cli.output import json_option, show, show_one
from pipeline.cli.runtime import database, ledger

if TYPE_CHECKING:
    from pipeline.domain.receipt import Head
    from pipeline.domain.receipt_chain import Broken, Verified
    from pipeline.store.database import Database
    from pipeline.store.receipts.read import WorkspaceHead

PAGE = 1000
EXAMPLE_HEAD = "1841:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def read_head(text: str) -> Head:
    """A head as it is typed. Raises BadParameter."""
    from pipeline.domain.receipt import Head, NoHead

    try:
        return Head.read(text)
    except NoHead as error:
        raise click.BadParameter(str(error)) from None


@click.group()
def command() -> None:
    """Receipts: what was published and when, each tied to the one before it, so that nothing is altered unseen."""


@command.command(epilog=EXAMPLE + "slipway receipts head --workspace Acme")
@click.option("--workspace", help="Name or id; default all.")
@json_option
def head(workspace: str | None, *, as_json: bool) -> None:
    """Print the last receipt of each workspace as NUMBER:HASH. Keep it, or publish it: a later export must agree."""
    from pipeline.store.auth.workspaces import find_workspace
    from pipeline.store.receipts.read import heads

    with ledger() as c:
        found = heads(c, find_workspace(c, workspace).id if workspace else None)
    if as_json:
        show([_row(h) for h in found], as_json=True)
        return
    for h in found:  # no table: it would fold what is to be copied
        click.echo(f"{h.head}  {h.workspace}")
    if not found:
        click.echo("No receipts yet.")


@command.command(
    epilog="Examples:\n\n\b\n  slipway receipts export --workspace Acme > acme.jsonl\n"
    "  slipway receipts export --workspace Acme --since 30d --json > november.jsonl"
)
@click.option("--workspace", required=True, help="Name or id.")
@click.option("--since", type=PAST, help="Only those written since then: 2027-01-31T00:00:00Z, or 30d ago.")
@json_option
def export(workspace: str, since: datetime | None, *, as_json: bool) -> None:  # noqa: ARG001  JSON lines either way
    """Write receipts to standard output, one JSON object a line, in their order; their head to standard error."""
    from pipeline.store.auth.workspaces import find_workspace
    from pipeline.store.receipts.read import first_since, heads

    with database() as opened:
        with opened.begin() as c:
            found = find_workspace(c, workspace)
            ends: list[WorkspaceHead] = heads(c, found.id)
            if not ends:
                raise click.ClickException(
                    f"{found.name} has no receipts yet: they follow a delivery within seconds."
                )
            last = ends[0].head
            first = first_since(c, found.id, last, since) if since else 1
        for page in _pages(opened, found.id, first, last.sequence):
            click.echo("\n".join(page))
    click.echo(f"{last.sequence - first + 1} receipts; head {last}", err=True)


@command.command(
    epilog=f"Examples:\n\n\b\n  slipway receipts verify acme.jsonl\n"
    f"  slipway receipts verify acme.jsonl --head {EXAMPLE_HEAD}"
)
@click.argument("file", type=click.File("rb"))
@click.option(
    "--head",
    "kept",
    type=read_head,
    metavar="NUMBER:HASH",
    help="A head you kept: FILE must reach it and agree.",
)
@click.option(
    "--after",
    type=read_head,
    metavar="NUMBER:HASH",
    help="The head FILE goes on from, if it does not begin at 1.",
)
@json_option
def verify(file: BinaryIO, kept: Head | None, after: Head | None, *, as_json: bool) -> None:
    """Check an export (- is standard input) by itself: no settings, no database, no network.

    Names the first line that was altered, is missing, stands in another place or belongs to another workspace.
    """
    from pipeline.domain.receipt_chain import Broken
    from pipeline.domain.receipt_chain import verify as follow

    try:
        found = follow(_read(file), head=kept, after=after)
    except Broken as broken:
        _say_broken(broken, as_json=as_json)
        raise click.exceptions.Exit(1) from None
    _say_verified(found, kept, after, as_json=as_json)


def _row(h: WorkspaceHead) -> dict[str, Any]:
    return {
        "workspace": h.workspace,
        "id": h.workspace_id,
        "head": str(h.head),
        "issued_at": written(h.issued_at),
    }


def _pages(opened: Database, workspace: UUID, first: int, last: int) -> Iterator[list[str]]:
    """Each in a transaction of its own: an export of hours holds nothing back."""
    from pipeline.store.receipts.read import lines

    for start in range(first, last + 1, PAGE):
        with opened.begin() as c:
            page = lines(c, workspace, start, min(start + PAGE - 1, last))
        yield page


def _read(file: BinaryIO) -> Iterator[bytes]:
    """Lines, of which none is ever read to its end when it is longer than any receipt."""
    from pipeline.domain.receipt import LONGEST

    return iter(lambda: file.readline(LONGEST + 1), b"")


def _say_broken(broken: Broken, *, as_json: bool) -> None:
    if as_json:
        show_one({"holds": False, "line": broken.line, "flaw": broken.flaw, "why": broken.why}, as_json=True)
    else:
        click.echo(f"Error: {broken}.", err=True)


def _say_verified(found: Verified, kept: Head | None, after: Head | None, *, as_json: bool) -> None:
    if as_json:
        facts = {
            "holds": True,
            "workspace": found.workspace,
            "first": found.first,
            "receipts": found.receipts,
            "head": str(found.head),
            "compared_with": None if kept is None else str(kept),
            "after": None if after is None else str(after),
        }
        show_one(facts, as_json=True)
        return
    click.echo(
        f"The chain holds: receipts {found.first} to {found.head.sequence} of workspace {found.workspace}."
    )
    click.echo(f"Head  {found.head}")
    if kept is None:
        click.echo(
            "Compare this head with one kept elsewhere (--head): a file made anew from its start holds too."
        )
    if found.first > 1 and after is None:
        click.echo(f"It begins at {found.first}: --after ties it to what came before.")
