"""`slipway vault`: keys for the secrets at rest."""

from __future__ import annotations

import click


@click.group()
def command() -> None:
    """Encryption of secrets at rest."""


@command.command(epilog="Example:\n\n  echo SLIPWAY_VAULT__KEYS=$(slipway vault new-key) >> /etc/slipway.env")
def new_key() -> None:
    """Print a new key. To rotate, put it in front of the old ones in SLIPWAY_VAULT__KEYS, separated by a comma."""
    from cryptography.fernet import Fernet

    click.echo(Fernet.generate_key().decode())
