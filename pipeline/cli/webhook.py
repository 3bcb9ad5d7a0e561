"""`slipway webhook`: where events are sent; create, change, pause, test, rotate, see its events, send them again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.cli import EXAMPLE, EXAMPLES, lazy_imports
from pipeline.cli.options import PAST
from pipeline.cli.output import json_option, pick, print_fields, print_rows
from pipeline.cli.runtime import (
    build_caller,
    choose_workspace,
    open_context,
    open_for,
    open_transaction,
    parse_id,
    report_refusals,
    workspace_option,
)

with lazy_imports():
    from pipeline.api.webhooks import models
    from pipeline.domain import webhook as webhook_domain
    from pipeline.store.webhooks import events as event_store
    from pipeline.store.webhooks import webhooks as webhook_store


if TYPE_CHECKING:
    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

EXAMPLE_ID = "0199c0de-0000-7000-8000-000000000000"
webhook_argument = click.argument("webhook_id", metavar="WEBHOOK")
event_option = click.option(
    "--event", "types", multiple=True, help="A type to send; may be repeated. Default: all."
)
STATES = click.Choice(["pending", "delivered", "failed"])
PATIENCE = 20.0
"""Seconds in which the result of a test is awaited."""
POLL_SECONDS = 0.2


@click.group()
def command() -> None:
    """Webhooks: events of posts, accounts and imports, sent to a public https URL and signed."""


@command.command(
    epilog=f"{EXAMPLES}slipway webhook create https://hooks.example.com/slipway --workspace Acme\n"
    "  slipway webhook create https://hooks.example.com/slipway --event post.posted --event post.failed"
)
@click.argument("url")
@workspace_option
@event_option
@click.option("--description", help="For people.")
@json_option
def create(
    url: str, workspace: str | None, types: tuple[str, ...], description: str | None, *, as_json: bool
) -> None:
    """Send events to URL from now on. The secret that signs them is shown once."""
    from pipeline.webhooks import webhooks

    with report_refusals(), open_context() as context:
        with context.database.begin() as c:
            caller = build_caller(choose_workspace(c, workspace))
        made, secret = webhooks.create(
            context, caller, url=url, types=_check_types(types), description=description
        )
    _print(made, secret, as_json=as_json)


@command.command(
    "list", epilog=f"{EXAMPLES}slipway webhook list --workspace Acme\n  slipway webhook list --paused"
)
@workspace_option
@click.option("--paused", is_flag=True, help="Only paused webhooks, in all workspaces.")
@json_option
def list_(workspace: str | None, *, paused: bool, as_json: bool) -> None:
    """List webhooks, oldest first."""
    with open_transaction() as c:
        chosen = None if paused else build_caller(choose_workspace(c, workspace))
        found = (
            webhook_store.list_all_paused(c, 1000)
            if chosen is None
            else webhook_store.list_webhooks(c, chosen)
        )
    rows = [
        {
            **pick(w, "id workspace=workspace_id url"),
            "events": "all" if w.types is None else " ".join(w.types),
            **pick(w, "paused=paused_why since=paused_at failing_since"),
        }
        for w in found
    ]
    print_rows(rows, as_json=as_json, empty="No webhooks.")


@command.command(epilog=EXAMPLE + f"slipway webhook show {EXAMPLE_ID}")
@webhook_argument
@json_option
def show(webhook_id: str, *, as_json: bool) -> None:
    """Show WEBHOOK: its URL, its types of events, and whether it is paused."""
    with _open_webhook(webhook_id) as (_, _, found):
        _print(found, as_json=as_json)


@command.command(
    epilog=f"{EXAMPLES}slipway webhook update {EXAMPLE_ID} --url https://hooks.example.com/new\n"
    f"  slipway webhook update {EXAMPLE_ID} --resume"
)
@webhook_argument
@click.option("--url", help="Send to this URL, what waits too.")
@event_option
@click.option("--all-events", is_flag=True, help="Send every type.")
@click.option("--description", help="For people.")
@click.option(
    "--pause/--resume", "paused", default=None, help="Keep events and send none; send what waits, in order."
)
@json_option
def update(
    webhook_id: str,
    url: str | None,
    types: tuple[str, ...],
    description: str | None,
    *,
    all_events: bool,
    paused: bool | None,
    as_json: bool,
) -> None:
    """Change WEBHOOK, pause it, or resume it."""
    from pipeline.webhooks import webhooks

    changes: dict[str, Any] = {"url": url, "types": _check_types(types), "description": description}
    changes = {name: value for name, value in changes.items() if value is not None}
    if all_events:
        changes["types"] = None
    if not changes and paused is None:
        raise click.ClickException(
            "Give at least one of --url, --event, --all-events, --description, --pause, --resume."
        )
    with report_refusals(), _open_webhook(webhook_id) as (context, caller, found):
        _print(webhooks.change(context, caller, found.id, paused=paused, **changes), as_json=as_json)


@command.command(epilog=EXAMPLE + f"slipway webhook rotate {EXAMPLE_ID}")
@webhook_argument
@json_option
def rotate(webhook_id: str, *, as_json: bool) -> None:
    """Give WEBHOOK a new secret. For a day both sign; a second rotation ends the oldest."""
    from pipeline.webhooks import webhooks

    with _open_webhook(webhook_id) as (context, caller, found):
        _print(*webhooks.rotate(context, caller, found.id), as_json=as_json)


@command.command(epilog=EXAMPLE + f"slipway webhook test {EXAMPLE_ID}")
@webhook_argument
@json_option
def test(webhook_id: str, *, as_json: bool) -> None:
    """Send a test event to WEBHOOK, and wait up to 20 seconds for what becomes of it. Exit 1 unless it arrived."""
    from pipeline.webhooks import webhooks

    with _open_webhook(webhook_id) as (context, caller, found):
        event = webhooks.test(context, caller, found.id, None)
        ended = _wait(context, found.id, event.id)
    _print_event(ended, as_json=as_json)
    if found.paused_at is not None:
        click.echo("The webhook is paused: the test waits until it is resumed.", err=True)
    if ended["state"] != "delivered":
        raise click.exceptions.Exit(1)


@command.command(
    epilog=f"{EXAMPLES}slipway webhook events {EXAMPLE_ID} --state failed\n"
    f"  slipway webhook events {EXAMPLE_ID} --json"
)
@webhook_argument
@click.option("--state", type=STATES, help="Only of this state.")
@click.option("--type", "kind", help="Only of this type.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def events(webhook_id: str, state: str | None, kind: str | None, limit: int, *, as_json: bool) -> None:
    """List the events of WEBHOOK with their last try, newest first; as JSON with their payload and all tries."""
    with _open_webhook(webhook_id) as (context, _, found), context.database.begin() as c:
        requested = None if state is None else webhook_domain.EventState(state)
        page = event_store.list_events(c, found.id, limit=limit, state=requested, kind=kind)
    rows = [models.WebhookEvent.from_event(event).model_dump(mode="json") for event in page]
    print_rows(rows if as_json else [*map(_summarize, rows)], as_json=as_json, empty="No events.")


@command.command(
    epilog=f"{EXAMPLES}slipway webhook replay {EXAMPLE_ID} --id {EXAMPLE_ID}\n"
    f"  slipway webhook replay {EXAMPLE_ID} --since 24h --state failed"
)
@webhook_argument
@click.option("--id", "ids", multiple=True, help="An event; may be repeated.")
@click.option("--since", type=PAST, help="Made at this time or later: 24h, or ISO 8601.")
@click.option("--until", type=PAST, help="Made before this time.")
@click.option("--state", type=STATES, help="Of a span, only those of this state.")
@json_option
def replay(
    webhook_id: str,
    ids: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    state: str | None,
    *,
    as_json: bool,
) -> None:
    """Send events of WEBHOOK again under the same ids: some, or all of a span. In order in each post."""
    from pipeline.webhooks import webhooks

    if bool(ids) == (since is not None) or (ids and (until or state)):
        raise click.ClickException("Give --id, or --since with --until and --state; not both.")
    chosen = event_store.Replay(
        ids=[parse_id(one, "event") for one in ids] or None,
        since=since,
        until=until,
        state=None if state is None else webhook_domain.EventState(state),
    )
    with _open_webhook(webhook_id) as (context, caller, found):
        total, last = webhooks.replay(context, caller, found.id, chosen)
        while last is not None:
            more, last = webhooks.replay(
                context,
                caller,
                found.id,
                event_store.Replay(since=since, until=until, state=chosen.state, after=last),
            )
            total += more
    print_fields({"replayed": total}, as_json=as_json)


@command.command(epilog=EXAMPLE + f"slipway webhook delete {EXAMPLE_ID}")
@webhook_argument
@json_option
def delete(webhook_id: str, *, as_json: bool) -> None:
    """Delete WEBHOOK and its events."""
    from pipeline.webhooks import webhooks

    with _open_webhook(webhook_id) as (context, caller, found):
        webhooks.delete(context, caller, found.id)
    print_fields({"id": found.id, "deleted": True}, as_json=as_json)


# --- what the commands share -----------------------------------------------------------------------------------------


@contextmanager
def _open_webhook(webhook_id: str) -> Iterator[tuple[Context, Caller, webhook_store.Webhook]]:
    """Open the context, the operator as a caller of the webhook's workspace, and the webhook. Raises ClickException."""
    with open_for("webhook", webhook_id, webhook_store.find_workspace_of_webhook) as (
        context,
        caller,
        identity,
    ):
        with context.database.begin() as c:
            [found] = webhook_store.list_webhooks(c, caller, identity)
        yield context, caller, found


