"""`slipway webhook`: where events are sent; create, change, pause, test, rotate, see its events, send them again."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.cli import lazy_imports, runtime
from pipeline.cli.options import PAST, limit_option
from pipeline.cli.output import Group, is_json, pick, print_fields, print_present, print_rows

with lazy_imports():
    from pipeline.api import webhooks as models
    from pipeline.domain import webhook as webhook_domain
    from pipeline.store.webhooks import events as event_store
    from pipeline.store.webhooks import webhooks as webhook_store


if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

webhook_argument = click.argument("webhook_id", metavar="WEBHOOK")
event_option = click.option(
    "--event", "types", multiple=True, help="A type to send; may be repeated. Default: all."
)
STATES = click.Choice(["pending", "delivered", "failed"])
PATIENCE = 20.0
"""Seconds in which the result of a test is awaited."""
POLL_SECONDS = 0.2


@click.group(cls=Group)
def command() -> None:
    """Webhooks: events of posts, accounts and imports, sent to a public https URL and signed."""


@command.command()
@click.argument("url")
@runtime.workspace_option
@event_option
@click.option("--description", help="For people.")
def create(url: str, workspace: str | None, types: tuple[str, ...], description: str | None) -> None:
    """Send events to URL from now on. The secret that signs them is shown once.

    Examples:
      slipway webhook create https://hooks.example.com/slipway --workspace Acme
      slipway webhook create https://hooks.example.com/slipway --event post.posted --event post.failed
    """
    from pipeline.webhooks import webhooks

    with runtime.report_refusals(), runtime.open_context() as context:
        with context.database.begin() as c:
            caller = runtime.build_caller(runtime.choose_workspace(c, workspace))
        made, secret = webhooks.create(
            context, caller, url=url, types=_check_types(types), description=description
        )
    _print(made, secret)


@command.command("list")
@runtime.workspace_option
@click.option("--paused", is_flag=True, help="Only paused webhooks, in all workspaces.")
def list_(workspace: str | None, *, paused: bool) -> None:
    """List webhooks, oldest first.

    Examples:
      slipway webhook list --workspace Acme
      slipway webhook list --paused
    """
    with runtime.open_transaction() as c:
        chosen = None if paused else runtime.build_caller(runtime.choose_workspace(c, workspace))
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
    print_rows(rows, empty="No webhooks.")


@command.command()
@webhook_argument
def show(webhook_id: str) -> None:
    """Show WEBHOOK: its URL, its types of events, and whether it is paused.

    Example:
      slipway webhook show 0199c0de-0000-7000-8000-000000000000
    """
    with _open_webhook(webhook_id) as (_, _, found):
        _print(found)


@command.command()
@webhook_argument
@click.option("--url", help="Send to this URL, what waits too.")
@event_option
@click.option("--all-events", is_flag=True, help="Send every type.")
@click.option("--description", help="For people.")
@click.option(
    "--pause/--resume", "paused", default=None, help="Keep events and send none; send what waits, in order."
)
def update(
    webhook_id: str,
    url: str | None,
    types: tuple[str, ...],
    description: str | None,
    *,
    all_events: bool,
    paused: bool | None,
) -> None:
    """Change WEBHOOK, pause it, or resume it.

    Examples:
      slipway webhook update 0199c0de-0000-7000-8000-000000000000 --url https://hooks.example.com/new
      slipway webhook update 0199c0de-0000-7000-8000-000000000000 --resume
    """
    from pipeline.webhooks import webhooks

    changes: dict[str, Any] = {"url": url, "types": _check_types(types), "description": description}
    changes = {name: value for name, value in changes.items() if value is not None}
    if all_events:
        changes["types"] = None
    if not changes and paused is None:
        raise click.ClickException(
            "Give at least one of --url, --event, --all-events, --description, --pause, --resume."
        )
    with runtime.report_refusals(), _open_webhook(webhook_id) as (context, caller, found):
        _print(webhooks.change(context, caller, found.id, paused=paused, **changes))


@command.command()
@webhook_argument
def rotate(webhook_id: str) -> None:
    """Give WEBHOOK a new secret. For a day both sign; a second rotation ends the oldest.

    Example:
      slipway webhook rotate 0199c0de-0000-7000-8000-000000000000
    """
    from pipeline.webhooks import webhooks

    with _open_webhook(webhook_id) as (context, caller, found):
        _print(*webhooks.rotate(context, caller, found.id))


@command.command()
@webhook_argument
def test(webhook_id: str) -> None:
    """Send a test event to WEBHOOK, and wait up to 20 seconds for what becomes of it. Exit 1 unless it arrived.

    Example:
      slipway webhook test 0199c0de-0000-7000-8000-000000000000
    """
    from pipeline.webhooks import webhooks

    with _open_webhook(webhook_id) as (context, caller, found):
        event = webhooks.test(context, caller, found.id, None)
        ended = models.WebhookEvent.from_event(wait_for_try(context, found.id, event.id)).model_dump(
            mode="json"
        )
    print_present(ended if is_json() else _summarize(ended))
    if found.paused_at is not None:
        click.echo("The webhook is paused: the test waits until it is resumed.", err=True)
    if ended["state"] != "delivered":
        raise click.exceptions.Exit(1)


@command.command()
@webhook_argument
@click.option("--state", type=STATES, help="Only of this state.")
@click.option("--type", "kind", help="Only of this type.")
@limit_option
def events(webhook_id: str, state: str | None, kind: str | None, limit: int) -> None:
    """List the events of WEBHOOK with their last try, newest first; as JSON with their payload and all tries.

    Examples:
      slipway webhook events 0199c0de-0000-7000-8000-000000000000 --state failed
      slipway webhook events 0199c0de-0000-7000-8000-000000000000 --json
    """
    with _open_webhook(webhook_id) as (context, _, found), context.database.begin() as c:
        requested = None if state is None else webhook_domain.EventState(state)
        page = event_store.list_events(c, found.id, limit=limit, state=requested, kind=kind)
    rows = [models.WebhookEvent.from_event(event).model_dump(mode="json") for event in page]
    print_rows(rows if is_json() else [*map(_summarize, rows)], empty="No events.")


@command.command()
@webhook_argument
@click.option("--id", "ids", multiple=True, help="An event; may be repeated.")
@click.option("--since", type=PAST, help="Made at this time or later: 24h, or ISO 8601.")
@click.option("--until", type=PAST, help="Made before this time.")
@click.option("--state", type=STATES, help="Of a span, only those of this state.")
def replay(
    webhook_id: str, ids: tuple[str, ...], since: datetime | None, until: datetime | None, state: str | None
) -> None:
    """Send events of WEBHOOK again under the same ids: some, or all of a span. In order in each post.

    Examples:
      slipway webhook replay 0199c0de-0000-7000-8000-000000000000 --id 0199c0de-0000-7000-8000-000000000000
      slipway webhook replay 0199c0de-0000-7000-8000-000000000000 --since 24h --state failed
    """
    from pipeline.webhooks import webhooks

    if bool(ids) == (since is not None) or (ids and (until or state)):
        raise click.ClickException("Give --id, or --since with --until and --state; not both.")
    chosen = event_store.Replay(
        ids=[runtime.parse_id(one, "event") for one in ids] or None,
        since=since,
        until=until,
        state=None if state is None else webhook_domain.EventState(state),
    )
    with _open_webhook(webhook_id) as (context, caller, found):
        total = webhooks.replay_all(context, caller, found.id, chosen)
    print_fields({"replayed": total})


@command.command()
@webhook_argument
def delete(webhook_id: str) -> None:
    """Delete WEBHOOK and its events.

    Example:
      slipway webhook delete 0199c0de-0000-7000-8000-000000000000
    """
    from pipeline.webhooks import webhooks

    with _open_webhook(webhook_id) as (context, caller, found):
        webhooks.delete(context, caller, found.id)
    print_fields({"id": found.id, "deleted": True})


# --- what the commands share -----------------------------------------------------------------------------------------


def _open_webhook(webhook_id: str) -> runtime.Opened[webhook_store.Webhook]:
    """Open the context, the operator as a caller of the webhook's workspace, and the webhook. Raises ClickException."""

    def find(c: Connection, caller: Caller, identity: UUID) -> webhook_store.Webhook | None:
        return next(iter(webhook_store.list_webhooks(c, caller, identity)), None)

    return runtime.open_for("webhook", webhook_id, webhook_store.find_workspace_of_webhook, find)


