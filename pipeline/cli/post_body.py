"""Options that make the body of `POST /posts` or `PATCH /posts/{id}`, for `slipway post create|validate|edit`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.cli import lazy_imports, runtime
from pipeline.cli.options import FUTURE_OR_NOW, add_options

with lazy_imports():
    from pipeline.api.http import dependencies
    from pipeline.api.posts import batch

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


_OPTIONS = (
    click.option("--caption", help="The text."),
    click.option("--video", metavar="URL", help="A video."),
    click.option(
        "--image", "images", multiple=True, metavar="URL", help="An image; may be repeated, in order."
    ),
    click.option("--text", is_flag=True, help="No file, the caption alone: LinkedIn and Facebook take it."),
    click.option("--document", metavar="URL", help="A PDF, for LinkedIn; --title names it."),
    click.option("--title", help="The name that a document is shown with."),
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
        help="A time with an offset, a duration from now (2h), now, or auto: the next free posting time.",
    ),
    click.option("--music-url", metavar="URL", help="The TikTok post whose sound is used."),
    click.option(
        "--first-comment", metavar="TEXT", help="What each account says below its post once it is live."
    ),
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
        "--own",
        "own",
        nargs=2,
        multiple=True,
        metavar="ACCOUNT KEY=VALUE",
        help="What one of the accounts has of its own: caption, video, image, first_comment, scheduled_at or "
        "SECTION.KEY; may be repeated.",
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
    file = options["body"]
    body = {} if file is None else dependencies.parse_json(file.read(), batch.MAX_PARTS)
    if not isinstance(body, dict):
        return body  # the schema says what is wrong
    _set_media(body, options)
    if options["accounts"]:
        known = [runtime.require_account_of(c, workspace, name) for name in options["accounts"]]
        body["accounts"] = [{"id": str(account.id)} for account in known]
    for option in options["sections"]:
        _set_option(body, option)
    for name, setting in options["own"]:
        _set_own(body, str(runtime.require_account_of(c, workspace, name).id), name, setting)
    if options["at"] is not None:
        body["scheduled_at"] = to_scheduled_at(options["at"])
    plain = ("caption", "music_url", "first_comment", "ai_generated")
    given = {name: options[name] for name in plain if options[name] is not None}
    return {**body, **given}


def _set_media(body: dict[str, Any], options: Mapping[str, Any]) -> None:
    given = [name for name in ("video", "images", "text", "document") if options[name]]
    if len(given) > 1:
        raise click.ClickException(
            "Give one of --video, --image, --text and --document: a post is of one kind."
        )
    if options["video"]:
        body["media"] = {"type": "video", "url": options["video"]}
    if options["images"]:
        body["media"] = {"type": "slideshow", "urls": list(options["images"])}
    if options["text"]:
        body["media"] = {"type": "text"}
    if options["document"]:
        body["media"] = {"type": "document", "url": options["document"]}
    details = {name: options[name] for name in ("title", "cover", "fit")}
    details["alt_texts"] = [text or None for text in options["alt_texts"]] or None
    for key, value in details.items():
        if value is not None:
            _change_media(body, key, _parse_cover(value) if key == "cover" else value)


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


def _set_own(body: dict[str, Any], account: str, name: str, setting: str) -> None:
    """Put ``KEY=VALUE`` into the entry of an account. Raises ClickException if the command names no such account."""
    known = body.get("accounts")
    entries = [one for one in known if isinstance(one, dict)] if isinstance(known, list) else []
    entry = next((one for one in entries if str(one.get("id")).lower() == account), None)
    key, equals, value = setting.partition("=")
    if entry is None:
        raise click.ClickException(f"--own {name}: name the account by --account, or in --body, too.")
    if key in ("caption", "first_comment", "scheduled_at") and equals:
        entry[key] = value
    elif key == "video" and equals:
        entry["media"] = {"type": "video", "url": value}
    elif key == "image" and equals:
        urls = (entry.get("media") or {}).get("urls", ())
        entry["media"] = {"type": "slideshow", "urls": [*urls, value]}
    else:
        _set_option(entry, setting)


def _change_media(body: dict[str, Any], key: str, value: Any) -> None:
    """Set one key of the media that the command sends. Raises ClickException if it sends none."""
    if not isinstance(body.get("media"), dict):
        raise click.ClickException(
            f"{key} goes with media: give --video, --image, --document or --body, too."
        )
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


def to_scheduled_at(at: datetime | str) -> str | None:
    """Return a time as the API takes it; None: at once."""
    if isinstance(at, str):
        return None if at == "now" else at
    return at.isoformat()
