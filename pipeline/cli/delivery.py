"""`slipway delivery`: one post on its way to one account, and a person's word where nobody else can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from pipeline.api.http.timestamp import written
from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, show, show_one
from pipeline.cli.runtime import house, identity, ledger
from pipeline.domain.delivery import Reason, State

if TYPE_CHECKING:
    from pipeline.context import Context
    from pipeline.store.deliveries.inspection import AttemptFacts, Facts, MoveFacts

EXAMPLE_ID = "0199c0de-0000-7000-8000-000000000000"


@click.group()
def command() -> None:
    """Deliveries: where each stands, how it got there, and what a person decides."""


@command.command("list", epilog=EXAMPLE + "slipway delivery list --state unknown --workspace Acme")
@click.option("--state", type=click.Choice([s.value for s in State]))
@click.option("--workspace", help="Name or id; default all.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def list_(state: str | None, workspace: str | None, limit: int, *, as_json: bool) -> None:
    """List deliveries, newest first."""
    from pipeline.store.auth.workspaces import find_workspace
    from pipeline.store.deliveries.inspection import list_deliveries

    with ledger() as c:
        only = find_workspace(c, workspace).id if workspace else None
        found = list_deliveries(c, state=State(state) if state else None, workspace=only, limit=limit)
    rows = [
        {
            "id": str(d.id),
            "post": str(d.post_id),
            "workspace": d.workspace,
            "platform": d.platform,
            "username": d.username,
            "state": d.state,
            "reason": d.reason,
            "due_at": written(d.due_at),
            "next_at": written(d.next_at),
            "error": _message(d.error),
        }
        for d in found
    ]
    show(rows, as_json=as_json, empty="No such deliveries.")


@command.command("show", epilog=f"{EXAMPLE}slipway delivery show {EXAMPLE_ID}")
@click.argument("delivery")
@json_option
def show_delivery(delivery: str, *, as_json: bool) -> None:
    """Show one delivery: every move with its mover and reason, and every attempt."""
    from pipeline.store.deliveries.inspection import attempts_of, find_delivery, moves_of

    wanted = identity(delivery, "delivery")
    with ledger() as c:
        found, moves, attempts = find_delivery(c, wanted), moves_of(c, wanted), attempts_of(c, wanted)
    if found is None:
        raise click.ClickException(f"There is no delivery {wanted}: `slipway delivery list` shows them.")
    facts, went, tries = _facts(found), [_move(m) for m in moves], [_attempt(a) for a in attempts]
    if as_json:
        show_one({**facts, "moves": went, "attempts": tries}, as_json=True)
        return
    show_one(
        {name: fact for name, fact in {**facts, "error": _message(found.error)}.items() if fact is not None},
        as_json=False,
    )
    click.echo("\nMoves")
    show([_narrow(m) for m in went], as_json=False)
    click.echo("\nAttempts")
    show([_narrow(a) for a in tries], as_json=False, empty="None yet.")
    if next_step := _next_step(found):
        click.echo(f"\n{next_step}")


@command.command(
    epilog=f"Examples:\n\n\b\n  slipway delivery decide {EXAMPLE_ID} --live https://www.tiktok.com/@ann/video/1\n"
    f"  slipway delivery decide {EXAMPLE_ID} --again"
)
@click.argument("delivery")
@click.option("--live", metavar="URL", help="You saw it: it is published, at this address.")
@click.option("--again", is_flag=True, help="You saw that it is not there: publish it again, from scratch.")
@json_option
def decide(delivery: str, live: str | None, *, again: bool, as_json: bool) -> None:
    """Say what only a person can tell of an unknown or blocked delivery. Look at the account first.

    --again on a post that is live after all publishes it twice; it is refused while the lost call may still act.
    """
    from pipeline.actions.resolve import it_is_live, publish_again

    if (live is not None) == again:
        raise click.ClickException("Say exactly one: --live URL if it is there, or --again if it is not.")
    wanted = identity(delivery, "delivery")
    with _deciding() as context:
        if live is not None:
            it_is_live(context, wanted, _address(live))
        else:
            publish_again(context, wanted)
        _answer(context, delivery, as_json=as_json)


@command.command(epilog=f"{EXAMPLE}slipway delivery resume {EXAMPLE_ID}")
@click.argument("delivery")
@json_option
def resume(delivery: str, *, as_json: bool) -> None:
    """Let a blocked delivery go on: one that was armed is looked at, never sent again; the others are tried again."""
    from pipeline.actions.resolve import resume as let_go_on

    wanted = identity(delivery, "delivery")
    with _deciding() as context:
        let_go_on(context, wanted)
        _answer(context, delivery, as_json=as_json)


def _answer(context: Context, delivery: str, *, as_json: bool) -> None:
    from pipeline.store.deliveries.inspection import find_delivery

    with context.database.begin() as c:
        found = find_delivery(c, identity(delivery, "delivery"))
    if found is not None:
        show_one({"id": str(found.id), "state": found.state, "url": found.url}, as_json=as_json)


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or len(url) > 2000:  # noqa: PLR2004
        raise click.ClickException(f"{url!r} is not the address of a post: give it with https:// in front.")
    return url


def _facts(d: Facts) -> dict[str, Any]:
    return {
        "id": str(d.id),
        "post": str(d.post_id),
        "workspace": d.workspace,
        "account": str(d.account_id),
        "platform": d.platform,
        "username": d.username,
        "state": d.state,
        "reason": d.reason,
        "due_at": written(d.due_at),
        "next_at": written(d.next_at),
        "lease_until": written(d.lease_until),
        "armed_at": written(d.armed_at),
        "published_at": written(d.published_at),
        "remote_id": d.remote_id,
        "url": d.url,
        "delivered_as": d.delivered_as,
        "generation": d.generation,
        "fence": d.fence,
        "spent": d.spent,
        "crashes": d.crashes,
        "looks": d.looks,
        "error": d.error,
    }


def _move(m: MoveFacts) -> dict[str, Any]:
    return {
        "at": written(m.at),
        "mover": m.mover,
        "from": m.origin,
        "to": m.target,
        "why": m.why,
        "generation": m.generation,
        "fence": m.fence,
    }


def _attempt(a: AttemptFacts) -> dict[str, Any]:
    return {
        "n": a.n,
        "opened_at": written(a.opened_at),
        "armed_at": written(a.armed_at),
        "closed_at": written(a.closed_at),
        "outcome": a.outcome,
        "remote_id": a.remote_id,
        "error": a.error,
        "late_proof": a.late,
        "generation": a.generation,
        "fence": a.fence,
    }


def _narrow(row: Mapping[str, Any]) -> dict[str, Any]:
    """Without what only a program compares, so that it fits a terminal."""
    kept = {name: value for name, value in row.items() if name not in {"generation", "fence"}}
    return {**kept, "error": _message(kept["error"])} if "error" in kept else kept


def _message(error: Mapping[str, Any] | None) -> str | None:
    return None if error is None else f"{error['message']} ({error['code']})"


def _next_step(d: Facts) -> str:
    if d.state == State.UNKNOWN or d.reason == Reason.IS_IT_LIVE:
        return (
            f"Only the platform or a person can tell whether it is live. Look at {d.username} on {d.platform}, then:\n"
            f"  slipway delivery decide {d.id} --live URL    or    --again"
        )
    if d.reason == Reason.RECONNECT:
        return f"It waits for its account: slipway account reconnect {d.account_id} < tokens.json"
    if d.reason == Reason.PERSON_NEEDED:
        return f"Once the reason is gone: slipway delivery resume {d.id}"
    return ""


@contextmanager
def _deciding() -> Iterator[Context]:
    """Everything wired up; what cannot be decided is a sentence."""
    from pipeline.actions.resolve import CannotDecide

    try:
        with house() as context:
            yield context
    except CannotDecide as error:
        raise click.ClickException(f"{error} `slipway delivery list` shows where each stands.") from None
