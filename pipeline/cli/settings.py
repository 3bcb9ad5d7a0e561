"""`slipway settings`: every setting with its meaning, and whether today's fit together."""

from __future__ import annotations

import os
from typing import Any

import click

from pipeline.cli.printing import json_option, show


@click.group()
def command() -> None:
    """What can be set, and how it is set."""


@command.command("list", epilog="Example:\n\n  slipway settings list --json")
@json_option
def list_(*, as_json: bool) -> None:
    """Every setting: its meaning, its default and its value (secrets are masked)."""
    from config.settings import Settings, load, names

    meanings = names()
    defaults, values = _flat(Settings()), _flat(load())
    rows = [
        {"setting": name, "value": values[name], "default": defaults[name], "meaning": meanings[name]}
        for name in meanings
    ]
    if as_json:
        show(rows, as_json=True)
    for row in () if as_json else rows:
        changed = "" if row["value"] == row["default"] else f"   (default: {row['default'] or 'empty'})"
        click.echo(f"{row['setting']}={row['value']}{changed}\n    {row['meaning']}")


@command.command(epilog="Example:\n\n  SLIPWAY_SETTINGS_FILE=/etc/slipway.env slipway settings check")
def check() -> None:
    """Read the settings as a start would; exit status 2 and a sentence each if any is wrong."""
    from config.settings import FILE_VARIABLE, load

    load()
    file = os.environ.get(FILE_VARIABLE)
    click.echo(f"The settings fit together (environment{f' over {file}' if file else ''}).")


def _flat(settings: Any) -> dict[str, str]:
    """Every leaf as its variable and its value; a secret only says whether it is set."""
    from pydantic import BaseModel, SecretStr

    from config.settings import PREFIX

    def shown(value: Any) -> str:
        if isinstance(value, SecretStr):
            return "(set)" if value.get_secret_value() else ""
        return str(value)

    found = {}
    for group in type(settings).model_fields:
        value = getattr(settings, group)
        if isinstance(value, BaseModel):
            for leaf in type(value).model_fields:
                found[f"{PREFIX}{group}__{leaf}".upper()] = shown(getattr(value, leaf))
        else:
            found[f"{PREFIX}{group}".upper()] = shown(value)
    return found
