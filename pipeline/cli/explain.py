"""`slipway explain`: why a post, or one delivery of it, stands where it stands, and what happens next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import EXAMPLES
from pipeline.cli.output import json_option, print_fields
from pipeline.cli.runtime import open_context, parse_id

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Connection

EXAMPLE_ID = "0199c0de-0000-7000-8000-000000000000"


@click.command(epilog=f"{EXAMPLES}slipway explain {EXAMPLE_ID}\n  slipway explain {EXAMPLE_ID} --json")
@click.argument("identity", metavar="ID")
@json_option
def command(identity: str, *, as_json: bool) -> None:
    """Explain a post (or one delivery): where it stands at each account and since when, whose turn it is, what is next.

    --json has the evidence: pauses, checks, limits, the grant, the last attempt and error.
    """
    from pipeline.actions.explain import explain_post
    from pipeline.api.posts.explanation_models import PostExplanation

    with open_context() as context:
        with context.database.begin() as c:
            workspace, post, delivery = _find(c, parse_id(identity, "post"))
        found = explain_post(context, workspace, post)
    if found is None:
        raise click.ClickException(f"The post {post} is deleted.")
    shown = PostExplanation.from_explained(found, ()).model_dump(mode="json")
    for one, account in zip(found.deliveries, shown["accounts"], strict=True):
        action = one.explanation.action
        account["action"] = action and {"text": action.says, "command": action.command}
    shown["accounts"] = [
        one for one in shown["accounts"] if delivery is None or one["delivery_id"] == str(delivery)
    ]
    if as_json:
        print_fields(shown, as_json=True)
        return
    print_fields({name: shown[name] for name in ("id", "status", "scheduled_at")}, as_json=False)
    for one in shown["accounts"]:
        click.echo()
        print_fields(_to_lines(one), as_json=False)


def _find(c: Connection, identity: UUID) -> tuple[UUID, UUID, UUID | None]:
    """Return workspace, post, and the delivery if the id is one. Raises ClickException."""
    from pipeline.store.deliveries.inspection import find_delivery, find_workspace_of_post

    delivery = find_delivery(c, identity)
    post = identity if delivery is None else delivery.post_id
    workspace = find_workspace_of_post(c, post)
    if workspace is None:
        raise click.ClickException(
            f"There is no post or delivery {identity}: `slipway post list` and `slipway delivery list` show them."
        )
    return workspace, post, None if delivery is None else identity


def _to_lines(one: dict[str, Any]) -> dict[str, Any]:
    """Return the lines of an account, without empty ones."""
    action, error = one["action"] or {}, one["evidence"]["error"] or {}
    detail = one["blocked_reason"] or one["held_for"]
    lines = {
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
    return {name: value for name, value in lines.items() if value}


def _to_evidence_lines(found: dict[str, Any]) -> dict[str, Any]:
    day, attempt = found["daily_limit"], found["attempt"]
    return {
        "holds": "; ".join(f"{h['hold']} {h['scope']} {h['target']}: {h['why']}" for h in found["holds"]),
        "checks": "; ".join(f"{k['url']}: {k['seen'] or 'not tried yet'}" for k in found["checks"]),
        "today": f"{day['used']} of {day['limit']} per {day['per']}" if day else None,
        "grant ends": found["grant"]["ends_at"],
        "attempt": f"{attempt['n']}, {attempt['outcome'] or 'open'}" if attempt else None,
    }
