"""`slipway receipts`: a hash chain that proves what was published and when; anyone can verify an export offline."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

import click

from pipeline.cli import EXAMPLE, EXAMPLES
from pipeline.cli.durations import PAST
from pipeline.cli.output import json_option, pick, print_fields, print_rows
from pipeline.cli.runtime import open_database, open_transaction

if TYPE_CHECKING:
    from pipeline.domain.receipt import BrokenChain, Head, VerifiedChain
    from pipeline.store.database import Database
    from pipeline.store.receipts.read import WorkspaceHead

PAGE = 1000
EXAMPLE_HEAD = "1841:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def read_head(text: str) -> Head:
    """Parse a head given as NUMBER:HASH. Raises BadParameter."""
    from pipeline.domain.receipt import Head, InvalidHead

    try:
        return Head.parse(text)
    except InvalidHead as error:
        raise click.BadParameter(str(error)) from None


@click.group()
def command() -> None:
    """Receipts of what was published and when. Each contains the hash of the one before, so changes are detected."""


@command.command(epilog=EXAMPLE + "slipway receipts head --workspace Acme")
@click.option("--workspace", help="Name or id; default all.")
@json_option
def head(workspace: str | None, *, as_json: bool) -> None:
    """Print the head (last receipt) of each workspace as NUMBER:HASH. Keep it to verify later exports against."""
    from pipeline.store.auth.workspaces import find_workspace
    from pipeline.store.receipts.read import list_heads

    with open_transaction() as c:
        found = list_heads(c, find_workspace(c, workspace).id if workspace else None)
    if as_json:
        print_rows([_to_row(h) for h in found], as_json=True)
        return
    for h in found:  # no table: it would wrap the hashes, which are to be copied
        click.echo(f"{h.head}  {h.workspace}")
    if not found:
        click.echo("No receipts yet.")


@command.command(
    epilog=f"{EXAMPLES}slipway receipts export --workspace Acme > acme.jsonl\n"
    "  slipway receipts export --workspace Acme --since 30d --json > november.jsonl"
)
@click.option("--workspace", required=True, help="Name or id.")
@click.option("--since", type=PAST, help="Only receipts written since: 2027-01-31T00:00:00Z, or 30d (ago).")
@json_option
def export(workspace: str, since: datetime | None, *, as_json: bool) -> None:  # noqa: ARG001  JSON lines either way
    """Write receipts to standard output, one JSON object per line, in order; the head to standard error."""
    from pipeline.store.auth.workspaces import find_workspace
    from pipeline.store.receipts.read import find_first_since, list_heads

    with open_database() as opened:
        with opened.begin() as c:
            found = find_workspace(c, workspace)
            ends: list[WorkspaceHead] = list_heads(c, found.id)
            if not ends:
                raise click.ClickException(
                    f"{found.name} has no receipts yet: one is written within seconds of a publish."
                )
            last = ends[0].head
            first = find_first_since(c, found.id, last, since) if since else 1
        for page in _read_pages(opened, found.id, first, last.sequence):
            click.echo("\n".join(page))
    click.echo(f"{last.sequence - first + 1} receipts; head {last}", err=True)


@command.command(
    epilog=f"{EXAMPLES}slipway receipts verify acme.jsonl\n"
    f"  slipway receipts verify acme.jsonl --head {EXAMPLE_HEAD}"
)
@click.argument("file", type=click.File("rb"))
@click.option(
    "--head",
    "kept",
    type=read_head,
    metavar="NUMBER:HASH",
    help="A head you kept: FILE must contain it.",
)
@click.option(
    "--after",
    type=read_head,
    metavar="NUMBER:HASH",
    help="The head that FILE continues, if it does not begin at receipt 1.",
)
@json_option
def verify(file: BinaryIO, kept: Head | None, after: Head | None, *, as_json: bool) -> None:
    """Verify an exported FILE (- is standard input), without settings, database or network.

    Reports the first line that was altered, is missing, is out of order or belongs to another workspace.
    """
    from pipeline.domain.receipt import BrokenChain
    from pipeline.domain.receipt import verify as verify_chain

    try:
        found = verify_chain(_read_lines(file), head=kept, after=after)
    except BrokenChain as broken:
        _print_broken(broken, as_json=as_json)
        raise click.exceptions.Exit(1) from None
    _print_verified(found, kept, after, as_json=as_json)


def _to_row(h: WorkspaceHead) -> dict[str, Any]:
    return {**pick(h, "workspace id=workspace_id"), "head": str(h.head), **pick(h, "issued_at")}


def _read_pages(opened: Database, workspace: UUID, first: int, last: int) -> Iterator[list[str]]:
    """Yield pages, each read in its own transaction: a long export must not hold back vacuum."""
    from pipeline.store.receipts.read import list_lines

    for start in range(first, last + 1, PAGE):
        with opened.begin() as c:
            page = list_lines(c, workspace, start, min(start + PAGE - 1, last))
        yield page


def _read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines, cut where they are longer than any receipt: a huge line must not fill memory."""
    from pipeline.domain.receipt import MAX_LINE_BYTES

    return iter(lambda: file.readline(MAX_LINE_BYTES + 1), b"")


def _print_broken(broken: BrokenChain, *, as_json: bool) -> None:
    if as_json:
        print_fields(
            {"holds": False, "line": broken.line, "flaw": broken.flaw, "why": broken.why}, as_json=True
        )
    else:
        click.echo(f"Error: {broken}.", err=True)


def _print_verified(found: VerifiedChain, kept: Head | None, after: Head | None, *, as_json: bool) -> None:
    if as_json:
        facts = {
            "holds": True,
            **pick(found, "workspace first receipts"),
            "head": str(found.head),
            "compared_with": None if kept is None else str(kept),
            "after": None if after is None else str(after),
        }
        print_fields(facts, as_json=True)
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
