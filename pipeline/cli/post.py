"""`slipway post`: posts of a workspace: create, change, list and export them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.api.http.timestamp import format_timestamp
from pipeline.cli import EXAMPLE, EXAMPLES, lazy_imports
from pipeline.cli.options import list_options, print_page, read_filter, read_options, read_page
from pipeline.cli.output import json_option, pick, print_fields, print_rows
from pipeline.cli.post_body import body_options, build_body
from pipeline.cli.runtime import (
    build_caller,
    open_context,
    open_database,
    open_transaction,
    parse_id,
    report_refusals,
    require_account,
)

with lazy_imports():
    from adapters import contract
    from pipeline.actions import cancel_delete_retry
    from pipeline.actions import edit as edit_actions
    from pipeline.actions import validate as validate_actions
    from pipeline.api.http import auth
    from pipeline.api.posts import (
        action_response_models,
        action_schema,
        batch_schema,
        batch_store,
        field_types,
        response_models,
        schema,
    )
    from pipeline.imports import columns as file_columns
    from pipeline.imports import export as post_export
    from pipeline.stages import ingest, post_state
    from pipeline.store.accounts import accounts as account_store
    from pipeline.store.auth import workspaces as workspace_store
    from pipeline.store.deliveries import inspection, listing
    from pipeline.store.posts import views as post_views


if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller
    from pipeline.store.database import Database


@click.group()
def command() -> None:
    """Posts: create and change them, and see the state of each of their deliveries."""


def is_batch(body: Any) -> bool:
    """Return True for the body of many posts."""
    return isinstance(body, dict) and "posts" in body


def create_batch(context: Context, caller: Caller, body: Mapping[str, Any], *, as_json: bool) -> None:
    """Store the posts and print a result for each, in order. Raises Refusal for all of them, and Exit(1) for some."""
    results, _ = batch_store.store_batch(
        context, caller, batch_schema.read_batch(body), field_types.build_rules(context.settings)
    )
    result = batch_store.build_result(results)
    if as_json:
        print_fields(result.model_dump(mode="json"), as_json=True)
    else:
        print_rows([_result_to_row(n, one) for n, one in enumerate(result.results)], as_json=False)
        click.echo(result.describe())
    if result.refused:
        raise click.exceptions.Exit(1)


def _result_to_row(number: int, result: Any) -> dict[str, Any]:
    post = result.data.id if result.ok else None
    return {"number": number, "post": post, "code": result.code, "message": result.message}


EXAMPLE_ID = "0199c0de-0000-7000-8000-000000000000"
Done = tuple[Sequence[UUID], Mapping[UUID, str]]
"""The posts that an action changed, and the reason for each of the others."""

workspace_option = click.option("--workspace", required=True, help="Name or id.")
accounts_option = click.option(
    "--account", "accounts", multiple=True, help="Only at this account (id or username); may be repeated."
)
posts_argument = click.argument("posts", nargs=-1, required=True, metavar="POST...")


@command.command(
    epilog=f"{EXAMPLES}slipway post create --workspace Acme --account acme --caption Hello "
    "--video https://cdn.example.com/v.mp4 --at 2h\n  slipway post create --workspace Acme --body post.json\n"
    '  slipway post create --workspace Acme --body posts.json   # {"posts": [...], "atomic": true}'
)
@workspace_option
@body_options
@click.option("--external-id", help="Your own id: sent twice, posted once.")
@json_option
def create(workspace: str, external_id: str | None, *, as_json: bool, **options: Any) -> None:
    """Create a post by the rules of the API: nothing is stored if one is broken.

    An equal post of the last minutes, or one of the same --external-id, is returned instead. A body {"posts": [...]}
    makes up to 500 posts, as POST /posts/batch does: exit 1 if one is refused.
    """
    with report_refusals(), open_context() as context:
        caller, body = _read_body(context, workspace, options)
        if external_id is not None and isinstance(body, dict):
            body["external_id"] = external_id
        if is_batch(body):
            create_batch(context, caller, body, as_json=as_json)
            return
        accepted = ingest.accept(context, caller, _read_post(context, body))
    _print_post(response_models.CreatedPost.model_validate(accepted).model_dump(mode="json"), as_json=as_json)


@command.command(epilog=EXAMPLE + "slipway post validate --workspace Acme --body post.json")
@workspace_option
@body_options
@json_option
def validate(workspace: str, *, as_json: bool, **options: Any) -> None:
    """Report everything that `create` would refuse or warn about; exit 1 if it would refuse. Stores no post."""
    with report_refusals(), open_context() as context:
        caller, body = _read_body(context, workspace, options)
        post = _read_post(context, body)
        report = action_response_models.ValidationReport.from_result(
            validate_actions.validate(context, caller, post), post, caller
        )
    found = report.model_dump(mode="json")
    if as_json:
        print_fields(found, as_json=True)
    else:
        _print_report(found)
    if not report.valid:
        raise click.exceptions.Exit(1)


@command.command(
    epilog=f"{EXAMPLES}slipway post edit {EXAMPLE_ID} --caption 'Better' --at now\n"
    f"  echo '{{\"tiktok\": null}}' | slipway post edit {EXAMPLE_ID} --body -"
)
@click.argument("post")
@body_options
@json_option
def edit(post: str, *, as_json: bool, **options: Any) -> None:
    """Change POST: what the options name, at once or not at all. Nothing of the old version is published afterwards."""
    requested = parse_id(post, "post")
    with report_refusals(), open_context() as context:
        [(caller, _)] = _group_by_workspace(context, [requested], require_all=True)
        _require_plan(caller)
        with context.database.begin() as c:
            body = build_body(c, caller.workspace_id, options)
        edited = edit_actions.edit(
            context,
            caller,
            requested,
            action_schema.read_change(body, field_types.build_rules(context.settings)),
        )
    _print_post(
        action_response_models.UpdatedPost.model_validate(edited).model_dump(mode="json"), as_json=as_json
    )


@command.command(epilog=EXAMPLE + f"slipway post cancel {EXAMPLE_ID} --account acme")
@posts_argument
@accounts_option
@json_option
def cancel(posts: tuple[str, ...], accounts: tuple[str, ...], *, as_json: bool) -> None:
    """Cancel posts where they were not sent yet. One with a delivery that is being sent stays unchanged."""

    def act(context: Context, caller: Caller, ids: Sequence[UUID], at: Sequence[UUID] | None) -> Done:
        done = cancel_delete_retry.cancel(context, caller, ids, at)
        return done.ids, done.errors

    _change_posts(posts, accounts, act, "canceled", as_json=as_json)


@command.command(epilog=EXAMPLE + f"slipway post retry {EXAMPLE_ID}")
@posts_argument
@accounts_option
@json_option
def retry(posts: tuple[str, ...], accounts: tuple[str, ...], *, as_json: bool) -> None:
    """Retry posts at accounts where they failed, never where one is or may be live."""

    def act(context: Context, caller: Caller, ids: Sequence[UUID], at: Sequence[UUID] | None) -> Done:
        _require_plan(caller)
        done = cancel_delete_retry.retry(context, caller, ids, at)
        return done.ids, done.errors

    _change_posts(posts, accounts, act, "retried", as_json=as_json)


@command.command(epilog=EXAMPLE + f"slipway post delete {EXAMPLE_ID}")
@posts_argument
@json_option
def delete(posts: tuple[str, ...], *, as_json: bool) -> None:
    """Cancel and hide posts. One that is published, canceled or being sent stays."""

    def act(context: Context, caller: Caller, ids: Sequence[UUID], _: Sequence[UUID] | None) -> Done:
        deleted = cancel_delete_retry.delete(context, caller, ids)
        blocked = {post: f"The post is {status}: it stays." for post, status in deleted.blocked}
        absent = dict.fromkeys(deleted.skipped, NO_POST)
        return deleted.ids, {**absent, **blocked, **deleted.errors}

    _change_posts(posts, (), act, "deleted", as_json=as_json)


NO_POST = "There is no such post: `slipway post list` shows them."


def _change_posts(
    posts: Sequence[str],
    accounts: Sequence[str],
    act: Callable[[Context, Caller, Sequence[UUID], Sequence[UUID] | None], Done],
    done: str,
    *,
    as_json: bool,
) -> None:
    """Apply an action to the posts, workspace by workspace; exit 1 if one of them stays as it is."""
    requested = [parse_id(post, "post") for post in posts]
    changed: list[UUID] = []
    errors: dict[UUID, str] = {}
    with report_refusals(), open_context() as context:
        with context.database.begin() as c:
            at = [require_account(c, name).id for name in accounts] or None
        groups = _group_by_workspace(context, requested)
        for caller, ids in groups:
            ids_done, failed = act(context, caller, ids, at)
            changed += ids_done
            errors |= failed
    errors |= dict.fromkeys(set(requested) - set(changed) - set(errors), NO_POST)
    if as_json:
        print_fields(
            {done: list(map(str, changed)), "errors": {str(k): v for k, v in errors.items()}}, as_json=True
        )
    else:
        click.echo(f"{len(changed)} {done}, {len(errors)} unchanged.")
        for post, why in errors.items():
            click.echo(f"  {post}  {why}")
    if errors:
        raise click.exceptions.Exit(1)


def _group_by_workspace(
    context: Context, posts: Sequence[UUID], *, require_all: bool = False
) -> list[tuple[Caller, list[UUID]]]:
    """Return a caller for each workspace with its posts. Raises ClickException for unknown ones if all are required."""
    groups: dict[UUID, list[UUID]] = {}
    with context.database.begin() as c:
        for post in posts:
            if workspace := inspection.find_workspace_of_post(c, post):
                groups.setdefault(workspace, []).append(post)
            elif require_all:
                raise click.ClickException(NO_POST)
        return [
            (build_caller(workspace_store.find_workspace(c, str(workspace))), ids)
            for workspace, ids in groups.items()
        ]


def _read_body(context: Context, workspace: str, options: Mapping[str, Any]) -> tuple[Caller, Any]:
    """Return the caller and body of a new post. Raises Refusal without a plan that publishes."""
    with context.database.begin() as c:
        caller = build_caller(workspace_store.find_workspace(c, workspace))
        _require_plan(caller)
        return caller, build_body(c, caller.workspace_id, options)


def _read_post(context: Context, body: Any) -> Any:

    return schema.read_post(body, field_types.build_rules(context.settings))


def _require_plan(caller: Caller) -> None:

    auth.require_plan(caller)


def _print_post(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_fields(facts, as_json=True)
        return
    warnings = facts.pop("warnings", [])
    print_fields({name: fact for name, fact in facts.items() if fact is not None}, as_json=False)
    for warning in warnings:
        click.echo(f"Warning: {warning['field']}: {warning['message']}", err=True)


def _print_report(found: Mapping[str, Any]) -> None:
    """Print what was found, one line each."""
    click.echo("It would be accepted." if found["valid"] else "It would be refused.")
    rows = [
        {
            "is": kind,
            "field": x["field"],
            "platform": x["platform"],
            "code": x["code"],
            "message": x["message"],
        }
        for kind in ("refused", "warnings")
        for x in found[kind]
    ]
    print_rows(rows, as_json=False, empty="Nothing to warn about.")


@command.command(
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
    if as_json and form != "ndjson":
        raise click.UsageError(f"--json and --format {form} exclude each other: give one of them.")
    if not options["workspace"]:
        raise click.UsageError("--workspace is missing: a file of posts is of one workspace.")
    count, output = 0, click.open_file("-", "wb")
    with open_database() as database:
        with database.begin() as c:
            chosen = read_filter(c, options)
            accounts = account_store.find_accounts(c, chosen.workspace) if chosen.workspace else []
        writer = post_export.ExportWriter(
            post_export.ExportFormat(form), file_columns.build_columns(schema.PostBody), accounts
        )
        output.write(writer.begin())
        for page in _read_pages(database, chosen):
            output.write(writer.write(page))
            count += len(page)
    output.flush()
    click.echo(f"{count} posts", err=True)


def _read_pages(database: Database, chosen: listing.ListFilter) -> Iterator[Sequence[post_views.PostView]]:

    after, page = None, list[Any]()
    while after is None or len(page) == post_export.PAGE:
        with database.begin() as c:  # a transaction a page: a slow reader holds none open
            page = listing.list_posts(c, chosen, limit=post_export.PAGE, after=after)
        if not page:
            return
        yield page
        after = page[-1].id


CAPTION_WIDTH = 40
"""Characters of a caption in a list."""


@command.command(
    "list",
    epilog=f"{EXAMPLES}slipway post list --workspace Acme --status failed\n"
    "  slipway post list --account acme --due now..7d --limit 200",
)
@list_options
def list_(*, as_json: bool, **options: Any) -> None:
    """List posts that have a delivery as the options say, newest first."""
    with open_transaction() as c:
        names = {w.id: w.name for w in workspace_store.list_workspaces(c)}
        found = listing.list_posts(c, read_filter(c, options), **read_page(options, "post"))
    rows = [
        {
            "id": str(p.id),
            "workspace": names[p.workspace_id],
            "status": post_state.derive_status(p).value,
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
    identity = parse_id(post, "post")
    with open_transaction() as c:
        workspace = inspection.find_workspace_of_post(c, identity)
        found = post_views.read_post(c, workspace, identity) if workspace else None
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


def _post_to_dict(p: post_views.PostView) -> dict[str, Any]:

    return {
        "status": post_state.derive_status(p).value,
        **pick(p, "caption media music_url"),
        **{platform.value: p.options.get(platform) for platform in contract.Platform},
        "ai_generated": p.ai_generated or None,
        **pick(p, "due_at expires_at on_late source external_id created_at updated_at"),
    }


def _delivery_to_dict(d: post_views.DeliveryView, now: datetime) -> dict[str, Any]:

    return {
        **pick(d, "delivery=id platform username"),
        "status": post_state.derive_delivery_status(d, now).value,
        "state": d.state if d.reason is None else f"{d.state} ({d.reason})",
        **pick(d, "held_for next_at"),
        "removed": d.removed or None,
        **pick(d, "published_at url"),
        "url_pending": d.url_pending or None,
        "cover_error": d.cover_error,
        "error": None if d.error is None else d.error["message"],
        "platform_message": None if d.error is None else d.error.get("platform_message"),
    }
