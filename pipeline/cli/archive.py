"""`slipway archive`: base backups of `slipway up`'s database beside its archived log, and a restore to a moment."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path

import click

from pipeline.api.http.timestamp import format_timestamp
from pipeline.cli import backup, lazy_imports, output
from pipeline.cli.options import PAST_OR_NOW
from pipeline.cli.runtime import find_actor, open_context

with lazy_imports():
    from config import settings as config
    from pipeline import wiring
    from pipeline.embedded import archive as archives
    from pipeline.embedded import data_folder, postgres
    from pipeline.recovery import backup as backups


@click.group("archive", cls=output.Group)
def command() -> None:
    """Restore the database of `slipway up` to any moment: base backups, and the log in SLIPWAY_STORE__ARCHIVE.

    The log is archived as it is written, from the start of `slipway up` with that setting. Files lie elsewhere: see
    `slipway backup`.
    """


@command.command
@click.option(
    "--keep", type=click.IntRange(1, 1000), help="Remove all but this many, and the log before them."
)
def base(keep: int | None) -> None:
    """Make a base backup, while everything runs: a restore begins from one, the newer the faster.

    Example:
      slipway archive base --keep 7
    """
    with backup.report_failures(), open_context(warn=False) as context:
        s = context.settings
        with context.database.once() as c:
            run, _ = archives.require_run(c, s.store.archive)
        url = s.store.url.get_secret_value()
        made = backup.follow(partial(archives.make_base, context.database, url, postgres.find_program, run))
        removed = archives.prune(run, keep) if keep else []
    output.print_fields({"base": str(made), "removed": [one.name for one in removed]})


@command.command("list")
def list_() -> None:
    """List the base backups, and say how much of the log is not archived yet.

    Example:
      slipway archive list
    """
    with backup.report_failures(), open_context(warn=False) as context:
        archive = context.settings.store.archive
        with context.database.once() as c:
            run, behind = archives.require_run(c, archive)
    bases = [
        {"from": format_timestamp(since), "base": one, "run": "goes on" if one.parent == run else "has ended"}
        for since, one in archives.list_bases(Path(archive))
    ]
    output.print_rows(bases)
    if not output.is_json():
        click.echo(f"\nThe log is archived to {run}; {behind:,} bytes are not there yet.")


@command.command
@click.option("--at", type=PAST_OR_NOW, help="The moment, a time or 3h (ago); otherwise the end of the log.")
def restore(at: datetime | None) -> None:
    """Restore the database of `slipway up`, stopped, from SLIPWAY_STORE__ARCHIVE; what is there is never replaced.

    Nothing is sent before `slipway restore accept`. If it is interrupted, run it again. Then make a base: a restored
    database begins a log of its own.

    Example:
      slipway archive restore --at 2027-02-01T11:59:00Z
    """
    with backup.report_failures():
        folder = backup.use_own_settings()
        archive = config.load().store.archive
        if not archive:
            raise click.ClickException("SLIPWAY_STORE__ARCHIVE is not set: name the folder of the archive.")
        with data_folder.hold_lock(folder):
            base_at, found = archives.find_base(Path(archive), at)
            server = archives.RestoredServer(folder, found, at)
            backup.follow(server.prepare)
            click.echo("replay the log", err=True)
            try:
                # on this thread: the server ends with the one that started it
                server.start(archives.REPLAY_SECONDS)
                os.environ["SLIPWAY_STORE__URL"] = server.url
                context = wiring.build_context(config.settings(), keeps_epoch_file=False, needs_vault=False)
                with closing(context.database):
                    reached = backups.hold_replayed(context, find_actor(), base_at)
                    missing = backups.list_missing(context, *backups.find_lost(context))
                server.take_place()
            finally:
                server.stop()
    output.print_fields({"restored": format_timestamp(reached), "from": str(found), "missing": missing})
    if not output.is_json():
        click.echo(backup.NEXT)
