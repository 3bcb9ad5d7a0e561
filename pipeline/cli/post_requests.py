"""Commands that send a post as the API takes it: `slipway post create|validate|edit|schedule`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import click

from pipeline.api.http.timestamp import parse
from pipeline.cli import lazy_imports, runtime
from pipeline.cli.options import FUTURE_OR_NOW
from pipeline.cli.output import Command, is_json, print_fields, print_present, print_rows
from pipeline.cli.post_body import body_options, build_body, to_scheduled_at

with lazy_imports():
    from pipeline.actions import edit as edit_actions
    from pipeline.actions import post_changes
    from pipeline.actions import validate as validate_actions
    from pipeline.api.http import auth
    from pipeline.api.posts import (
        action_response_models,
        action_schema,
        batch,
        field_types,
        response_models,
        schema,
    )
    from pipeline.stages import ingest
    from pipeline.store.auth import workspaces as workspace_store
    from pipeline.store.posts import views

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

NO_POST = "There is no such post: `slipway post list` shows them."
workspace_option = click.option("--workspace", required=True, help="Name or id.")


def is_batch(body: Any) -> bool:
    """Return True for the body of many posts."""
    return isinstance(body, dict) and "posts" in body


def create_batch(context: Context, caller: Caller, body: Mapping[str, Any]) -> None:
    """Store the posts and print a result for each, in order. Raises Refusal for all of them, and Exit(1) for some."""
    results, _ = batch.store_batch(
        context, caller, batch.read_batch(body), field_types.build_rules(context.settings)
    )
    result = batch.build_result(results)
    if is_json():
        print_fields(result.model_dump(mode="json"))
    else:
        print_rows([_result_to_row(n, one) for n, one in enumerate(result.results)])
        click.echo(result.describe())
    if result.refused:
        raise click.exceptions.Exit(1)


def _result_to_row(number: int, result: Any) -> dict[str, Any]:
    post = result.data.id if result.ok else None
    return {"number": number, "post": post, "code": result.code, "message": result.message}


@click.command(cls=Command)
@workspace_option
@body_options
@click.option("--external-id", help="Your own id: sent twice, posted once.")
@click.option(
    "--draft", is_flag=True, help="Store and check it only; `slipway post schedule` sends it on its way."
)
def create(workspace: str, external_id: str | None, *, draft: bool, **options: Any) -> None:
    """Create a post by the rules of the API: nothing is stored if one is broken.

    An equal post of the last minutes, or one of the same --external-id, is returned instead. A body {"posts": [...]}
    makes up to 500 posts, as POST /posts/batch does: exit 1 if one is refused.

    Examples:
      slipway post create --workspace Acme --account acme --caption Hello --video https://cdn.example.com/v.mp4 --at 2h
      slipway post create --workspace Acme --account acme --caption 'We are hiring' --text
      slipway post create --workspace Acme --body post.json --own acme caption='Only here' --own acme youtube.title=Hi
      slipway post create --workspace Acme --body posts.json   # {"posts": [...], "atomic": true}
    """
    with runtime.report_refusals(), runtime.open_context() as context:
        caller, body = _read_body(context, workspace, options)
        if external_id is not None and isinstance(body, dict):
            body["external_id"] = external_id
        if draft and isinstance(body, dict):
            body["draft"] = True
        if is_batch(body):
            create_batch(context, caller, body)
            return
        accepted = ingest.accept(context, caller, _read_post(context, body))
    facts = response_models.CreatedPost.model_validate(accepted).model_dump(mode="json")
    _print_post(facts, caller.time_zone)


@click.command(cls=Command)
@workspace_option
@body_options
def validate(workspace: str, **options: Any) -> None:
    """Report everything that `create` would refuse or warn about; exit 1 if it would refuse. Stores no post.

    Example:
      slipway post validate --workspace Acme --body post.json
    """
    with runtime.report_refusals(), runtime.open_context() as context:
        caller, body = _read_body(context, workspace, options)
        post = _read_post(context, body)
        report = action_response_models.ValidationReport.from_result(
            validate_actions.validate(context, caller, post), post, caller
        )
    found = report.model_dump(mode="json")
    if is_json():
        print_fields(found)
    else:
        _print_report(found)
    if not report.valid:
        raise click.exceptions.Exit(1)


@click.command(cls=Command)
@click.argument("post")
@body_options
def edit(post: str, **options: Any) -> None:
    """Change POST: what the options name, at once or not at all. Nothing of the old version is published afterwards.

    Examples:
      slipway post edit 0199c0de-0000-7000-8000-000000000000 --caption 'Better' --at now
      echo '{"tiktok": null}' | slipway post edit 0199c0de-0000-7000-8000-000000000000 --body -
    """

    def read(context: Context, caller: Caller) -> post_changes.Change:
        with context.database.begin() as c:
            body = build_body(c, caller.workspace_id, options)
        return action_schema.read_change(body, field_types.build_rules(context.settings))

    _edit(post, read)


@click.command(cls=Command)
@click.argument("post")
@click.option(
    "--at",
    type=FUTURE_OR_NOW,
    metavar="WHEN",
    default="now",
    help="A time with an offset, a duration from now (2h), or auto: the next free posting time. Default: now.",
)
def schedule(post: str, at: datetime | str) -> None:
    """Send the draft POST on its way.

    Examples:
      slipway post schedule 0199c0de-0000-7000-8000-000000000000 --at 2h
      slipway post schedule 0199c0de-0000-7000-8000-000000000000 --at auto
    """
    body = {"scheduled_at": to_scheduled_at(at)}
    _edit(post, lambda _context, _caller: action_schema.read_schedule(body))


def _edit(post: str, read: Callable[[Context, Caller], post_changes.Change]) -> None:
    requested = runtime.parse_id(post, "post")
    with runtime.report_refusals(), runtime.open_context() as context:
        [(caller, _)] = group_by_workspace(context, [requested], require_all=True)
        auth.require_plan(caller)
        edited = edit_actions.edit(context, caller, requested, read(context, caller))
    facts = action_response_models.UpdatedPost.model_validate(edited).model_dump(mode="json")
    _print_post(facts, caller.time_zone)


def group_by_workspace(
    context: Context, posts: Sequence[UUID], *, require_all: bool = False
) -> list[tuple[Caller, list[UUID]]]:
    """Return a caller for each workspace with its posts. Raises ClickException for unknown ones if all are required."""
    groups: dict[UUID, list[UUID]] = {}
    with context.database.begin() as c:
        for post in posts:
            if workspace := views.find_workspace_of_post(c, post):
                groups.setdefault(workspace, []).append(post)
            elif require_all:
                raise click.ClickException(NO_POST)
        return [
            (runtime.build_caller(workspace_store.find_workspace(c, str(workspace))), ids)
            for workspace, ids in groups.items()
        ]


def _read_body(context: Context, workspace: str, options: Mapping[str, Any]) -> tuple[Caller, Any]:
    """Return the caller and body of a new post. Raises Refusal without a plan that publishes."""
    with context.database.begin() as c:
        caller = runtime.build_caller(workspace_store.find_workspace(c, workspace))
        auth.require_plan(caller)
        return caller, build_body(c, caller.workspace_id, options)


def _read_post(context: Context, body: Any) -> Any:
    return schema.read_post(body, field_types.build_rules(context.settings))


def _print_post(facts: dict[str, Any], time_zone: str) -> None:
    """Print a post; people read its time also by the clock of the workspace, whose *time_zone* is named."""
    if is_json():
        print_present(facts)
        return
    shown = {name: fact for name, fact in facts.items() if name != "warnings"}
    if facts["scheduled_at"] is not None:
        local = parse(facts["scheduled_at"]).astimezone(ZoneInfo(time_zone))
        shown["scheduled_at_local"] = f"{local:%Y-%m-%d %H:%M} {time_zone}"
    print_present(shown)
    for warning in facts.get("warnings", ()):
        click.echo(f"Warning: {warning['field']}: {warning['message']}", err=True)


def _print_report(found: Mapping[str, Any]) -> None:
    """Print what was found, one line each."""
    click.echo("It would be accepted." if found["valid"] else "It would be refused.")
    names = ("field", "platform", "code", "message")
    rows = [
        {"is": kind, **{name: one[name] for name in names}}
        for kind in ("refused", "warnings")
        for one in found[kind]
    ]
    print_rows(rows, empty="Nothing to warn about.")
