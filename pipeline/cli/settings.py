"""`slipway settings|vault|broker`: settings, keys that encrypt secrets at rest, messages of the broker."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

import click

from pipeline.cli import lazy_imports
from pipeline.cli.output import Group, answer, is_json, pick, print_fields, print_rows
from pipeline.cli.runtime import connect, find_actor, open_context, report_errors

with lazy_imports():
    from config import safety
    from config import settings as config
    from pipeline.store import vault as vault_store


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


@click.group(cls=Group)
def settings() -> None:
    """Settings: names, meanings, values and checks."""


@settings.command("list")
def list_() -> None:
    """List every setting with its meaning, default and value (secrets are masked).

    Example:
      slipway settings list --json
    """
    meanings = config.describe_settings()
    defaults, values = flatten(config.Settings()), flatten(config.load())
    rows = [
        {"setting": name, "value": values[name], "default": defaults[name], "meaning": meanings[name]}
        for name in meanings
    ]
    if is_json():
        print_rows(rows)
    for row in () if is_json() else rows:
        changed = "" if row["value"] == row["default"] else f"   (default: {row['default'] or 'empty'})"
        click.echo(f"{row['setting']}={row['value']}{changed}\n    {row['meaning']}")


@settings.command()
@click.option(
    "--production",
    is_flag=True,
    help="Also require the vault's keys, Flower's password, and the passwords of docker-compose.yml's engines.",
)
def check(*, production: bool) -> None:
    """Check the settings as every process does at its start. Exit status 2 and a sentence for each error.

    Example:
      SLIPWAY_SETTINGS_FILE=/etc/slipway.env slipway settings check
    """
    _, errors = config.examine(os.environ, tuple(safety.NEEDED) if production else ())
    if production:
        errors += safety.find_weak_compose_secrets(os.environ)
    if errors:
        raise config.SettingsError("\n".join(errors))
    file = os.environ.get(config.FILE_VARIABLE)
    over = f" over {file}" if file else ""
    answer({"valid": True, "file": file}, f"The settings are valid and consistent (environment{over}).")


@settings.command()
def example() -> None:
    """Print the example file: every setting with its meaning and default, required ones first.

    Example:
      slipway settings example > config/.env.example
    """
    meanings, defaults = config.describe_settings(), flatten(config.Settings(), plain=True)
    if is_json():
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
        print_rows(rows)
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


def flatten(settings: config.Settings, *, plain: bool = False) -> dict[str, str]:
    """Return variable -> value of every setting; a secret only as "(set)", unless ``plain``."""
    from pydantic import SecretStr

    def to_text(value: Any) -> str:
        if isinstance(value, SecretStr):
            secret = value.get_secret_value()
            return secret if plain or not secret else "(set)"
        return str(value)

    return {name: to_text(value) for name, value in config.list_values(settings).items()}


@click.group(cls=Group)
def vault() -> None:
    """Encryption of secrets at rest."""


@vault.command()
def new_key() -> None:
    """Print a new key. To rotate, put it in front of the old ones in SLIPWAY_VAULT__KEYS, separated by a comma.

    Example:
      echo SLIPWAY_VAULT__KEYS=$(slipway vault new-key) >> /etc/slipway.env
    """
    from cryptography.fernet import Fernet

    key = Fernet.generate_key().decode()
    answer({"key": key}, key)


@vault.command(
    epilog="First put the new key in front of the old ones in SLIPWAY_VAULT__KEYS of every process and restart them; "
    "afterwards the old keys can be removed."
)
def rotate() -> None:
    """Encrypt all stored credentials and checkpoints with the newest key. If interrupted, run it again.

    Example:
      slipway vault rotate
    """

    def print_progress(count: vault_store.RotationProgress) -> None:
        if not is_json():
            click.echo(f"{count.what}: {count.sealed_again + count.newest_already} done …", err=True)

    with report_errors(), connect() as database:
        keys = config.settings().vault.keys.get_secret_value()
        counts = vault_store.rotate(database, find_actor(), keys, print_progress)
    names = "what sealed_again newest_already"
    rows = [{**pick(count, names), "unopened": len(count.unopened)} for count in counts]
    print_rows(rows)
    if unopened := [str(owner) for count in counts for owner in count.unopened]:
        raise click.ClickException(
            f"{len(unopened)} secrets open with none of the keys ({', '.join(unopened[:3])}"
            f"{' …' if unopened[3:] else ''}): put the key that encrypted them back into SLIPWAY_VAULT__KEYS "
            "and run this again."
        )


@click.group(cls=Group)
def broker() -> None:
    """Messages of the broker. It holds no facts: all can be dispatched again from the database."""


@broker.command()
@click.option(
    "--per-second",
    type=click.FloatRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Messages sent per second.",
)
def rebuild(per_second: float) -> None:
    """Dispatch a message for everything that waits. Safe at any time; seldom needed, as maintenance does it too.

    Example:
      slipway broker rebuild --per-second 500
    """
    from pipeline.maintenance.rebuild_broker import BrokerUnreachable, Dispatched, rebuild_broker

    def print_progress(dispatched: Dispatched) -> None:
        if not is_json():
            click.echo(f"\r{dispatched.deliveries} deliveries, {dispatched.looks} looks", nl=False, err=True)

    with open_context() as context:
        try:
            dispatched = rebuild_broker(context, per_second=per_second, on_progress=print_progress)
        except BrokerUnreachable as error:
            raise click.ClickException(str(error)) from None
    if not is_json():
        click.echo(err=True)
    print_fields(asdict(dispatched))
