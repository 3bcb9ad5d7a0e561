"""`slipway settings`: list every setting, check the current ones, print the example file."""

from __future__ import annotations

import os
from typing import Any

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, print_fields, print_rows

HEADER = """\
# Every setting of Slipway, with its meaning and default. Copy this file to .env next to docker-compose.yml (or name the
# copy in SLIPWAY_SETTINGS_FILE), make it private (chmod 600), and remove the # from the lines you change.

# Required in production. Make a vault key with: slipway vault new-key
"""
REQUIRED = {
    "SLIPWAY_STORE__URL": "postgresql+psycopg://slipway:change-me@postgres/slipway",
    "SLIPWAY_BROKER__URL": "redis://:change-me@valkey:6379/0",
    "SLIPWAY_VAULT__KEYS": "",
    "SLIPWAY_FLOWER__PASSWORD": "change-me",
    "SLIPWAY_API__PUBLIC_URL": "https://change-me.example.com",
}
COMPOSE_ONLY = """
# docker-compose.yml passes these to PostgreSQL, Valkey, Grafana and Alertmanager. The first two are part of the URLs
# above. The last gets all alerts, as JSON (Alertmanager's webhook format).
POSTGRES_PASSWORD='change-me'
VALKEY_PASSWORD='change-me'
GRAFANA_PASSWORD='change-me'
ALERT_WEBHOOK_URL='https://change-me.example.com/alerts'

"""


@click.group()
def command() -> None:
    """Settings: names, meanings, values and checks."""


@command.command("list", epilog=EXAMPLE + "slipway settings list --json")
@json_option
def list_(*, as_json: bool) -> None:
    """List every setting with its meaning, default and value (secrets are masked)."""
    from config.settings import Settings, describe_settings, load

    meanings = describe_settings()
    defaults, values = _flatten(Settings()), _flatten(load())
    rows = [
        {"setting": name, "value": values[name], "default": defaults[name], "meaning": meanings[name]}
        for name in meanings
    ]
    if as_json:
        print_rows(rows, as_json=True)
    for row in () if as_json else rows:
        changed = "" if row["value"] == row["default"] else f"   (default: {row['default'] or 'empty'})"
        click.echo(f"{row['setting']}={row['value']}{changed}\n    {row['meaning']}")


@command.command(epilog=EXAMPLE + "SLIPWAY_SETTINGS_FILE=/etc/slipway.env slipway settings check")
@click.option(
    "--production",
    is_flag=True,
    help="Also require the vault's keys, Flower's password, and the passwords of docker-compose.yml's engines.",
)
@json_option
def check(*, production: bool, as_json: bool) -> None:
    """Check the settings as every process does at its start. Exit status 2 and a sentence for each error."""
    from config.safety import NEEDED, find_weak_compose_secrets
    from config.settings import FILE_VARIABLE, SettingsError, examine

    _, errors = examine(os.environ, tuple(NEEDED) if production else ())
    if production:
        errors += find_weak_compose_secrets(os.environ)
    if errors:
        raise SettingsError("\n".join(errors))
    file = os.environ.get(FILE_VARIABLE)
    if as_json:
        print_fields({"valid": True, "file": file}, as_json=True)
    else:
        click.echo(f"The settings are valid and consistent (environment{f' over {file}' if file else ''}).")


@command.command(epilog=EXAMPLE + "slipway settings example > config/.env.example")
@json_option
def example(*, as_json: bool) -> None:
    """Print the example file: every setting with its meaning and default, required ones first."""
    from config.settings import Settings, describe_settings

    meanings, defaults = describe_settings(), _flatten(Settings(), plain=True)
    if as_json:
        names = [*REQUIRED, *(name for name in meanings if name not in REQUIRED)]
        rows = [
            {
                "setting": name,
                "example": REQUIRED.get(name, defaults[name]),
                "meaning": meanings[name],
                "required": name in REQUIRED,
            }
            for name in names
        ]
        print_rows(rows, as_json=True)
        return
    click.echo(
        HEADER + "".join(f"{name}='{value}'\n" for name, value in REQUIRED.items()) + COMPOSE_ONLY, nl=False
    )
    group = ""
    for name in (name for name in meanings if name not in REQUIRED):
        first, _, leaf = name.removeprefix("SLIPWAY_").partition("__")
        if leaf and first != group:
            click.echo(f"\n# ── {first.lower()}")
        group = first
        click.echo(f"# {meanings[name]}\n#{name}='{defaults[name]}'")


def _flatten(settings: Any, *, plain: bool = False) -> dict[str, str]:
    """Return variable -> value of every setting; a secret only as "(set)", unless ``plain``."""
    from pydantic import BaseModel, SecretStr

    from config.settings import PREFIX

    def to_text(value: Any) -> str:
        if isinstance(value, SecretStr):
            secret = value.get_secret_value()
            return secret if plain or not secret else "(set)"
        return str(value)

    found = {}
    for group in type(settings).model_fields:
        value = getattr(settings, group)
        if isinstance(value, BaseModel):
            for leaf in type(value).model_fields:
                found[f"{PREFIX}{group}__{leaf}".upper()] = to_text(getattr(value, leaf))
        else:
            found[f"{PREFIX}{group}".upper()] = to_text(value)
    return found
