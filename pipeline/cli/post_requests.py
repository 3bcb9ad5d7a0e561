"""Commands that send a post as the API takes it: `slipway post create|validate|edit|schedule`; and about its approval.

Those are `slipway post approval|approve|send-back|approval-link`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import click

from pipeline.api.http.timestamp import parse
from pipeline.cli import lazy_imports, runtime
from pipeline.cli.options import DURATION, FUTURE_OR_NOW, id_of
from pipeline.cli.output import Command, is_json, print_fields, print_present, print_rows
from pipeline.cli.post_body import body_options, build_body, to_scheduled_at
from pipeline.cli.progress import is_interactive

with lazy_imports():
    from pipeline.actions import approve as approvals
    from pipeline.actions import edit as edit_actions
    from pipeline.actions import validate as validate_actions
    from pipeline.api.http import auth
    from pipeline.api.posts import (
        action_response_models,
        action_schema,
        approval_routes,
        batch,
        field_types,
        response_models,
        schema,
    )
    from pipeline.stages import ingest
    from pipeline.store import health
    from pipeline.store.auth import workspaces as workspace_store
    from pipeline.store.posts import views

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

NO_POST = "There is no such post: `slipway post list` shows them."
workspace_option = click.option("--workspace", required=True, help="Name or id.")
post_argument = click.argument("post", type=id_of("post"))


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
        rows = [
            {"number": n, "post": one.data.id if one.ok else None, "code": one.code, "message": one.message}
            for n, one in enumerate(result.results)
        ]
        print_rows(rows)
        click.echo(result.describe())
    if result.refused:
        raise click.exceptions.Exit(1)


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
    with runtime.open_context() as context:
        caller, body = _read_body(context, workspace, options)
        if external_id is not None and isinstance(body, dict):
            body["external_id"] = external_id
        if draft and isinstance(body, dict):
            body["draft"] = True
        if is_batch(body):
            create_batch(context, caller, body)
            return
        accepted = ingest.accept(context, caller, _read_post(context, body))
    _print_post(response_models.CreatedPost.model_validate(accepted), caller.time_zone)


@click.command(cls=Command)
@workspace_option
@body_options
def validate(workspace: str, **options: Any) -> None:
    """Report everything that `create` would refuse or warn about; exit 1 if it would refuse. Stores no post.

    Example:
      slipway post validate --workspace Acme --body post.json
    """
    with runtime.open_context() as context:
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
@post_argument
@body_options
def edit(post: UUID, **options: Any) -> None:
    """Change POST: what the options name, at once or not at all. Nothing of the old version is published afterwards.

    Examples:
      slipway post edit 0199c0de-0000-7000-8000-000000000000 --caption 'Better' --at now
      echo '{"tiktok": null}' | slipway post edit 0199c0de-0000-7000-8000-000000000000 --body -
    """
    with open_post(post) as (context, caller):
        auth.require_plan(caller)
        with context.database.begin() as c:
            body = build_body(c, caller.workspace_id, options)
        change = action_schema.read_change(body, field_types.build_rules(context.settings))
        edited = edit_actions.edit(context, caller, post, change)
    _print_post(action_response_models.UpdatedPost.model_validate(edited), caller.time_zone)


@click.command(cls=Command)
@post_argument
@click.option(
    "--at",
    type=FUTURE_OR_NOW,
    metavar="WHEN",
    default="now",
    help="A time with an offset, a duration from now (2h), or auto: the next free posting time. Default: now.",
)
def schedule(post: UUID, at: datetime | str) -> None:
    """Send the draft POST on its way.

    Examples:
      slipway post schedule 0199c0de-0000-7000-8000-000000000000 --at 2h
      slipway post schedule 0199c0de-0000-7000-8000-000000000000 --at auto
    """
    with open_post(post) as (context, caller):
        auth.require_plan(caller)
        change = action_schema.read_schedule({"scheduled_at": to_scheduled_at(at)})
        edited = edit_actions.edit(context, caller, post, change)
    _print_post(action_response_models.UpdatedPost.model_validate(edited), caller.time_zone)


@contextmanager
def open_post(post: UUID) -> Iterator[tuple[Context, Caller]]:
    """Open the context, and the operator as a caller of the post's workspace. Raises ClickException."""
    with runtime.open_context() as context:
        [(caller, _)] = group_by_workspace(context, [post], require_all=True)
        yield context, caller


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


