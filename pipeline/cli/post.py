"""`slipway post`: posts of a workspace, with the statuses of the API and the ids of their deliveries.

`slipway post export`: posts as a file that an import takes, page by page to standard output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from pipeline.api.http.timestamp import format_timestamp
from pipeline.cli import EXAMPLE, EXAMPLES
from pipeline.cli.listing import list_options, print_page, read_filter, read_options, read_page
from pipeline.cli.output import json_option, pick, print_fields
from pipeline.cli.post_changes import cancel, create, delete, edit, retry, validate
from pipeline.cli.runtime import open_database, open_transaction, parse_id

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.store.database import Database
    from pipeline.store.deliveries.listing import ListFilter
    from pipeline.store.posts.views import DeliveryView, PostView


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


CAPTION_WIDTH = 40
"""Characters of a caption in a list."""


@click.group()
def command() -> None:
    """Posts: create and change them, and see the state of each of their deliveries."""


for _verb in (create, validate, edit, cancel, retry, delete, export):
    command.add_command(_verb)


@command.command(
    "list",
    epilog=f"{EXAMPLES}slipway post list --workspace Acme --status failed\n"
    "  slipway post list --account acme --due now..7d --limit 200",
)
@list_options
def list_(*, as_json: bool, **options: Any) -> None:
    """List posts that have a delivery as the options say, newest first."""
    from pipeline.stages.post_state import derive_status
    from pipeline.store.auth.workspaces import list_workspaces
    from pipeline.store.deliveries.listing import list_posts

    with open_transaction() as c:
        names = {w.id: w.name for w in list_workspaces(c)}
        found = list_posts(c, read_filter(c, options), **read_page(options, "post"))
    rows = [
        {
            "id": str(p.id),
            "workspace": names[p.workspace_id],
            "status": derive_status(p).value,
            "due_at": format_timestamp(p.due_at),
            "caption": p.caption
            if as_json or len(p.caption) <= CAPTION_WIDTH
            else f"{p.caption[: CAPTION_WIDTH - 1]}…",
            "accounts": ", ".join(f"{d.platform} {d.username}: {d.state}" for d in p.deliveries),
        }
        for p in found
    ]
    print_page(rows, options, as_json=as_json, noun="posts")


@command.command("show", epilog=EXAMPLE + "slipway post show 0199c0de-0000-7000-8000-000000000000 --json")
@click.argument("post")
@json_option
def show_post(post: str, *, as_json: bool) -> None:
    """Show one post: its deliveries, their states, addresses and errors."""
    from pipeline.store.deliveries.inspection import find_workspace_of_post
    from pipeline.store.posts.views import read_post

    identity = parse_id(post, "post")
    with open_transaction() as c:
        workspace = find_workspace_of_post(c, identity)
        found = read_post(c, workspace, identity) if workspace else None
    if found is None or workspace is None:
        raise click.ClickException(f"There is no post {identity}: `slipway post list` shows them.")
    facts = {"id": str(found.id), "workspace_id": str(workspace), **_post_to_dict(found)}
    deliveries = [_delivery_to_dict(d, found.now) for d in found.deliveries]
    if as_json:
        print_fields({**facts, "deliveries": deliveries}, as_json=True)
    else:
        print_fields({name: fact for name, fact in facts.items() if fact is not None}, as_json=False)
        for one in deliveries:  # a block each, not a table: ids and URLs stay whole, to be copied
            click.echo()
            print_fields({name: fact for name, fact in one.items() if fact is not None}, as_json=False)


def _post_to_dict(p: PostView) -> dict[str, Any]:
    from adapters.contract import Platform
    from pipeline.stages.post_state import derive_status

    return {
        "status": derive_status(p).value,
        **pick(p, "caption media music_url"),
        **{platform.value: p.options.get(platform) for platform in Platform},
        "ai_generated": p.ai_generated or None,
        **pick(p, "due_at expires_at on_late source external_id created_at updated_at"),
    }


def _delivery_to_dict(d: DeliveryView, now: datetime) -> dict[str, Any]:
    from pipeline.stages.post_state import derive_delivery_status

    return {
        **pick(d, "delivery=id platform username"),
        "status": derive_delivery_status(d, now).value,
        "state": d.state if d.reason is None else f"{d.state} ({d.reason})",
        **pick(d, "held_for next_at"),
        "removed": d.removed or None,
        **pick(d, "published_at url"),
        "url_pending": d.url_pending or None,
        "cover_error": d.cover_error,
        "error": None if d.error is None else d.error["message"],
        "platform_message": None if d.error is None else d.error.get("platform_message"),
    }
