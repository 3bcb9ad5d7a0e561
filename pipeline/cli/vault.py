"""`slipway vault`: keys that encrypt secrets at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, pick, print_fields, print_rows
from pipeline.cli.runtime import report_errors

if TYPE_CHECKING:
    from pipeline.store.vault_rotation import RotationProgress


@click.group()
def command() -> None:
    """Encryption of secrets at rest."""


@command.command(epilog=EXAMPLE + "echo SLIPWAY_VAULT__KEYS=$(slipway vault new-key) >> /etc/slipway.env")
@json_option
def new_key(*, as_json: bool) -> None:
    """Print a new key. To rotate, put it in front of the old ones in SLIPWAY_VAULT__KEYS, separated by a comma."""
    from cryptography.fernet import Fernet

    key = Fernet.generate_key().decode()
    if as_json:
        print_fields({"key": key}, as_json=True)
    else:
        click.echo(key)


@command.command(
    epilog="First put the new key in front of the old ones in SLIPWAY_VAULT__KEYS of every process and restart them; "
    f"afterwards the old keys can be removed.\n\n{EXAMPLE}slipway vault rotate"
)
@json_option
def rotate(*, as_json: bool) -> None:
    """Encrypt all stored credentials and checkpoints with the newest key. If interrupted, run it again."""
    from config.settings import settings
    from pipeline.cli.actor import find_actor
    from pipeline.store.database import Database
    from pipeline.store.vault_rotation import rotate as rotate_secrets

    def print_progress(count: RotationProgress) -> None:
        if not as_json:
            click.echo(f"{count.what}: {count.sealed_again + count.newest_already} done …", err=True)

    with report_errors():
        database = Database(settings().store.url.get_secret_value(), pool=1)
        try:
            keys = settings().vault.keys.get_secret_value()
            counts = rotate_secrets(database, find_actor(), keys, print_progress)
        finally:
            database.close()
    names = "what sealed_again newest_already"
    rows = [{**pick(count, names), "unopened": len(count.unopened)} for count in counts]
    print_rows(rows, as_json=as_json)
    if unopened := [str(owner) for count in counts for owner in count.unopened]:
        raise click.ClickException(
            f"{len(unopened)} secrets open with none of the keys ({', '.join(unopened[:3])}"
            f"{' …' if unopened[3:] else ''}): put the key that encrypted them back into SLIPWAY_VAULT__KEYS "
            "and run this again."
        )
