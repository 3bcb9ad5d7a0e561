"""Options that make the body of `POST /posts` or `PATCH /posts/{id}`, for `slipway post create|validate|edit`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

import click

from pipeline.cli import lazy_imports, runtime
from pipeline.cli.options import FUTURE_OR_NOW, add_options
from pipeline.cli.output import Command, is_json, print_fields, print_present, print_rows

with lazy_imports():
    from pipeline.actions import edit as edit_actions
    from pipeline.actions import validate as validate_actions
    from pipeline.api.http import auth, dependencies
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

    from sqlalchemy import Connection

    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

_OPTIONS = (
    click.option("--caption", help="The text."),
    click.option("--video", metavar="URL", help="A video."),
    click.option(
        "--image", "images", multiple=True, metavar="URL", help="An image; may be repeated, in order."
    ),
    click.option(
        "--alt-text",
        "alt_texts",
        multiple=True,
        metavar="TEXT",
        help="What the video or the image shows; may be repeated, in the order of the images ('' for none).",
    ),
    click.option(
        "--cover", metavar="SECONDS|URL", help="What stands for the video: a moment of it, or an image."
    ),
    click.option(
        "--fit",
        type=click.Choice(["pad", "crop"]),
        help="Make images of a shape that a platform refuses fit: by white borders, or by cutting edges off.",
    ),
    click.option("--account", "accounts", multiple=True, help="Id or username; may be repeated."),
    click.option(
        "--at",
        type=FUTURE_OR_NOW,
        metavar="WHEN",
        help="A time with an offset, a duration from now (2h), or now.",
    ),
    click.option("--music-url", metavar="URL", help="The TikTok post whose sound is used."),
    click.option(
        "--ai-generated/--no-ai-generated", default=None, help="Whether the media were made with AI."
    ),
    click.option(
        "--option",
        "sections",
        multiple=True,
        metavar="SECTION.KEY=VALUE",
        help="A platform's option, such as youtube.privacy=unlisted, or media.fit=pad; may be repeated. Lists, true, "
        "false and null are written as in JSON.",
    ),
    click.option(
        "--body",
        type=click.File("rb"),
        metavar="FILE",
        help="JSON as the API takes it, for everything else (- is standard input). Options win over it.",
    ),
)


body_options = add_options(*_OPTIONS)


def build_body(c: Connection, workspace: UUID, options: Mapping[str, Any]) -> Any:
    """Return the body that the options describe. Raises ClickException, and Refusal for a file that is not JSON."""
    body = _read_file(options["body"])
    if not isinstance(body, dict):
        return body  # the schema says what is wrong
    _set_media(body, options)
    if options["accounts"]:
        known = [runtime.require_account_of(c, workspace, name) for name in options["accounts"]]
        body["accounts"] = [{"id": str(account.id)} for account in known]
    for option in options["sections"]:
        _set_option(body, option)
    if options["at"] is not None:
        body["scheduled_at"] = _to_scheduled_at(options["at"])
    given = {
        name: options[name] for name in ("caption", "music_url", "ai_generated") if options[name] is not None
    }
    return {**body, **given}


def _set_media(body: dict[str, Any], options: Mapping[str, Any]) -> None:
    if options["video"] and options["images"]:
        raise click.ClickException("Give --video or --image, not both: a post is a video or a slideshow.")
    if options["video"]:
        body["media"] = {"type": "video", "url": options["video"]}
    if options["images"]:
        body["media"] = {"type": "slideshow", "urls": list(options["images"])}
    if options["alt_texts"]:
        _change_media(body, "alt_texts", [text or None for text in options["alt_texts"]])
    if options["cover"] is not None:
        _change_media(body, "cover", _parse_cover(options["cover"]))
    if options["fit"] is not None:
        _change_media(body, "fit", options["fit"])


def _read_file(file: BinaryIO | None) -> Any:
    return {} if file is None else dependencies.parse_json(file.read(), batch.MAX_PARTS)


def _set_option(body: dict[str, Any], option: str) -> None:
    """Put ``SECTION.KEY=VALUE`` into the body. What is unknown or of another type is for the schema to refuse."""
    name, equals, value = option.partition("=")
    section, dot, key = name.partition(".")
    if not equals or not dot:
        raise click.ClickException(
            f"--option {option!r} is not SECTION.KEY=VALUE, as in youtube.title=Hello."
        )
    known = body.get(section)
    body[section] = {**(known if isinstance(known, dict) else {}), key: _parse_value(value)}


def _change_media(body: dict[str, Any], key: str, value: Any) -> None:
    """Set one key of the media that the command sends. Raises ClickException if it sends none."""
    if not isinstance(body.get("media"), dict):
        raise click.ClickException(f"{key} goes with media: give --video, --image or --body, too.")
    body["media"] = {**body["media"], key: value}


def _parse_cover(value: str) -> str | float:
    try:
        return float(value)
    except ValueError:
        return value


def _parse_value(value: str) -> Any:
    """Return a list, true, false or null of JSON; everything else is a text, numbers too."""
    if value not in ("true", "false", "null") and not value.startswith("["):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _to_scheduled_at(at: datetime | str) -> str | None:
    return None if isinstance(at, str) else at.isoformat()


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
def create(workspace: str, external_id: str | None, **options: Any) -> None:
    """Create a post by the rules of the API: nothing is stored if one is broken.

    An equal post of the last minutes, or one of the same --external-id, is returned instead. A body {"posts": [...]}
    makes up to 500 posts, as POST /posts/batch does: exit 1 if one is refused.

    Examples:
      slipway post create --workspace Acme --account acme --caption Hello --video https://cdn.example.com/v.mp4 --at 2h
      slipway post create --workspace Acme --body post.json
      slipway post create --workspace Acme --body posts.json   # {"posts": [...], "atomic": true}
    """
    with runtime.report_refusals(), runtime.open_context() as context:
        caller, body = _read_body(context, workspace, options)
        if external_id is not None and isinstance(body, dict):
            body["external_id"] = external_id
        if is_batch(body):
            create_batch(context, caller, body)
            return
        accepted = ingest.accept(context, caller, _read_post(context, body))
    _print_post(response_models.CreatedPost.model_validate(accepted).model_dump(mode="json"))


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
    requested = runtime.parse_id(post, "post")
    with runtime.report_refusals(), runtime.open_context() as context:
        [(caller, _)] = group_by_workspace(context, [requested], require_all=True)
        auth.require_plan(caller)
        with context.database.begin() as c:
            body = build_body(c, caller.workspace_id, options)
        edited = edit_actions.edit(
            context,
            caller,
            requested,
            action_schema.read_change(body, field_types.build_rules(context.settings)),
        )
    _print_post(action_response_models.UpdatedPost.model_validate(edited).model_dump(mode="json"))


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


def _print_post(facts: dict[str, Any]) -> None:
    print_present(facts if is_json() else {name: fact for name, fact in facts.items() if name != "warnings"})
    for warning in () if is_json() else facts.get("warnings", ()):
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
