"""`slipway delivery`: inspect deliveries, and resolve deliveries that need an operator. `slipway explain`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.cli import lazy_imports, output
from pipeline.cli.options import id_of, list_options, read_filter, read_page
from pipeline.cli.runtime import find_actor, open_context, open_transaction

with lazy_imports():
    from pipeline.actions import explain as explain_actions
    from pipeline.actions import resolve
    from pipeline.api.posts import explanation_models
    from pipeline.domain import explanation
    from pipeline.store.deliveries import history, selection
    from pipeline.store.posts import views as post_views


if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.runtime.context import Context


delivery_argument = click.argument("delivery", type=id_of("delivery"))


@click.group(cls=output.Group)
def command() -> None:
    """Deliveries (a post to one account): their state and history, and decisions where an operator is needed."""


@command.command("list")
@list_options
def list_(**options: Any) -> None:
    """List deliveries, newest first or in the order of their due times.

    Examples:
      slipway delivery list --state unknown --workspace Acme
      slipway delivery list --platform tiktok --due ..now --error-class Unavailable
    """
    with open_transaction() as c:
        found = selection.list_deliveries(c, read_filter(c, options), **read_page(options, "delivery"))
    rows = [
        {
            **output.pick(
                d, "id post=post_id workspace platform username state reason held_for due_at next_at"
            ),
            "error": _format_error(d.error),
        }
        for d in found
    ]
    output.print_page(rows, options["limit"], empty="No such deliveries.")


@command.command("show")
@delivery_argument
def show_delivery(delivery: UUID) -> None:
    """Show one delivery with every change of state and every attempt.

    Example:
      slipway delivery show 0199c0de-0000-7000-8000-000000000000
    """
    with open_transaction() as c:
        found = selection.find_delivery(c, delivery)
        if found is None:
            raise click.ClickException(
                f"There is no delivery {delivery}: `slipway delivery list` shows them."
            )
        evidence = history.read_evidence(c, found.post_id)[delivery]
        moves = [output.pick(move, _MOVE) for move in history.list_moves(c, delivery)]
        attempts = [output.pick(attempt, _ATTEMPT) for attempt in history.list_attempts(c, delivery)]
    facts = output.pick(found, _DELIVERY)
    if output.is_json():
        output.print_fields({**facts, "moves": moves, "attempts": attempts})
        return
    output.print_present({**facts, "error": _format_error(found.error)})
    attempts = [{**attempt, "error": _format_error(attempt["error"])} for attempt in attempts]
    output.print_tables({"moves": moves, "attempts": attempts}, without=("generation", "fence"))
    output.print_candidates({str(found.id): found.error})
    click.echo(f"\n{_explain(found, evidence)}")


@command.command()
@delivery_argument
@click.option("--live", metavar="URL", help="It is live, at this address: mark it published.")
@click.option("--again", is_flag=True, help="It is not live: publish it again, from the start.")
def decide(delivery: UUID, live: str | None, *, again: bool) -> None:
    """Decide whether an unknown or blocked delivery is live. Look at the account on the platform first.

    --again publishes twice if the post is live after all. It is refused while the lost call may still take effect.

    Examples:
      slipway delivery decide 0199c0de-0000-7000-8000-000000000000 --live https://www.tiktok.com/@ann/video/1
      slipway delivery decide 0199c0de-0000-7000-8000-000000000000 --again
    """
    if (live is not None) == again:
        raise click.ClickException("Give exactly one: --live URL if it is live, or --again if it is not.")
    with _open_for_decision(delivery) as context:
        if live is not None:
            resolve.confirm_live(context, find_actor(), delivery, live)
        else:
            resolve.publish_again(context, find_actor(), delivery)


@command.command()
@delivery_argument
def resume(delivery: UUID) -> None:
    """Resume a blocked delivery. One that was armed is looked up on the platform, never sent again.

    Example:
      slipway delivery resume 0199c0de-0000-7000-8000-000000000000
    """
    with _open_for_decision(delivery) as context:
        resolve.resume(context, find_actor(), delivery)


@command.command()
@delivery_argument
def look(delivery: UUID) -> None:
    """Look now at the platform for a delivery whose outcome is not known yet, instead of at the time of its next look.

    Example:
      slipway delivery look 0199c0de-0000-7000-8000-000000000000
    """
    with _open_for_decision(delivery) as context:
        resolve.look_now(context, find_actor(), delivery)


_DELIVERY = (
    "id post=post_id workspace account=account_id platform username state reason held_for due_at next_at lease_until "
    "armed_at published_at remote_id url delivered_as generation fence spent crashes looks error"
)
_MOVE = "at mover from=origin to=target why generation fence"
_ATTEMPT = "n opened_at armed_at closed_at outcome remote_id error late_proof=late generation fence"


def _format_error(error: Mapping[str, Any] | None) -> str | None:
    if error is None:
        return None
    words = error.get("platform_message")
    return f"{error['message']} ({error['code']})" + (f" The platform's words: {words}" if words else "")


def _explain(d: selection.DeliveryFacts, evidence: history.Evidence) -> str:
    found = explanation.explain(explain_actions.build_situation(d, evidence))
    sentences = f"{found.summary} {found.next_step or ''}".strip()
    return f"{sentences}\n  {found.action.command}" if found.action else sentences


@contextmanager
def _open_for_decision(delivery: UUID) -> Iterator[Context]:
    """The context; at the end the delivery's state is printed. A refused decision becomes ClickException."""
    try:
        with open_context() as context:
            yield context
            with context.database.begin() as c:
                found = selection.find_delivery(c, delivery)
            if found is not None:
                output.print_fields({"id": str(found.id), "state": found.state, "url": found.url})
    except resolve.CannotResolve as error:
        raise click.ClickException(f"{error} `slipway delivery list` shows where each stands.") from None


