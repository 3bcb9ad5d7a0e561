"""`slipway restore`: after a database restore, list what may have been sent since the backup, and resume sending."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.api.http.timestamp import format_timestamp
from pipeline.cli import backup, lazy_imports, output
from pipeline.cli.options import PAST_OR_NOW
from pipeline.cli.runtime import find_actor, open_context, open_transaction
from pipeline.domain.delivery_error import describe_last_look

with lazy_imports():
    from config import settings as config
    from pipeline.domain import restore as epoch
    from pipeline.recovery import restore
    from pipeline.runtime import epoch_file as epoch_files
    from pipeline.store.recovery import epoch as epoch_store
    from pipeline.store.recovery import restores


if TYPE_CHECKING:
    from sqlalchemy import Connection


until_option = click.option(
    "--until",
    type=PAST_OR_NOW,
    help="Until when posts were sent, if the epoch file was lost: a time, 3h (ago), or now.",
)
send_new_option = click.option(
    "--send-new",
    is_flag=True,
    help="Posts accepted since the restore do not repeat lost ones: publish them.",
)
WHY = {
    "restored": "The epoch file was written by a later state of the database: the database was restored from a backup. "
    "(Or SLIPWAY_MARK__FOLDER belongs to another installation.)",
    "lost": "There was an epoch file, and SLIPWAY_MARK__FOLDER does not contain it any more.",
    "declared": "An operator declared it with `slipway restore declare`.",
    "backup": "`slipway restore FOLDER` or `slipway archive restore` has put a backup into this database.",
}
STEPS = {
    "restored": "`slipway restore list` shows them. Then run `slipway restore accept`: they become unknown and are "
    "looked up on the platforms, everything else resumes.",
    "lost": "Put the epoch file back. If it is lost and the database is not restored: `slipway restore accept "
    "--nothing-sent 'only the epoch file was lost'`.\n"
    "If the database was restored as well: `slipway restore accept --until TIME`.",
    "backup": "`slipway restore list` shows them. Then `slipway restore accept`; if the end of the time in doubt is "
    "not known, with --until TIME: when the installation that was backed up has stopped.",
}


class RestoreGroup(output.Group):
    """The commands, and `slipway restore FOLDER`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; what is no command, and there, is the folder of a backup: a misspelt command is none."""
        is_folder = args[0] not in self.commands and Path(args[0]).exists()
        return super().resolve_command(ctx, ["apply", *args] if is_folder else args)


@click.group(cls=RestoreGroup)
def command() -> None:
    """Restore a backup (`slipway restore FOLDER`); list what may have been sent since it was made; resume sending."""


command.add_command(backup.apply)


@command.command()
@until_option
def status(until: datetime | None) -> None:
    """Show whether the database matches the epoch file; if not, the time in doubt and the deliveries in it.

    Example:
      slipway restore status
    """
    with _open_epoch_file() as epoch_file, open_transaction(warn=False) as c:
        doubt = _find_doubt(c, epoch_file)
        status_fields = _describe(c, doubt, epoch_file, until)
    if output.is_json() or doubt is None:
        output.print_fields(status_fields)
        return
    counts = status_fields.pop("deliveries")
    output.print_fields(status_fields)
    click.echo("\nMay have been sent")
    output.print_rows(counts, empty="No delivery.")
    click.echo(f"\n{STEPS.get(doubt.why, STEPS['restored'])}")


@command.command("list")
@until_option
@click.option(
    "--waiting", is_flag=True, help="Only deliveries that wait for a look or an operator. After `accept`."
)
@click.option("--limit", type=click.IntRange(1), help="Default all.")
def list_(until: datetime | None, limit: int | None, *, waiting: bool) -> None:
    """List the deliveries that may have been sent since the backup; after `accept`, with their current states.

    Example:
      slipway restore list --waiting --json
    """
    with _open_epoch_file() as epoch_file, open_transaction(warn=False) as c:
        doubt, accepted = _find_doubt(c, epoch_file), restores.find_last(c)
        if doubt is not None:
            span = _require_span(restore.find_span(doubt, epoch_file, restore.Acceptance(until=until)))
            found = restores.find_doubtful(c, span, limit)
        else:
            found = (
                [] if accepted is None else restores.list_accepted(c, accepted.epoch, limit, waiting=waiting)
            )
    if output.is_json():
        output.print_rows(
            [{**_to_row(one), "candidates": output.list_candidates(one.error)} for one in found]
        )
        return
    output.print_rows([_to_row(one) for one in found], empty="No deliveries are in doubt.")
    output.print_candidates({str(one.id): one.error for one in found})


@command.command()
@until_option
@click.option(
    "--nothing-sent", metavar="WHY", help="Nothing was sent since the backup; WHY says how you know."
)
@send_new_option
def accept(until: datetime | None, nothing_sent: str | None, *, send_new: bool) -> None:
    """Make the deliveries in doubt unknown and resume sending. Each is looked up on its platform, then decided by hand.

    First stop every process that is still connected to the old database. Workspaces that were deleted since the backup
    are erased again.

    Examples:
      slipway restore accept
      slipway restore accept --until 2027-02-01T15:00:00Z
      slipway restore accept --nothing-sent 'moved to another server; dumped after everything was stopped'
    """
    from pipeline.maintenance import erasure  # here, as all jobs are slow to import

    if nothing_sent is not None and not nothing_sent.strip():
        raise click.ClickException("--nothing-sent is empty: say how you know.")
    with _open_epoch_file() as epoch_file, open_context(warn=False) as context:
        acceptance = restore.Acceptance(until=until, nothing_sent=nothing_sent, taken_since=not send_new)
        with context.database.begin() as c:
            is_restored = _find_doubt(c, epoch_file) is not None
        if is_restored and (left := erasure.erase_restored(context, find_actor(), epoch_file)):
            names = ", ".join(map(str, left))
            raise click.ClickException(
                f"The backup brought back deleted workspaces, and these are not erased yet: {names}. "
                "`slipway doctor` shows whether the store of files answers; then accept again."
            )
        try:
            found = restore.accept(context, find_actor(), epoch_file, acceptance)
        except restore.CannotAccept as error:
            raise click.ClickException(f"{error} `slipway restore status` shows the state.") from None
    if output.is_json():
        output.print_rows([_to_row(one) for one in found])
        return
    click.echo(f"{len(found)} deliveries are unknown now and are looked up; everything else resumes.")
    if found:
        click.echo(
            "`slipway restore list --waiting` shows the deliveries that wait for an operator. Decide each with\n"
            "  slipway delivery decide ID --live URL    or    --again"
        )


@command.command()
@click.option(
    "--since", type=PAST_OR_NOW, required=True, help="When the backup was made: a time, or 20h (ago)."
)
@until_option
def declare(since: datetime, until: datetime | None) -> None:
    """Declare that the database was restored, if the epoch file was restored with it (a snapshot of the machine).

    Example:
      slipway restore declare --since 2027-02-01T03:00:00Z
    """
    with _open_epoch_file() as epoch_file, open_context(warn=False) as context:
        doubt = restore.declare(context, find_actor(), epoch_file, since=since, until=until)
        with context.database.begin() as c:
            status_fields = _describe(c, doubt, epoch_file, None)
    status_fields.pop("deliveries")
    output.print_fields(status_fields)
    if not output.is_json():
        click.echo(f"\nNothing is sent until the restore is accepted. {STEPS['restored']}")


def _find_doubt(c: Connection, epoch_file: epoch_files.EpochFile) -> epoch_store.Doubt | None:
    """Return the doubt in the database, or the one that a comparison with the epoch file gives now. Stores nothing."""
    kept, found = epoch_store.lock(c), epoch_file.read()
    if kept.doubt is not None:
        return kept.doubt
    match = epoch.compare_epochs(kept.stored, found)
    if match in (epoch.EpochMatch.IN_STEP, epoch.EpochMatch.NEW) or (
        match is epoch.EpochMatch.LOST and kept.is_open
    ):
        return None
    return epoch_store.Doubt(
        why=match, found_at=kept.now, since=kept.confirmed_at, until=None if found is None else found.until
    )


def _describe(
    c: Connection, doubt: epoch_store.Doubt | None, epoch_file: epoch_files.EpochFile, until: datetime | None
) -> dict[str, Any]:
    if doubt is None:
        accepted = restores.find_last(c)
        return {
            "state": "in step",
            "last_accepted_at": None if accepted is None else format_timestamp(accepted.accepted_at),
        }
    span = restore.find_span(doubt, epoch_file, restore.Acceptance(until=until))
    found: Mapping[tuple[str, str], int] = {} if span is None else restores.count_doubtful(c, span)
    return {
        "state": "in doubt",
        "why": WHY[doubt.why],
        "found_at": format_timestamp(doubt.found_at),
        "since": format_timestamp(doubt.since) or "the beginning",
        "until": format_timestamp(span.until if span else None) or "not known",
        "deliveries": [{"platform": p, "why": why, "number": n} for (p, why), n in found.items()],
    }


def _to_row(one: restores.Doubtful) -> dict[str, Any]:
    return {
        **output.pick(
            one, "id post=post_id workspace platform username due_at why in_backup=origin state reason url"
        ),
        "found": one.error and " ".join([one.error["message"], *describe_last_look(one.error)]),
    }


def _require_span(span: restores.Span | None) -> restores.Span:
    if span is None:
        raise click.ClickException(
            "There is no epoch file, so it is not known until when posts were sent: give --until."
        )
    return span


@contextmanager
def _open_epoch_file() -> Iterator[epoch_files.EpochFile]:
    """The epoch file's folder. Raises ClickException when it cannot be read or is not kept here."""
    s = config.settings()
    if not s.mark.keep:
        raise click.ClickException("SLIPWAY_MARK__KEEP is false here: run this where the epoch file is kept.")
    try:
        yield epoch_files.EpochFile(s.mark_folder)
    except OSError as error:
        raise click.ClickException(f"The epoch file in {s.mark_folder}: {error}") from None
