"""Options that make the body of `POST /posts` or `PATCH /posts/{id}`, for `slipway post create|validate|edit`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

import click

from pipeline.cli import lazy_imports
from pipeline.cli.options import FUTURE_OR_NOW
from pipeline.cli.runtime import require_account_of

with lazy_imports():
    from pipeline.api.http import dependencies
    from pipeline.api.posts import batch_schema


if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


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


def body_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a body."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def build_body(c: Connection, workspace: UUID, options: Mapping[str, Any]) -> Any:
    """Return the body that the options describe. Raises ClickException, and Refusal for a file that is not JSON."""
    body = _read_file(options["body"])
    if not isinstance(body, dict):
        return body  # the schema says what is wrong
    _set_media(body, options)
    if options["accounts"]:
        known = [require_account_of(c, workspace, name) for name in options["accounts"]]
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

    return {} if file is None else dependencies.parse_json(file.read(), batch_schema.MAX_PARTS)


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
