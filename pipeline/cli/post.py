"""`slipway post`: posts of a workspace: create, change, list and export them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.api.http.timestamp import format_timestamp
from pipeline.cli import lazy_imports, output, post_requests, runtime
from pipeline.cli.options import id_of, list_options, read_filter, read_options, read_page

with lazy_imports():
    from adapters import contract
    from pipeline.actions import cancel_delete_retry
    from pipeline.api.http import auth
    from pipeline.api.posts import schema
    from pipeline.domain import own_content
    from pipeline.imports import columns as file_columns
    from pipeline.imports import export as post_export
    from pipeline.stages import post_state
    from pipeline.store.accounts import accounts as account_store
    from pipeline.store.auth import workspaces as workspace_store
    from pipeline.store.deliveries import selection
    from pipeline.store.posts import views as post_views


if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller


@click.group(cls=output.Group)
def command() -> None:
    """Posts: create and change them, and see the state of each of their deliveries."""


for _verb in post_requests.COMMANDS:
    command.add_command(_verb)


Action = Callable[
    ["Context", "Caller", Sequence[UUID], Sequence[UUID] | None], "cancel_delete_retry.ActionResult"
]
"""Changes posts of a caller's workspace at some accounts, or at all."""

accounts_option = click.option(
    "--account", "accounts", multiple=True, help="Only at this account (id or username); may be repeated."
)
posts_argument = click.argument("posts", nargs=-1, required=True, metavar="POST...", type=id_of("post"))


@command.command()
@posts_argument
@accounts_option
def cancel(posts: tuple[UUID, ...], accounts: tuple[str, ...]) -> None:
    """Cancel posts where they were not sent yet. One with a delivery that is being sent stays unchanged.

    Example:
      slipway post cancel 0199c0de-0000-7000-8000-000000000000 --account acme
    """
    _change_posts(posts, accounts, cancel_delete_retry.cancel, "canceled")


@command.command()
@posts_argument
@accounts_option
def retry(posts: tuple[UUID, ...], accounts: tuple[str, ...]) -> None:
    """Retry posts at accounts where they failed, never where one is or may be live.

    Example:
      slipway post retry 0199c0de-0000-7000-8000-000000000000
    """
    _change_posts(posts, accounts, cancel_delete_retry.retry, "retried", needs_plan=True)


@command.command()
@posts_argument
def delete(posts: tuple[UUID, ...]) -> None:
    """Cancel and hide posts. One that is published, canceled or being sent stays.

    Example:
      slipway post delete 0199c0de-0000-7000-8000-000000000000
    """
    _change_posts(posts, (), _delete, "deleted")


def _delete(
    context: Context, caller: Caller, ids: Sequence[UUID], _: Sequence[UUID] | None
) -> cancel_delete_retry.ActionResult:
    deleted = cancel_delete_retry.delete(context, caller, ids)
    blocked = {post: f"The post is {status}: it stays." for post, status in deleted.blocked}
    errors = {**dict.fromkeys(deleted.skipped, post_requests.NO_POST), **blocked, **deleted.errors}
    return cancel_delete_retry.ActionResult(ids=deleted.ids, errors=errors)


def _change_posts(
    posts: Sequence[UUID], accounts: Sequence[str], act: Action, done: str, *, needs_plan: bool = False
) -> None:
    """Apply an action to the posts, workspace by workspace; exit 1 if one of them stays as it is."""
    changed: list[UUID] = []
    errors: dict[UUID, str] = {}
    with runtime.open_context() as context:
        with context.database.begin() as c:
            at = [runtime.require_account(c, name).id for name in accounts] or None
        for caller, ids in post_requests.group_by_workspace(context, posts):
            if needs_plan:
                auth.require_plan(caller)
            result = act(context, caller, ids, at)
            changed += result.ids
            errors |= result.errors
    errors |= dict.fromkeys(set(posts) - set(changed) - set(errors), post_requests.NO_POST)
    output.print_outcome(done, changed, errors, "unchanged", key="errors")
    if errors:
        raise click.exceptions.Exit(1)


