"""`slipway restore`: after the database was put back from a backup, what may have gone out since, and going on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from pipeline.api.http.timestamp import written
from pipeline.cli import EXAMPLE
from pipeline.cli.durations import UNTIL_NOW
from pipeline.cli.output import json_option, show, show_one
from pipeline.cli.runtime import house, ledger

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.recovery.epoch_file import Outside
    from pipeline.store.recovery.epoch import Doubt
    from pipeline.store.recovery.restores import Doubtful, Span

until_option = click.option(
    "--until",
    type=UNTIL_NOW,
    help="Until when posts were sent, where the mark was lost: a time, 3h (ago), or now.",
)
taken_option = click.option(
    "--send-new",
    is_flag=True,
    help="Posts taken since the restore are no repeats of lost ones: let them go out.",
)
WHY = {
    "restored": "The mark outside the database was written by a later state of it: it was put back from a backup. "
    "(Or SLIPWAY_MARK__FOLDER is another installation's.)",
    "lost": "A mark was kept outside the database, and it is not in SLIPWAY_MARK__FOLDER any more.",
    "declared": "Somebody said so with `slipway restore declare`.",
}
STEPS = {
    "restored": "`slipway restore list` shows which. Then `slipway restore accept`: they become unknown and are looked "
    "at, the rest goes on.",
    "lost": "Put the mark's folder back. If it is gone and the database is not: `slipway restore accept --nothing-sent "
    "'the mark was lost alone'`.\nIf the database was restored as well: `slipway restore accept --until TIME`.",
}


@click.group()
def command() -> None:
    """A database that was restored from a backup: what may have gone out since, and how to go on."""


@command.command(epilog=EXAMPLE + "slipway restore status")
@until_option
@json_option
def status(until: datetime | None, *, as_json: bool) -> None:
    """Say whether the database is as new as what was sent; if not, from when to when that is in doubt."""
    with _outside() as outside, ledger(warn=False) as c:
        doubt = _doubt(c, outside)
        told = _told(c, doubt, outside, until)
    if as_json or doubt is None:
        show_one(told, as_json=as_json)
        return
    counts = told.pop("deliveries")
    show_one(told, as_json=False)
    click.echo("\nMay have gone out")
    show(counts, as_json=False, empty="Nothing that is known of.")
    click.echo(f"\n{STEPS.get(doubt.why, STEPS['restored'])}")


@command.command("list", epilog=EXAMPLE + "slipway restore list --waiting --json")
@until_option
@click.option("--waiting", is_flag=True, help="Only those that wait for a look or a person. After `accept`.")
@click.option("--limit", type=click.IntRange(1), help="Default all.")
@json_option
def list_(until: datetime | None, limit: int | None, *, waiting: bool, as_json: bool) -> None:
    """List the deliveries that may have gone out since the backup; once accepted, where each stands now."""
    from pipeline.recovery.restore import Word, span_of
    from pipeline.store.recovery.restores import find, last, listed

    with _outside() as outside, ledger(warn=False) as c:
        doubt, accepted = _doubt(c, outside), last(c)
        if doubt is not None:
            span = _needed(span_of(doubt, outside, Word(until=until)))
            found = find(c, span, limit)
        else:
            found = [] if accepted is None else listed(c, accepted.epoch, limit, waiting=waiting)
    show([_row(one) for one in found], as_json=as_json, empty="No deliveries are in doubt.")


@command.command(
    epilog="Examples:\n\n\b\n  slipway restore accept\n  slipway restore accept --until 2027-02-01T15:00:00Z\n"
    "  slipway restore accept --nothing-sent 'moved to another server; dumped after everything was stopped'"
)
@until_option
@click.option(
    "--nothing-sent", metavar="WHY", help="You know that nothing was sent since the backup, and why."
)
@taken_option
@json_option
def accept(until: datetime | None, nothing_sent: str | None, *, send_new: bool, as_json: bool) -> None:
    """Make unknown what may have gone out, and let the rest go on. Each is looked at; a person decides what is left.

    Before it, stop whatever still speaks to the old database.
    """
    from pipeline.recovery.restore import Word
    from pipeline.recovery.restore import accept as accept_it

    if nothing_sent is not None and not nothing_sent.strip():
        raise click.ClickException("--nothing-sent is empty: say how you know, for whoever asks later.")
    with _outside() as outside, house(warn=False) as context:
        word = Word(until=until, nothing_sent=nothing_sent, taken_since=not send_new)
        found = _accepting(lambda: accept_it(context, outside, word))
    if as_json:
        show([_row(one) for one in found], as_json=True)
        return
    click.echo(f"{len(found)} deliveries are unknown now and are looked at; everything else goes on.")
    if found:
        click.echo(
            "`slipway restore list --waiting` shows which of them wait for a person, who decides each with\n"
            "  slipway delivery decide ID --live URL    or    --again"
        )


@command.command(epilog=EXAMPLE + "slipway restore declare --since 2027-02-01T03:00:00Z")
@click.option(
    "--since", type=UNTIL_NOW, required=True, help="When the backup was made: a time, or 20h (ago)."
)
@until_option
@json_option
def declare(since: datetime, until: datetime | None, *, as_json: bool) -> None:
    """Say yourself that the database was put back, where the mark went back with it (a snapshot of the machine)."""
    from pipeline.recovery.restore import declare as declare_it

    with _outside() as outside, house(warn=False) as context:
        doubt = declare_it(context, outside, since=since, until=until)
        with context.database.begin() as c:
            told = _told(c, doubt, outside, None)
    told.pop("deliveries")
    show_one(told, as_json=as_json)
    if not as_json:
        click.echo(f"\nNothing is sent from now on. {STEPS['restored']}")


def _doubt(c: Connection, outside: Outside) -> Doubt | None:
    """What was found to be in doubt, or would be by whoever keeps the mark. Stores nothing."""
    from pipeline.domain.epoch import Judgement, judge
    from pipeline.store.recovery.epoch import Doubt, lock

    kept, found = lock(c), outside.read()
    if kept.doubt is not None:
        return kept.doubt
    judgement = judge(kept.inside, found)
    if judgement in (Judgement.IN_STEP, Judgement.NEW) or (judgement is Judgement.LOST and kept.open):
        return None
    return Doubt(
        why=judgement, found_at=kept.now, since=kept.marked_at, until=None if found is None else found.until
    )


def _told(c: Connection, doubt: Doubt | None, outside: Outside, until: datetime | None) -> dict[str, Any]:
    from pipeline.recovery.restore import Word, span_of
    from pipeline.store.recovery.restores import counts, last

    if doubt is None:
        accepted = last(c)
        return {
            "state": "in step",
            "last_accepted_at": None if accepted is None else written(accepted.accepted_at),
        }
    span = span_of(doubt, outside, Word(until=until))
    found: Mapping[tuple[str, str], int] = {} if span is None else counts(c, span)
    return {
        "state": "in doubt",
        "why": WHY[doubt.why],
        "found_at": written(doubt.found_at),
        "since": written(doubt.since) or "the beginning",
        "until": written(span.until if span else None) or "nobody knows",
        "deliveries": [{"platform": p, "why": why, "number": n} for (p, why), n in found.items()],
    }


def _row(one: Doubtful) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "post": str(one.post_id),
        "workspace": one.workspace,
        "platform": one.platform,
        "username": one.username,
        "due_at": written(one.due_at),
        "why": one.why,
        "in_backup": one.origin,
        "state": one.state,
        "reason": one.reason,
        "url": one.url,
    }


def _needed(span: Span | None) -> Span:
    if span is None:
        raise click.ClickException(
            "There is no mark, so nobody knows until when posts were sent: say --until."
        )
    return span


def _accepting(work: Any) -> Sequence[Doubtful]:
    from pipeline.recovery.restore import CannotAccept

    try:
        found: Sequence[Doubtful] = work()
    except CannotAccept as error:
        raise click.ClickException(f"{error} `slipway restore status` shows where it stands.") from None
    return found


@contextmanager
def _outside() -> Iterator[Outside]:
    """The mark's folder; what is wrong with it is a sentence."""
    from config.settings import settings
    from pipeline.recovery.epoch_file import Outside

    s = settings()
    if not s.mark.keep:
        raise click.ClickException("SLIPWAY_MARK__KEEP is false here: run this where the mark is kept.")
    try:
        yield Outside(s.mark_folder)
    except OSError as error:
        raise click.ClickException(f"The mark in {s.mark_folder}: {error}") from None