@click.command(cls=output.Command)
@click.argument("identity", metavar="ID", type=id_of("post"))
def explain(identity: UUID) -> None:
    """Explain a post (or one delivery): where it stands at each account and since when, whose turn it is, what is next.

    --json has the evidence: pauses, checks, limits, the grant, the last attempt and error.

    Examples:
      slipway explain 0199c0de-0000-7000-8000-000000000000
      slipway explain 0199c0de-0000-7000-8000-000000000000 --json
    """
    with open_context() as context:
        with context.database.begin() as c:
            workspace, post, delivery = _find(c, identity)
        found = explain_actions.explain_post(context, workspace, post)
    if found is None:
        raise click.ClickException(f"The post {post} is deleted.")
    shown = explanation_models.PostExplanation.from_explained(found, ()).model_dump(mode="json")
    for one, account in zip(found.deliveries, shown["accounts"], strict=True):
        action = one.explanation.action
        account["action"] = action and {"text": action.says, "command": action.command}
    shown["accounts"] = [
        one for one in shown["accounts"] if delivery is None or one["delivery_id"] == str(delivery)
    ]
    if output.is_json():
        output.print_fields(shown)
        return
    output.print_fields({name: shown[name] for name in ("id", "status", "scheduled_at")})
    for one in shown["accounts"]:
        click.echo()
        output.print_present(_to_lines(one))


def _find(c: Connection, identity: UUID) -> tuple[UUID, UUID, UUID | None]:
    """Return workspace, post, and the delivery if the id is one. Raises ClickException."""
    delivery = selection.find_delivery(c, identity)
    post = identity if delivery is None else delivery.post_id
    workspace = post_views.find_workspace_of_post(c, post)
    if workspace is None:
        raise click.ClickException(
            f"There is no post or delivery {identity}: `slipway post list` and `slipway delivery list` show them."
        )
    return workspace, post, None if delivery is None else identity


def _to_lines(one: dict[str, Any]) -> dict[str, Any]:
    """Return the lines of an account."""
    action, error = one["action"] or {}, one["evidence"]["error"] or {}
    detail = one["blocked_reason"] or one["held_for"]
    return {
        "account": f"{one['username']} on {one['platform']}",
        "delivery": one["delivery_id"],
        "state": f"{one['state']} ({detail})" if detail else one["state"],
        "since": one["since"],
        "summary": one["summary"],
        **_to_evidence_lines(one["evidence"]),
        "error": error.get("message"),
        "platform_message": error.get("platform_message"),
        "turn": one["turn"],
        "next": one["next_step"],
        "next_at": one["next_at"],
        "to do": action.get("text"),
        "command": action.get("command"),
        "see": error.get("help"),
    }


def _to_evidence_lines(found: dict[str, Any]) -> dict[str, Any]:
    day, attempt = found["daily_limit"], found["attempt"]
    return {
        "holds": "; ".join(f"{h['hold']} {h['scope']} {h['target']}: {h['why']}" for h in found["holds"]),
        "checks": "; ".join(f"{k['url']}: {k['seen'] or 'not tried yet'}" for k in found["checks"]),
        "today": f"{day['used']} of {day['limit']} per {day['per']}" if day else None,
        "grant ends": found["grant"]["ends_at"],
        "attempt": f"{attempt['n']}, {attempt['outcome'] or 'open'}" if attempt else None,
    }