@command.command()
@read_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "csv"]),
    default="ndjson",
    show_default=True,
    help="NDJSON has the body of a POST /posts on each line, CSV the columns of an import.",
)
def export(form: str, **options: Any) -> None:
    """Write the posts of a workspace that have a delivery as the options say, newest first, as an import takes them.

    Each has its post_id, by which an import recognises it: exported and imported again, it is a duplicate.

    Examples:
      slipway post export --workspace Acme --format csv > posts.csv
      slipway post export --workspace Acme --status scheduled --due now..30d > month.ndjson
    """
    output.require_one_format(form)
    if not options["workspace"]:
        raise click.UsageError("--workspace is missing: a file of posts is of one workspace.")
    count, out = 0, click.open_file("-", "wb")
    with runtime.open_database() as database:
        with database.begin() as c:
            chosen = read_filter(c, options)
            accounts = account_store.find_accounts(c, chosen.workspace) if chosen.workspace else []
        writer = post_export.ExportWriter(
            post_export.ExportFormat(form), file_columns.build_columns(schema.PostBody), accounts
        )
        out.write(writer.begin())
        read = partial(selection.list_posts, chosen=chosen)
        for page in runtime.read_pages(database.begin, read, post_export.PAGE, lambda post: post.id):
            out.write(writer.write(page))
            count += len(page)
    out.flush()
    click.echo(f"{count} posts", err=True)


CAPTION_WIDTH = 40
"""Characters of a caption in a list."""


@command.command("list")
@list_options
def list_(**options: Any) -> None:
    """List posts that have a delivery as the options say, newest first or in the order of their due times.

    Examples:
      slipway post list --workspace Acme --status failed
      slipway post list --account acme --due now..7d --sort due --limit 200
      slipway post list --workspace Acme --text "spring sale" --created ..-30d
    """
    with runtime.open_transaction() as c:
        names = {w.id: w.name for w in workspace_store.list_workspaces(c)}
        found = selection.list_posts(c, read_filter(c, options), **read_page(options, "post"))
    rows = [
        {
            "id": str(p.id),
            "workspace": names[p.workspace_id],
            "status": post_state.derive_status(p).value,
            "due_at": format_timestamp(p.due_at),
            "caption": p.caption
            if output.is_json() or len(p.caption) <= CAPTION_WIDTH
            else f"{p.caption[: CAPTION_WIDTH - 1]}…",
            "accounts": ", ".join(f"{d.platform} {d.username}: {d.state}" for d in p.deliveries),
        }
        for p in found
    ]
    output.print_page(rows, options["limit"], empty="No such posts.")


@command.command("show")
@post_requests.post_argument
def show_post(post: UUID) -> None:
    """Show one post: its deliveries, their states, addresses and errors.

    Example:
      slipway post show 0199c0de-0000-7000-8000-000000000000 --json
    """
    with runtime.open_transaction() as c:
        workspace = post_views.find_workspace_of_post(c, post)
        found = post_views.read_post(c, workspace, post) if workspace else None
    if found is None or workspace is None:
        raise click.ClickException(f"There is no post {post}: `slipway post list` shows them.")
    facts = {"id": str(found.id), "workspace_id": str(workspace), **_post_to_dict(found)}
    deliveries = [_delivery_to_dict(d, found.now) for d in found.deliveries]
    if output.is_json():
        output.print_fields({**facts, "deliveries": deliveries})
    else:
        output.print_present(facts)
        for one in deliveries:  # a block each, not a table: ids and URLs stay whole, to be copied
            click.echo()
            output.print_present(one)


def _post_to_dict(p: post_views.PostView) -> dict[str, Any]:
    return {
        "status": post_state.derive_status(p).value,
        **output.pick(p, "caption media music_url"),
        **{platform.value: p.options.get(platform) for platform in contract.Platform},
        **output.pick(p, "first_comment"),
        "ai_generated": p.ai_generated or None,
        **output.pick(p, "due_at=scheduled_at expires_at on_late source external_id created_at updated_at"),
    }


def _comment_to_dict(comment: post_views.CommentView, now: datetime) -> dict[str, Any]:
    error = None if comment.error is None else comment.error["message"]
    return {
        "first_comment": comment.text,
        "first_comment_status": post_state.derive_delivery_status(comment, now).value,
        "first_comment_error": error,
        "first_comment_url": comment.url,
    }


def _delivery_to_dict(d: post_views.DeliveryView, now: datetime) -> dict[str, Any]:
    return {
        **output.pick(d, "delivery=id platform username"),
        "status": post_state.derive_delivery_status(d, now).value,
        "state": d.state if d.reason is None else f"{d.state} ({d.reason})",
        **output.pick(d, "held_for next_at"),
        "removed": d.removed or None,
        **(own.to_body() if (own := own_content.OwnContent.from_dict(d.own)) else {}),
        **output.pick(d, "published_at url"),
        "url_pending": d.url_pending or None,
        **output.pick(d, "cover_error playlist_error"),
        **(_comment_to_dict(d.first_comment, now) if d.first_comment else {}),
        "error": None if d.error is None else d.error["message"],
        "platform_message": None if d.error is None else d.error.get("platform_message"),
    }
