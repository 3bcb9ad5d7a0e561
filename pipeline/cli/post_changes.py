"""`slipway post create|validate|edit|cancel|retry|delete`: what the API does to posts, by the operator.

`slipway post create --body FILE` with ``posts`` in the file: many posts at once, as POST /posts/batch takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.cli import EXAMPLE, EXAMPLES
from pipeline.cli.output import json_option, print_fields, print_rows
from pipeline.cli.post_body import body_options, build_body, build_caller, report_refusals
from pipeline.cli.runtime import open_context, parse_id

if TYPE_CHECKING:
    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller


def is_batch(body: Any) -> bool:
    """Return True for the body of many posts."""
    return isinstance(body, dict) and "posts" in body


def create_batch(context: Context, caller: Caller, body: Mapping[str, Any], *, as_json: bool) -> None:
    """Store the posts and print a result for each, in order. Raises Refusal for all of them, and Exit(1) for some."""
    from pipeline.api.posts.batch_schema import read_batch
    from pipeline.api.posts.batch_store import build_result, store_batch
    from pipeline.api.posts.field_types import build_rules

    results, _ = store_batch(context, caller, read_batch(body), build_rules(context.settings))
    result = build_result(results)
    if as_json:
        print_fields(result.model_dump(mode="json"), as_json=True)
    else:
        print_rows([_to_row(n, one) for n, one in enumerate(result.results)], as_json=False)
        click.echo(result.describe())
    if result.refused:
        raise click.exceptions.Exit(1)


def _to_row(number: int, result: Any) -> dict[str, Any]:
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


@click.command(
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
    from pipeline.api.posts.response_models import CreatedPost
    from pipeline.stages.ingest import accept

    with report_refusals(), open_context() as context:
        caller, body = _read_body(context, workspace, options)
        if external_id is not None and isinstance(body, dict):
            body["external_id"] = external_id
        if is_batch(body):
            create_batch(context, caller, body, as_json=as_json)
            return
        accepted = accept(context, caller, _read_post(context, body))
    _print_post(CreatedPost.model_validate(accepted).model_dump(mode="json"), as_json=as_json)


@click.command(epilog=EXAMPLE + "slipway post validate --workspace Acme --body post.json")
@workspace_option
@body_options
@json_option
def validate(workspace: str, *, as_json: bool, **options: Any) -> None:
    """Report everything that `create` would refuse or warn about; exit 1 if it would refuse. Stores no post."""
    from pipeline.actions.validate import validate as validate_post
    from pipeline.api.posts.action_response_models import ValidationReport

    with report_refusals(), open_context() as context:
        caller, body = _read_body(context, workspace, options)
        post = _read_post(context, body)
        report = ValidationReport.from_result(validate_post(context, caller, post), post, caller)
    found = report.model_dump(mode="json")
    if as_json:
        print_fields(found, as_json=True)
    else:
        _print_report(found)
    if not report.valid:
        raise click.exceptions.Exit(1)


@click.command(
    epilog=f"{EXAMPLES}slipway post edit {EXAMPLE_ID} --caption 'Better' --at now\n"
    f"  echo '{{\"tiktok\": null}}' | slipway post edit {EXAMPLE_ID} --body -"
)
@click.argument("post")
@body_options
@json_option
def edit(post: str, *, as_json: bool, **options: Any) -> None:
    """Change POST: what the options name, at once or not at all. Nothing of the old version is published afterwards."""
    from pipeline.actions.edit import edit as edit_post
    from pipeline.api.posts.action_response_models import UpdatedPost
    from pipeline.api.posts.action_schema import read_change
    from pipeline.api.posts.field_types import build_rules

    requested = parse_id(post, "post")
    with report_refusals(), open_context() as context:
        [(caller, _)] = _group_by_workspace(context, [requested], require_all=True)
        _require_plan(caller)
        with context.database.begin() as c:
            body = build_body(c, caller.workspace_id, options)
        edited = edit_post(context, caller, requested, read_change(body, build_rules(context.settings)))
    _print_post(UpdatedPost.model_validate(edited).model_dump(mode="json"), as_json=as_json)


@click.command(epilog=EXAMPLE + f"slipway post cancel {EXAMPLE_ID} --account acme")
@posts_argument
@accounts_option
@json_option
def cancel(posts: tuple[str, ...], accounts: tuple[str, ...], *, as_json: bool) -> None:
    """Cancel posts where they were not sent yet. One with a delivery that is being sent stays unchanged."""
    from pipeline.actions import cancel_delete_retry as actions

    def act(context: Context, caller: Caller, ids: Sequence[UUID], at: Sequence[UUID] | None) -> Done:
        done = actions.cancel(context, caller, ids, at)
        return done.ids, done.errors

    _change_posts(posts, accounts, act, "canceled", as_json=as_json)


@click.command(epilog=EXAMPLE + f"slipway post retry {EXAMPLE_ID}")
@posts_argument
@accounts_option
@json_option
def retry(posts: tuple[str, ...], accounts: tuple[str, ...], *, as_json: bool) -> None:
    """Retry posts at accounts where they failed, never where one is or may be live."""
    from pipeline.actions import cancel_delete_retry as actions

    def act(context: Context, caller: Caller, ids: Sequence[UUID], at: Sequence[UUID] | None) -> Done:
        _require_plan(caller)
        done = actions.retry(context, caller, ids, at)
        return done.ids, done.errors

    _change_posts(posts, accounts, act, "retried", as_json=as_json)


@click.command(epilog=EXAMPLE + f"slipway post delete {EXAMPLE_ID}")
@posts_argument
@json_option
def delete(posts: tuple[str, ...], *, as_json: bool) -> None:
    """Cancel and hide posts. One that is published, canceled or being sent stays."""
    from pipeline.actions import cancel_delete_retry as actions

    def act(context: Context, caller: Caller, ids: Sequence[UUID], _: Sequence[UUID] | None) -> Done:
        deleted = actions.delete(context, caller, ids)
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
    from pipeline.cli.account import require_account

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
    from pipeline.store.auth.workspaces import find_workspace
    from pipeline.store.deliveries.inspection import find_workspace_of_post

    groups: dict[UUID, list[UUID]] = {}
    with context.database.begin() as c:
        for post in posts:
            if workspace := find_workspace_of_post(c, post):
                groups.setdefault(workspace, []).append(post)
            elif require_all:
                raise click.ClickException(NO_POST)
        return [(build_caller(find_workspace(c, str(workspace))), ids) for workspace, ids in groups.items()]


def _read_body(context: Context, workspace: str, options: Mapping[str, Any]) -> tuple[Caller, Any]:
    """Return the caller and body of a new post. Raises Refusal without a plan that publishes."""
    from pipeline.store.auth.workspaces import find_workspace

    with context.database.begin() as c:
        caller = build_caller(find_workspace(c, workspace))
        _require_plan(caller)
        return caller, build_body(c, caller.workspace_id, options)


def _read_post(context: Context, body: Any) -> Any:
    from pipeline.api.posts.field_types import build_rules
    from pipeline.api.posts.schema import read_post

    return read_post(body, build_rules(context.settings))


def _require_plan(caller: Caller) -> None:
    from pipeline.api.http.auth import require_plan

    require_plan(caller)


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