def _check_types(types: tuple[str, ...]) -> list[str] | None:

    for kind in types:
        if kind not in webhook_domain.CHOICES:
            raise click.ClickException(f"--event {kind}: must be one of {', '.join(webhook_domain.CHOICES)}.")
    return [*types] or None


def _wait(context: Context, webhook: UUID, event: UUID) -> dict[str, Any]:
    """Return an event once its first try has ended, or as it is after ``PATIENCE`` seconds."""
    import time

    until = time.monotonic() + PATIENCE
    while True:
        with context.database.begin() as c:
            [found] = event_store.list_events(c, webhook, limit=1, identity=event)
        has_ended = any(attempt["outcome"] for attempt in found.attempts)
        if has_ended or time.monotonic() >= until:
            return models.WebhookEvent.from_event(found).model_dump(mode="json")
        time.sleep(POLL_SECONDS)


def _summarize(event: dict[str, Any]) -> dict[str, Any]:
    last: dict[str, Any] = next(iter(event["attempts"]), {})
    fields = {name: event[name] for name in ("id", "type", "state", "created_at", "tries", "next_at")}
    return {**fields, "last": last.get("outcome"), "error": last.get("error")}


def _print_event(event: dict[str, Any], *, as_json: bool) -> None:
    print_fields(event if as_json else _present(_summarize(event)), as_json=as_json)


def _print(found: webhook_store.Webhook, secret: str = "", *, as_json: bool) -> None:

    fields = models.WebhookModel.from_webhook(found, secret).model_dump(mode="json")
    if as_json:
        print_fields(fields, as_json=True)
        return
    pause, types = fields["paused"] or {}, fields["events"]
    fields |= {"events": "all" if types is None else " ".join(types)}
    fields["paused"] = f"{pause['why']} since {pause['since']}" if pause else None
    fields["account_ids"] = " ".join(fields["account_ids"] or ())
    print_fields(_present(fields), as_json=False)
    if secret:
        click.echo("\nKeep the secret: it is not shown again.")


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "")}
