"""`slipway dead-letter`: deliveries that failed or that only a person can let go on; replay or discard them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.api.http.timestamp import written
from pipeline.cli import EXAMPLE
from pipeline.cli.durations import SPAN
from pipeline.cli.output import json_option, show, show_one
from pipeline.cli.runtime import house, identity, ledger

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.actions.dead_letters import Dealt
    from pipeline.store.deliveries.dead_letters import Letter, Which

EXAMPLE_ID = "0199c0de-0000-7000-8000-000000000000"
PAGE = 200
WHO = "the command line"
Work = Callable[[Sequence[UUID]], "Dealt"]


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose letters."""
    options = [
        click.option("--platform", help="Only of this platform."),
        click.option("--workspace", help="Only of this workspace (name or id)."),
        click.option("--account", help="Only of this account (id or username)."),
        click.option(
            "--class", "error_class", help="Only those that died of this class of error: Unavailable."
        ),
        click.option("--code", help="Only those that died of this code: poison, media_changed."),
        click.option("--older", type=SPAN, help="Only those dead for at least this long: 2h."),
        click.option("--younger", type=SPAN, help="Only those dead for at most this long: 90m, 1d."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Dead letters: deliveries that failed or wait for a person, and that nobody has dealt with yet."""


@command.command("list", epilog=EXAMPLE + "slipway dead-letter list --class Unavailable --younger 1d")
@filters
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def list_(limit: int, *, as_json: bool, **chosen: Any) -> None:
    """List dead letters with their cause, those that have been dead for longest first."""
    from pipeline.store.deliveries.dead_letters import list_letters

    with ledger() as c:
        rows = [_row(letter) for letter in list_letters(c, which_of(c, **chosen), limit=limit)]
    show(rows, as_json=as_json, empty="No dead letters.")


@command.command(epilog=EXAMPLE + "slipway dead-letter causes --workspace Acme")
@filters
@json_option
def causes(*, as_json: bool, **chosen: Any) -> None:
    """Count dead letters by what they died of."""
    from pipeline.store.deliveries.dead_letters import causes as causes_of

    with ledger() as c:
        rows = _causes(causes_of(c, which_of(c, **chosen)))
    show(rows, as_json=as_json, empty="No dead letters.")


@command.command("show", epilog=f"{EXAMPLE}slipway dead-letter show {EXAMPLE_ID}")
@click.argument("letter")
@json_option
def show_letter(letter: str, *, as_json: bool) -> None:
    """Show one with its evidence: cause, crashes, every move and attempt, and who gave it up before."""
    from pipeline.store.deliveries.dead_letters import OPERATOR, crashes_of, discards_of, find_letter
    from pipeline.store.deliveries.inspection import attempts_of, moves_of

    wanted = identity(letter, "dead-letter")
    with ledger() as c:
        found = find_letter(c, wanted, OPERATOR)
        if found is None:
            raise click.ClickException(
                f"{wanted} is no dead letter: `slipway delivery show {wanted}` tells what became of it."
            )
        facts = {**_row(found), "crashes": crashes_of(c, wanted), "spent": found.spent}
        evidence = {
            "moves": [_told(m) for m in moves_of(c, wanted)],
            "attempts": [_told(a) for a in attempts_of(c, wanted)],
            "discards": [_told(d) for d in discards_of(c, wanted)],
        }
    if as_json:
        show_one({**facts, "error": found.error, **evidence}, as_json=True)
        return
    show_one({name: fact for name, fact in facts.items() if fact is not None}, as_json=False)
    for name, rows in evidence.items():
        click.echo(f"\n{name.capitalize()}")
        show([_narrow(r) for r in rows], as_json=False, empty="None yet.")
    click.echo(f"\nOnce the reason is gone: slipway dead-letter replay {wanted}")


@command.command(
    epilog=f"Examples:\n\n\b\n  slipway dead-letter replay {EXAMPLE_ID}\n"
    "  slipway dead-letter replay --class Unavailable --platform tiktok --per-minute 30 --yes"
)
@click.argument("letters", nargs=-1)
@filters
@click.option(
    "--per-minute",
    type=click.FloatRange(0.1, 6000),
    help="Of each platform; default SLIPWAY_PUBLISH__REPLAYS.",
)
@click.option("--yes", is_flag=True, help="Do it. Without, those the options choose are only counted.")
@json_option
def replay(
    letters: tuple[str, ...], per_minute: float | None, *, yes: bool, as_json: bool, **chosen: Any
) -> None:
    """Send dead letters again, one after the other. What may be live is never sent again."""
    from pipeline.actions import dead_letters as stage
    from pipeline.store.deliveries.dead_letters import OPERATOR

    with house() as context:
        work: Work = lambda some: stage.replay(context, OPERATOR, some, who=WHO, per_minute=per_minute)  # noqa: E731
        _deal(context.database.begin, letters, chosen, work, "replayed", yes=yes, as_json=as_json)


@command.command(
    epilog=f"Examples:\n\n\b\n  slipway dead-letter discard {EXAMPLE_ID} --why 'the campaign is over'\n"
    "  slipway dead-letter discard --code media_changed --older 7d --why 'too old' --yes"
)
@click.argument("letters", nargs=-1)
@filters
@click.option("--why", required=True, help="For whoever asks later.")
@click.option("--yes", is_flag=True, help="Do it. Without, those the options choose are only counted.")
@json_option
def discard(letters: tuple[str, ...], why: str, *, yes: bool, as_json: bool, **chosen: Any) -> None:
    """Give dead letters up: a failed one stays failed, a blocked one is cancelled. Their evidence stays."""
    from pipeline.actions import dead_letters as stage
    from pipeline.store.deliveries.dead_letters import OPERATOR

    if not why.strip():
        raise click.ClickException("--why is empty: say why, for whoever asks later.")
    with house() as context:
        work: Work = lambda some: stage.discard(context, OPERATOR, some, why=why, who=WHO)  # noqa: E731
        _deal(context.database.begin, letters, chosen, work, "discarded", yes=yes, as_json=as_json)


def _deal(
    begin: Callable[[], Any],
    letters: Sequence[str],
    chosen: dict[str, Any],
    work: Work,
    done: str,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Named letters at once; those that options choose are counted first, and dealt with when told to."""
    if letters and any(value is not None for value in chosen.values()):
        raise click.ClickException("Name letters, or choose them by options: not both.")
    if letters:
        dealt = work([identity(letter, "dead-letter") for letter in letters])
        _say([dealt], done, as_json=as_json)
        if not dealt.done:
            raise click.exceptions.Exit(1)
        return
    from pipeline.store.deliveries.dead_letters import causes as causes_of

    with begin() as c:
        which = which_of(c, **chosen)
        found = _causes(causes_of(c, which))
    if yes:
        _say([work(page) for page in _pages(begin, which)], done, as_json=as_json)
        return
    show(found, as_json=as_json, empty="No dead letters.")
    if found and not as_json:
        click.echo(f"\n{sum(row['letters'] for row in found)} would be {done}: the same again with --yes.")


def _pages(begin: Callable[[], Any], which: Which) -> Iterator[list[UUID]]:
    """All that there were when this began, page by page; what is skipped is passed by."""
    from pipeline.store.deliveries.dead_letters import list_letters

    after = None
    while True:
        with begin() as c:
            page = list_letters(c, which, limit=PAGE, after=after)
        if not page:
            return
        after = (page[-1].died_at, page[-1].id)
        yield [letter.id for letter in page]


def which_of(
    c: Connection,
    *,
    platform: str | None,
    workspace: str | None,
    account: str | None,
    error_class: str | None,
    code: str | None,
    older: timedelta | None,
    younger: timedelta | None,
) -> Which:
    """What the options choose. Raises ClickException and NoSuchWorkspace."""
    from pipeline.cli.account import account_of, platform_of
    from pipeline.store.auth.workspaces import find_workspace
    from pipeline.store.deliveries.dead_letters import Scope, Which

    return Which(
        scope=Scope(workspace=find_workspace(c, workspace).id if workspace else None),
        platform=platform_of(platform).value if platform else None,
        account=account_of(c, account).id if account else None,
        error_class=error_class,
        code=code,
        older=older,
        younger=younger,
    )


def _say(dealt: Sequence[Dealt], done: str, *, as_json: bool) -> None:
    ids = [delivery for some in dealt for delivery in some.done]
    skipped = {str(k): why for some in dealt for k, why in some.skipped.items()}
    if as_json:
        show_one({done: [str(i) for i in ids], "skipped": skipped}, as_json=True)
        return
    click.echo(f"{len(ids)} {done}, {len(skipped)} skipped.")
    for delivery, why in skipped.items():
        click.echo(f"  {delivery}  {why}")


def _told(fact: Any) -> dict[str, Any]:
    return {k: written(v) if isinstance(v, datetime) else v for k, v in asdict(fact).items()}


def _narrow(row: dict[str, Any]) -> dict[str, Any]:
    """Without what only a program compares, so that it fits a terminal."""
    return {k: v for k, v in row.items() if k not in {"generation", "fence", "error", "late"}}


def _causes(found: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"platform": x.platform, "class": x.error_class, "code": x.code, "letters": x.letters} for x in found
    ]


def _row(x: Letter) -> dict[str, Any]:
    error = x.error or {}
    return {
        "id": str(x.id),
        "post": str(x.post_id),
        "workspace": x.workspace,
        "platform": x.platform,
        "username": x.username,
        "state": x.state,
        "reason": x.reason,
        "died_at": written(x.died_at),
        "due_at": written(x.due_at),
        "crashes": x.crashes,
        "class": error.get("class"),
        "code": error.get("code"),
        "message": error.get("message"),
    }
