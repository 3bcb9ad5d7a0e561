"""`slipway post export`: posts as a file that an import takes, page by page to standard output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import EXAMPLES
from pipeline.cli.listing import read_filter, read_options
from pipeline.cli.output import json_option
from pipeline.cli.runtime import open_database

if TYPE_CHECKING:
    from pipeline.store.database import Database
    from pipeline.store.deliveries.listing import ListFilter
    from pipeline.store.posts.views import PostView


@click.command(
    epilog=f"{EXAMPLES}slipway post export --workspace Acme --format csv > posts.csv\n"
    "  slipway post export --workspace Acme --status scheduled --due now..30d > month.ndjson"
)
@read_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "csv"]),
    default="ndjson",
    show_default=True,
    help="NDJSON has the body of a POST /posts on each line, CSV the columns of an import.",
)
@json_option
def export(form: str, *, as_json: bool, **options: Any) -> None:
    """Write the posts of a workspace that have a delivery as the options say, newest first, as an import takes them.

    Each has its post_id, by which an import recognises it: exported and imported again, it is a duplicate.
    """
    from pipeline.api.posts.schema import PostBody
    from pipeline.imports.columns import build_columns
    from pipeline.imports.export import ExportFormat, ExportWriter
    from pipeline.store.accounts.accounts import find_accounts

    if as_json and form != "ndjson":
        raise click.UsageError(f"--json and --format {form} exclude each other: give one of them.")
    if not options["workspace"]:
        raise click.UsageError("--workspace is missing: a file of posts is of one workspace.")
    count, output = 0, click.open_file("-", "wb")
    with open_database() as database:
        with database.begin() as c:
            chosen = read_filter(c, options)
            accounts = find_accounts(c, chosen.workspace) if chosen.workspace else []
        writer = ExportWriter(ExportFormat(form), build_columns(PostBody), accounts)
        output.write(writer.begin())
        for page in _read_pages(database, chosen):
            output.write(writer.write(page))
            count += len(page)
    output.flush()
    click.echo(f"{count} posts", err=True)


def _read_pages(database: Database, chosen: ListFilter) -> Iterator[Sequence[PostView]]:
    from pipeline.imports.export import PAGE
    from pipeline.store.deliveries.listing import list_posts

    after, page = None, list[Any]()
    while after is None or len(page) == PAGE:
        with database.begin() as c:  # a transaction a page: a slow reader holds none open
            page = list_posts(c, chosen, limit=PAGE, after=after)
        if not page:
            return
        yield page
        after = page[-1].id
