"""`slipway delivery`: inspect deliveries, and resolve deliveries that need an operator's decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import EXAMPLE, EXAMPLES
from pipeline.cli.candidates import print_candidates
from pipeline.cli.listing import list_options, print_page, read_filter, read_page
from pipeline.cli.output import json_option, pick, print_fields, print_rows
from pipeline.cli.runtime import open_context, open_transaction, parse_id

if TYPE_CHECKING:
    from pipeline.runtime.context import Context
    from pipeline.store.deliveries.evidence import Evidence
    from pipeline.store.deliveries.inspection import DeliveryFacts

EXAMPLE_ID = "0199c0de-0000-7000-8000-000000000000"


@click.group()
def command() -> None:
    """Deliveries (a post to one account): their state and history, and decisions where an operator is needed."""


@command.command(
    "list",
    epilog=f"{EXAMPLES}slipway delivery list --state unknown --workspace Acme\n"
    "  slipway delivery list --platform tiktok --due ..now --error-class Unavailable",
)
@list_options
def list_(*, as_json: bool, **options: Any) -> None:
    """List deliveries, newest first."""
    from pipeline.store.deliveries.listing import list_deliveries

    with open_transaction() as c:
        found = list_deliveries(c, read_filter(c, options), **read_page(options, "delivery"))
    rows = [
        {
            **pick(d, "id post=post_id workspace platform username state reason held_for due_at next_at"),
            "error": _format_error(d.error),
        }
        for d in found
    ]
    print_page(rows, options, as_json=as_json, noun="deliveries")


@command.command("show", epilog=f"{EXAMPLE}slipway delivery show {EXAMPLE_ID}")
@click.argument("delivery")
@json_option
def show_delivery(delivery: str, *, as_json: bool) -> None:
    """Show one delivery with every change of state and every attempt."""
    from pipeline.store.deliveries.attempts import list_attempts
    from pipeline.store.deliveries.evidence import read_evidence
    from pipeline.store.deliveries.inspection import find_delivery, list_moves

    target = parse_id(delivery, "delivery")
    with open_transaction() as c:
        found, moves, attempts = find_delivery(c, target), list_moves(c, target), list_attempts(c, target)
        if found is None:
            raise click.ClickException(f"There is no delivery {target}: `slipway delivery list` shows them.")
        evidence = read_evidence(c, found.post_id)[target]
    facts = pick(found, _DELIVERY)
    move_rows, attempt_rows = [pick(m, _MOVE) for m in moves], [pick(a, _ATTEMPT) for a in attempts]
    if as_json:
        print_fields({**facts, "moves": move_rows, "attempts": attempt_rows}, as_json=True)
        return
    print_fields(
        {
            name: fact
            for name, fact in {**facts, "error": _format_error(found.error)}.items()
            if fact is not None
        },
        as_json=False,
    )
    click.echo("\nMoves")
    print_rows([_shorten(m) for m in move_rows], as_json=False)
    click.echo("\nAttempts")
    print_rows([_shorten(a) for a in attempt_rows], as_json=False, empty="None yet.")
    print_candidates({str(found.id): found.error})
    click.echo(f"\n{_explain(found, evidence)}")


@command.command(
    epilog=f"{EXAMPLES}slipway delivery decide {EXAMPLE_ID} --live https://www.tiktok.com/@ann/video/1\n"
    f"  slipway delivery decide {EXAMPLE_ID} --again"
)
@click.argument("delivery")
@click.option("--live", metavar="URL", help="It is live, at this address: mark it published.")
@click.option("--again", is_flag=True, help="It is not live: publish it again, from the start.")
@json_option
def decide(delivery: str, live: str | None, *, again: bool, as_json: bool) -> None:
    """Decide whether an unknown or blocked delivery is live. Look at the account on the platform first.

    --again publishes twice if the post is live after all. It is refused while the lost call may still take effect.
    """
    from pipeline.actions.resolve import confirm_live, publish_again
    from pipeline.cli.actor import find_actor

    if (live is not None) == again:
        raise click.ClickException("Give exactly one: --live URL if it is live, or --again if it is not.")
    target = parse_id(delivery, "delivery")
    with _open_for_decision() as context:
        if live is not None:
            confirm_live(context, find_actor(), target, live)
        else:
            publish_again(context, find_actor(), target)
        _print_state(context, delivery, as_json=as_json)


@command.command(epilog=f"{EXAMPLE}slipway delivery resume {EXAMPLE_ID}")
@click.argument("delivery")
@json_option
def resume(delivery: str, *, as_json: bool) -> None:
    """Resume a blocked delivery. One that was armed is looked up on the platform, never sent again."""
    from pipeline.actions.resolve import resume as resume_delivery
    from pipeline.cli.actor import find_actor

    target = parse_id(delivery, "delivery")
    with _open_for_decision() as context:
        resume_delivery(context, find_actor(), target)
        _print_state(context, delivery, as_json=as_json)


def _print_state(context: Context, delivery: str, *, as_json: bool) -> None:
    from pipeline.store.deliveries.inspection import find_delivery

    with context.database.begin() as c:
        found = find_delivery(c, parse_id(delivery, "delivery"))
    if found is not None:
        print_fields({"id": str(found.id), "state": found.state, "url": found.url}, as_json=as_json)


_DELIVERY = (
    "id post=post_id workspace account=account_id platform username state reason held_for due_at next_at lease_until "
    "armed_at published_at remote_id url delivered_as generation fence spent crashes looks error"
)
_MOVE = "at mover from=origin to=target why generation fence"
_ATTEMPT = "n opened_at armed_at closed_at outcome remote_id error late_proof=late generation fence"


def _shorten(row: Mapping[str, Any]) -> dict[str, Any]:
    """Drop columns for programs, so that the table fits a terminal."""
    kept = {name: value for name, value in row.items() if name not in {"generation", "fence"}}
    return {**kept, "error": _format_error(kept["error"])} if "error" in kept else kept


def _format_error(error: Mapping[str, Any] | None) -> str | None:
    if error is None:
        return None
    words = error.get("platform_message")
    return f"{error['message']} ({error['code']})" + (f" The platform's words: {words}" if words else "")


def _explain(d: DeliveryFacts, evidence: Evidence) -> str:
    from pipeline.actions.explain import build_situation
    from pipeline.domain.explanation import explain

    found = explain(build_situation(d, evidence))
    sentences = f"{found.summary} {found.next_step or ''}".strip()
    return f"{sentences}\n  {found.action.command}" if found.action else sentences


@contextmanager
def _open_for_decision() -> Iterator[Context]:
    """The context; a decision that is refused becomes ClickException."""
    from pipeline.actions.resolve import CannotResolve

    try:
        with open_context() as context:
            yield context
    except CannotResolve as error:
        raise click.ClickException(f"{error} `slipway delivery list` shows where each stands.") from None
