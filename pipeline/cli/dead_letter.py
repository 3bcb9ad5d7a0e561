"""`slipway dead-letter`: deliveries that failed or wait for an operator; list, replay or discard them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import click

from pipeline.cli import lazy_imports, output, runtime
from pipeline.cli.options import (
    DURATION,
    account_filter,
    add_options,
    id_of,
    limit_option,
    platform_filter,
    read_filter,
    workspace_filter,
)

with lazy_imports():
    from pipeline.actions import dead_letters as dead_letter_actions
    from pipeline.actions import steer_letters, steering
    from pipeline.domain import steering as steering_domain
    from pipeline.store.deliveries import dead_letters, history, ownership, selection

filters = add_options(
    platform_filter,
    workspace_filter,
    account_filter,
    click.option(
        "--error-class",
        "--class",
        "error_class",
        help="Only dead letters with this class of error: Unavailable.",
    ),
    click.option("--code", help="Only dead letters with this code: platform_outage, media_changed."),
    click.option("--older", type=DURATION, help="Only those dead for at least this long: 2h."),
    click.option("--younger", type=DURATION, help="Only those dead for at most this long: 90m, 1d."),
)
"""Options that select dead letters."""
letters_argument = click.argument("letters", nargs=-1, type=id_of("dead-letter"))


@click.group(cls=output.Group)
def command() -> None:
    """Dead letters: deliveries that failed or wait for an operator, neither replayed nor discarded yet."""


@command.command("list")
@filters
@limit_option
def list_(limit: int, **chosen: Any) -> None:
    """List dead letters with their cause, oldest first.

    Example:
      slipway dead-letter list --error-class Unavailable --younger 1d
    """
    with runtime.open_transaction() as c:
        rows = [
            _to_row(letter)
            for letter in dead_letters.list_dead_letters(c, read_filter(c, chosen), limit=limit)
        ]
    output.print_rows(rows, empty="No dead letters.")


@command.command()
@filters
def causes(**chosen: Any) -> None:
    """Count dead letters by platform, class of error and code.

    Example:
      slipway dead-letter causes --workspace Acme
    """
    with runtime.open_transaction() as c:
        rows = _causes_to_rows(dead_letters.count_causes(c, read_filter(c, chosen)))
    output.print_rows(rows, empty="No dead letters.")


@command.command("show")
@click.argument("letter", type=id_of("dead-letter"))
def show_letter(letter: UUID) -> None:
    """Show one dead letter: cause, crashes, every move and attempt, and earlier discards.

    Example:
      slipway dead-letter show 0199c0de-0000-7000-8000-000000000000
    """
    with runtime.open_transaction() as c:
        found = dead_letters.find_dead_letter(c, letter, ownership.OPERATOR)
        if found is None:
            raise click.ClickException(
                f"{letter} is not a dead letter: `slipway delivery show {letter}` shows its state."
            )
        facts = {**_to_row(found), "crashes": dead_letters.count_crashes(c, letter), "spent": found.spent}
        evidence = {
            "moves": [output.pick(m) for m in history.list_moves(c, letter)],
            "attempts": [output.pick(a) for a in history.list_attempts(c, letter)],
            "discards": [output.pick(d) for d in dead_letters.list_discards(c, letter)],
        }
    if output.is_json():
        output.print_fields({**facts, "error": found.error, **evidence})
        return
    output.print_present(facts)
    output.print_tables(evidence, without=("generation", "fence", "error", "late"))
    click.echo(f"\nOnce the cause is fixed: slipway dead-letter replay {letter}")


@command.command()
@letters_argument
@filters
@click.option(
    "--per-minute",
    type=click.FloatRange(0.1, 6000),
    help="Replays per platform; default SLIPWAY_PUBLISH__REPLAYS.",
)
@click.option(
    "--yes", is_flag=True, help="Replay them. Without it the selected dead letters are only counted."
)
def replay(letters: tuple[UUID, ...], per_minute: float | None, *, yes: bool, **chosen: Any) -> None:
    """Publish dead letters again, one after the other. A delivery that may be live is skipped.

    Examples:
      slipway dead-letter replay 0199c0de-0000-7000-8000-000000000000
      slipway dead-letter replay --error-class Unavailable --platform tiktok --per-minute 30 --yes
    """
    arguments = steering_domain.Arguments(per_minute=per_minute)
    _process(letters, chosen, steering_domain.Verb.REPLAY, arguments, "replayed", yes=yes)


@command.command()
@letters_argument
@filters
@click.option("--why", required=True, help="The reason, for the record.")
@click.option(
    "--yes", is_flag=True, help="Discard them. Without it the selected dead letters are only counted."
)
def discard(letters: tuple[UUID, ...], why: str, *, yes: bool, **chosen: Any) -> None:
    """Discard dead letters: a failed one stays failed, a blocked one is cancelled. Moves and attempts are kept.

    Examples:
      slipway dead-letter discard 0199c0de-0000-7000-8000-000000000000 --why 'the campaign is over'
      slipway dead-letter discard --code media_changed --older 7d --why 'too old' --yes
    """
    if not why.strip():
        raise click.ClickException("--why is empty: give the reason.")
    arguments = steering_domain.Arguments(why=why)
    _process(letters, chosen, steering_domain.Verb.DISCARD, arguments, "discarded", yes=yes)


def _process(
    letters: tuple[UUID, ...],
    chosen: dict[str, Any],
    verb: steering_domain.Verb,
    arguments: steering_domain.Arguments,
    done: str,
    *,
    yes: bool,
) -> None:
    """Process named dead letters at once; dead letters that options select only with --yes, else print their counts."""
    if letters and any(value is not None for value in chosen.values()):
        raise click.ClickException("Give ids or options that select dead letters, not both.")
    with runtime.open_context() as context:
        with context.database.begin() as c:
            which = selection.ListFilter(deliveries=letters) if letters else read_filter(c, chosen)
        if not letters and not yes:
            _print_count(dead_letter_actions.count_letters(context, verb, which), done)
            return
        asked = steering.Steering(verb=verb, filter=which, arguments=arguments)
        dealt = steer_letters.steer_letters(context, asked, runtime.find_actor())
    output.print_outcome(done, dealt.done, dealt.skipped, "skipped", key="skipped")
    if letters and not dealt.done:
        raise click.exceptions.Exit(1)


def _print_count(found: dead_letter_actions.DeadLetterCount, done: str) -> None:
    output.print_rows(_causes_to_rows(found.causes), empty=f"No dead letters would be {done}.")
    if output.is_json():
        return
    if found.causes:
        click.echo(f"\n{found.letters} would be {done}: run it again with --yes.")
    for why, skipped in found.skipped.items():
        click.echo(f"{skipped} would be skipped: {why}")


def _causes_to_rows(found: Sequence[Any]) -> list[dict[str, Any]]:
    return [output.pick(cause, "platform class=error_class code letters") for cause in found]


def _to_row(x: dead_letters.DeadLetter) -> dict[str, Any]:
    error = x.error or {}
    return {
        **output.pick(x, "id post=post_id workspace platform username state reason died_at due_at crashes"),
        "class": error.get("class"),
        "code": error.get("code"),
        "message": error.get("message"),
        "platform_message": error.get("platform_message"),
    }
