"""Options of `slipway key` for a key's limits, and how they are printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.durations import Parsed
from pipeline.domain.key_limits import MAX_POSTS_PER_DAY, MAX_POSTS_PER_MINUTE

if TYPE_CHECKING:
    from pipeline.domain.key_limits import KeyLimits

DEFAULT = "default"
"""The value of an option that gives the limit back to the server's setting."""
_WORDS = {"yes": True, "no": False}
_MUSIC = {None: "as the server", True: "required", False: "optional"}


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for a key's limits."""
    options = (
        ("--posts-per-minute", _parse_number(MAX_POSTS_PER_MINUTE), "N", "Posts per minute; 0: no limit."),
        ("--posts-per-day", _parse_number(MAX_POSTS_PER_DAY), "N", "Posts per day (UTC); 0: no limit."),
        ("--music-required", _parse_word, "yes|no", "Refuse posts whose music cannot be attached."),
    )
    for name, parse, values, meaning in reversed(options):
        command = click.option(
            name,
            type=Parsed(values, parse),
            metavar=f"{values}|{DEFAULT}",
            help=f"{meaning} {DEFAULT}: the server's setting.",
        )(command)
    return command


def read_limits(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits that the options give; None is the server's default."""
    return {name: None if value == DEFAULT else value for name, value in options.items() if value is not None}


def summarize_limits(limits: KeyLimits) -> dict[str, str]:
    """Return the limits as columns for people."""
    rates = ((limits.posts_per_minute, "minute"), (limits.posts_per_day, "day"))
    posts = [f"{rate or 'no limit'} a {unit}" for rate, unit in rates if rate is not None]
    return {"posts": ", ".join(posts) or "as the server", "music": _MUSIC[limits.music_required]}


def _parse_number(most: int) -> Callable[[str], object]:
    def parse(text: str) -> object:
        if text == DEFAULT:
            return text
        if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)) or int(text) > most:
            raise click.BadParameter(f"{text!r} is not a number from 0 to {most}, or `{DEFAULT}`.")
        return int(text)

    return parse


def _parse_word(text: str) -> object:
    if text != DEFAULT and text not in _WORDS:
        raise click.BadParameter(f"{text!r} is not yes, no or `{DEFAULT}`.")
    return _WORDS.get(text, text)
