"""`slipway settings`: every setting with its meaning, and whether today's fit together."""

from __future__ import annotations

import os
from typing import Any

import click

from pipeline.cli.output import json_option, show

HEAD = """\
# Every setting of Slipway, with its meaning and default. Copy it to .env beside docker-compose.yml (or name the copy in
# SLIPWAY_SETTINGS_FILE), close it (chmod 600), and take the # off the lines you change.

# Without these nothing starts in production. A key for the vault: slipway vault new-key.
"""
NEEDED = {
    "SLIPWAY_STORE__URL": "postgresql+psycopg://slipway:change-me@postgres/slipway",
    "SLIPWAY_BROKER__URL": "redis://:change-me@valkey:6379/0",
    "SLIPWAY_VAULT__KEYS": "",
    "SLIPWAY_FLOWER__PASSWORD": "",
    "SLIPWAY_API__PUBLIC_URL": "https://slipway.example.com",
}
OTHERS = """
# docker-compose.yml gives these to PostgreSQL, Valkey and Grafana; the first two stand in the URLs above as well.
POSTGRES_PASSWORD='change-me'
VALKEY_PASSWORD='change-me'
GRAFANA_PASSWORD=''

"""


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


@command.command(epilog="Example:\n\n  slipway settings example > config/.env.example")
def example() -> None:
    """Print the example file: every setting with its meaning and default, those that production needs on top."""
    from config.settings import Settings, names

    meanings, defaults = names(), _flat(Settings(), plain=True)
    click.echo(HEAD + "".join(f"{name}='{value}'\n" for name, value in NEEDED.items()) + OTHERS, nl=False)
    group = ""
    for name in (name for name in meanings if name not in NEEDED):
        first, _, leaf = name.removeprefix("SLIPWAY_").partition("__")
        if leaf and first != group:
            click.echo(f"\n# ── {first.lower()}")
        group = first
        click.echo(f"# {meanings[name]}\n#{name}='{defaults[name]}'")


def _flat(settings: Any, *, plain: bool = False) -> dict[str, str]:
    """Every leaf as its variable and its value; a secret only says whether it is set, unless `plain`."""
    from pydantic import BaseModel, SecretStr

    from config.settings import PREFIX

    def shown(value: Any) -> str:
        if isinstance(value, SecretStr):
            secret = value.get_secret_value()
            return secret if plain or not secret else "(set)"
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