def _print_post(post: BaseModel, time_zone: str) -> None:
    """Print a post; people read its time also by the clock of the workspace, whose *time_zone* is named."""
    facts = post.model_dump(mode="json")
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


hash_option = click.option(
    "--hash", "shown", metavar="HASH", help="Of what you have seen, as `slipway post approval` shows it."
)


@click.command(cls=Command)
@post_argument
def approval(post: UUID) -> None:
    """Show whether POST is approved as it is, and the hash that an approval names.

    Example:
      slipway post approval 0199c0de-0000-7000-8000-000000000000 --json
    """
    with open_post(post) as (context, caller):
        _print_approval(_find_approval(context, caller, post))


def _find_approval(context: Context, caller: Caller, post: UUID) -> Any:
    with context.database.begin() as c:
        return approvals.find_approval(c, caller, post)


def _print_approval(found: Any) -> None:
    shown = approval_routes.PostApproval.from_approval(found).model_dump(mode="json")
    print_present({n: v for n, v in shown.items() if is_json() or v is not False})


def _choose_hash(context: Context, caller: Caller, post: UUID, shown: str | None) -> str:
    """Return the hash that was given, or ask for what is shown now. Raises ClickException."""
    if shown is not None:
        return shown
    found = _find_approval(context, caller, post)
    if found is None:
        raise click.ClickException("The post needs no approval.")
    if not is_interactive():
        raise click.UsageError(
            "Give --hash: `slipway post approval` and `slipway post show` show what you approve."
        )
    click.echo(f"`slipway post show {post}` shows it. Its hash is {found.hash}.", err=True)
    click.confirm("Go on with it as it is now?", abort=True, err=True)
    return str(found.hash)


@click.command(cls=Command)
@post_argument
@hash_option
@click.option(
    "--at",
    type=FUTURE_OR_NOW,
    metavar="WHEN",
    help="Its new time, needed once its own has passed: 2h, or now.",
)
def approve(post: UUID, shown: str | None, at: datetime | str | None) -> None:
    """Approve POST as it is: it is sent at its time. Who wrote it or changed it last does not.

    Examples:
      slipway post approve 0199c0de-0000-7000-8000-000000000000
      slipway post approve 0199c0de-0000-7000-8000-000000000000 --hash 9f86…0a08 --at now
    """
    with open_post(post) as (context, caller):
        auth.require_plan(caller)
        with context.database.begin() as c:
            due_at = health.database_now(c) if at == "now" else at
        chosen = _choose_hash(context, caller, post, shown)
        time = due_at if isinstance(due_at, datetime) else None
        _print_approval(approvals.approve(context, caller, post, chosen, time))


@click.command("send-back", cls=Command)
@post_argument
@hash_option
@click.option("--why", required=True, help="What has to be changed.")
def send_back(post: UUID, shown: str | None, why: str) -> None:
    """Send POST back to its author: it waits until they change it.

    Example:
      slipway post send-back 0199c0de-0000-7000-8000-000000000000 --why 'The price is wrong.'
    """
    with open_post(post) as (context, caller):
        chosen = _choose_hash(context, caller, post, shown)
        _print_approval(approvals.send_back(context, caller, post, chosen, why))


@click.command("approval-link", cls=Command)
@click.argument("posts", nargs=-1, required=True, metavar="POST...", type=id_of("post"))
@click.option("--lasts", type=DURATION, default="72h", show_default=True, help="How long it works: 72h.")
def approval_link(posts: tuple[UUID, ...], lasts: timedelta) -> None:
    """Make a link to a page on which a client without a login approves POSTs of one workspace, or sends them back.

    Each is answered once. The link is shown only now.

    Example:
      slipway post approval-link 0199c0de-0000-7000-8000-000000000000 --lasts 72h
    """
    if len(posts) > approvals.MOST_POSTS:
        raise click.UsageError(f"A link has at most {approvals.MOST_POSTS} posts; these are {len(posts)}.")
    with runtime.open_context() as context:
        groups = group_by_workspace(context, posts, require_all=True)
        if len(groups) > 1:
            raise click.UsageError("A link is of one workspace; these posts are of several.")
        token, link = approvals.make_link(context, groups[0][0], posts, lasts)
        url = context.settings.own_url + approvals.LINK_PATH.format(token=token)
    print_fields({"url": url, "posts": len(link.posts), "expires_at": link.expires_at})


COMMANDS = (create, validate, edit, schedule, approval, approve, send_back, approval_link)
"""The commands that `slipway post` has from here."""
