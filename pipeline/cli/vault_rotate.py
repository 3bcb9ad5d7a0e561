"""`slipway vault-rotate`: every secret at rest sealed with the newest key, so that the old one can go."""

from __future__ import annotations

import click

from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, show
from pipeline.cli.runtime import sentences


@click.command(
    epilog="First put the new key in front of the old ones in SLIPWAY_VAULT__KEYS of every process and restart them; "
    f"after this the old ones can go.\n\n{EXAMPLE}slipway vault-rotate"
)
@json_option
def command(*, as_json: bool) -> None:
    """Seal all credentials and checkpoints with the newest key again. Cut off, it is simply started again."""
    from config.settings import settings
    from pipeline.store.database import Database
    from pipeline.store.vault_rotation import Count, rotate

    def tell(count: Count) -> None:
        if not as_json:
            click.echo(f"{count.what}: {count.sealed_again + count.newest_already} done …", err=True)

    with sentences():
        database = Database(settings().store.url.get_secret_value(), pool=1)
        try:
            counts = rotate(database, settings().vault.keys.get_secret_value(), tell)
        finally:
            database.close()
    rows = [
        {
            "what": count.what,
            "sealed_again": count.sealed_again,
            "newest_already": count.newest_already,
            "unopened": len(count.unopened),
        }
        for count in counts
    ]
    show(rows, as_json=as_json)
    if unopened := [str(owner) for count in counts for owner in count.unopened]:
        raise click.ClickException(
            f"{len(unopened)} open with none of the keys ({', '.join(unopened[:3])}{' …' if unopened[3:] else ''}): "
            "put the key they were sealed with back into SLIPWAY_VAULT__KEYS and start this again."
        )