def _check_types(types: tuple[str, ...]) -> list[str] | None:
    for kind in types:
        if kind not in webhook_domain.CHOICES:
            raise click.ClickException(f"--event {kind}: must be one of {', '.join(webhook_domain.CHOICES)}.")
    return [*types] or None


def wait_for_try(context: Context, webhook: UUID, event: UUID) -> event_store.StoredEvent:
    """Return an event once its first try has ended, or as it is after ``PATIENCE`` seconds."""
    until = time.monotonic() + PATIENCE
    while True:
        with context.database.begin() as c:
            [found] = event_store.list_events(c, webhook, limit=1, identity=event)
        has_ended = any(attempt["outcome"] for attempt in found.attempts)
        if has_ended or time.monotonic() >= until:
            return found
        time.sleep(POLL_SECONDS)


def _summarize(event: dict[str, Any]) -> dict[str, Any]:
    last: dict[str, Any] = next(iter(event["attempts"]), {})
    fields = {name: event[name] for name in ("id", "type", "state", "created_at", "tries", "next_at")}
    return {**fields, "last": last.get("outcome"), "error": last.get("error")}


def _print(found: webhook_store.Webhook, secret: str = "") -> None:
    fields = models.WebhookModel.from_webhook(found, secret).model_dump(mode="json")
    if is_json():
        print_fields(fields)
        return
    pause, types = fields["paused"] or {}, fields["events"]
    fields |= {"events": "all" if types is None else " ".join(types)}
    fields["paused"] = f"{pause['why']} since {pause['since']}" if pause else None
    fields["account_ids"] = " ".join(fields["account_ids"] or ())
    print_present(fields)
    if secret:
        click.echo("\nKeep the secret: it is not shown again.")
