"""`slipway webhook`: where events are sent; create, change, pause, test, rotate, see its events, send them again.

`slipway notice`: the targets of an operator's notices; add, list, remove and test them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.cli import lazy_imports, runtime
from pipeline.cli.options import PAST, id_of, limit_option
from pipeline.cli.output import Group, is_json, pick, print_fields, print_present, print_rows
from pipeline.domain.attention import Kind
from pipeline.domain.notice import KINDS, Form

with lazy_imports():
    from pipeline.api import webhooks as models
    from pipeline.domain import webhook as webhook_domain
    from pipeline.store.webhooks import events as event_store
    from pipeline.store.webhooks import notices as target_store
    from pipeline.store.webhooks import webhooks as webhook_store


if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

webhook_argument = click.argument("webhook_id", metavar="WEBHOOK", type=id_of("webhook"))
event_option = click.option(
    "--event", "types", multiple=True, help="A type to send; may be repeated. Default: all."
)
STATES = click.Choice(["pending", "delivered", "failed"])
KIND = click.Choice([one.value for one in Kind])
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

    with runtime.open_context() as context:
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
def show(webhook_id: UUID) -> None:
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
def update(webhook_id: UUID, types: tuple[str, ...], *, all_events: bool, **given: Any) -> None:
    """Change WEBHOOK, pause it, or resume it.

    Examples:
      slipway webhook update 0199c0de-0000-7000-8000-000000000000 --url https://hooks.example.com/new
      slipway webhook update 0199c0de-0000-7000-8000-000000000000 --resume
    """
    from pipeline.webhooks import webhooks

    given["types"] = _check_types(types)
    changes = {name: value for name, value in given.items() if value is not None}
    if all_events:
        changes["types"] = None
    if not changes:
        raise click.ClickException(
            "Give at least one of --url, --event, --all-events, --description, --pause, --resume."
        )
    with _open_webhook(webhook_id) as (context, caller, found):
        _print(webhooks.change(context, caller, found.id, **{"paused": None, **changes}))


@command.command()
@webhook_argument
def rotate(webhook_id: UUID) -> None:
    """Give WEBHOOK a new secret. For a day both sign; a second rotation ends the oldest.

    Example:
      slipway webhook rotate 0199c0de-0000-7000-8000-000000000000
    """
    from pipeline.webhooks import webhooks

    with _open_webhook(webhook_id) as (context, caller, found):
        _print(*webhooks.rotate(context, caller, found.id))


@command.command()
@webhook_argument
def test(webhook_id: UUID) -> None:
    """Send a test event to WEBHOOK, and wait up to 20 seconds for what becomes of it. Exit 1 unless it arrived.

    Example:
      slipway webhook test 0199c0de-0000-7000-8000-000000000000
    """
    from pipeline.webhooks import webhooks

    with _open_webhook(webhook_id) as (context, caller, found):
        event = webhooks.test(context, caller, found.id, None)
        tried = _wait_for_try(context, found.id, event.id)
        ended = models.WebhookEvent.from_event(tried).model_dump(mode="json")
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
def events(webhook_id: UUID, state: str | None, kind: str | None, limit: int) -> None:
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
@click.option(
    "--id", "ids", metavar="TEXT", multiple=True, type=id_of("event"), help="An event; may be repeated."
)
@click.option("--since", type=PAST, help="Made at this time or later: 24h, or ISO 8601.")
@click.option("--until", type=PAST, help="Made before this time.")
@click.option("--state", type=STATES, help="Of a span, only those of this state.")
def replay(webhook_id: UUID, ids: tuple[UUID, ...], state: str | None, **span: Any) -> None:
    """Send events of WEBHOOK again under the same ids: some, or all of a span. In order in each post.

    Examples:
      slipway webhook replay 0199c0de-0000-7000-8000-000000000000 --id 0199c0de-0000-7000-8000-000000000000
      slipway webhook replay 0199c0de-0000-7000-8000-000000000000 --since 24h --state failed
    """
    from pipeline.webhooks import webhooks

    if bool(ids) == (span["since"] is not None) or (ids and (span["until"] or state)):
        raise click.ClickException("Give --id, or --since with --until and --state; not both.")
    chosen_state = None if state is None else webhook_domain.EventState(state)
    chosen = event_store.Replay(ids=list(ids) or None, state=chosen_state, **span)
    with _open_webhook(webhook_id) as (context, caller, found):
        total = webhooks.replay_all(context, caller, found.id, chosen)
    print_fields({"replayed": total})


@command.command()
@webhook_argument
def delete(webhook_id: UUID) -> None:
    """Delete WEBHOOK and its events.

    Example:
      slipway webhook delete 0199c0de-0000-7000-8000-000000000000
    """
    from pipeline.webhooks import webhooks

    with _open_webhook(webhook_id) as (context, caller, found):
        webhooks.delete(context, caller, found.id)
    print_fields({"id": found.id, "deleted": True})


# --- what the commands share -----------------------------------------------------------------------------------------


def _open_webhook(webhook_id: UUID) -> runtime.Opened[webhook_store.Webhook]:
    """Open the context, the operator as a caller of the webhook's workspace, and the webhook. Raises ClickException."""

    def find(c: Connection, caller: Caller, identity: UUID) -> webhook_store.Webhook | None:
        return next(iter(webhook_store.list_webhooks(c, caller, identity)), None)

    return runtime.open_for("webhook", webhook_id, webhook_store.find_workspace_of_webhook, find)


def _check_types(types: tuple[str, ...]) -> list[str] | None:
    for kind in types:
        if kind not in webhook_domain.CHOICES:
            raise click.ClickException(f"--event {kind}: must be one of {', '.join(webhook_domain.CHOICES)}.")
    return [*types] or None


def _wait_for_try(context: Context, webhook: UUID, event: UUID) -> event_store.StoredEvent:
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


# --- notices ---------------------------------------------------------------------------------------------------------

target_argument = click.argument("target_id", metavar="TARGET", type=id_of("target", "notice"))


@click.group(cls=Group)
def notice() -> None:
    """Notices: what `slipway attention` lists, told once per cause and once when it ends."""


@notice.command()
@click.argument("workspace", required=False)
@click.option("--slack", metavar="URL", help="An incoming webhook of Slack.")
@click.option("--discord", metavar="URL", help="A webhook of a Discord channel.")
@click.option("--email", metavar="ADDRESS", help="A mailbox, by the server of SLIPWAY_SMTP__HOST.")
@click.option("--kind", "kinds", multiple=True, type=KIND, help="Only this; may be repeated.")
def add(workspace: str | None, kinds: tuple[str, ...], **addresses: str | None) -> None:
    """Tell one address what needs a person in WORKSPACE, or in all. It is sealed, and not shown whole again.

    Examples:
      slipway notice add Acme --slack https://hooks.slack.com/services/T000/B000/XXXX --kind reconnect
      slipway notice add --email ops@example.com
    """
    from pipeline.webhooks import notices

    given = {Form(name): value for name, value in addresses.items() if value is not None}
    if len(given) != 1:
        raise click.UsageError("Give one of --slack, --discord and --email.")
    with runtime.open_context() as context:
        with context.database.begin() as c:
            chosen = runtime.find_workspace_id(c, workspace)
        [(form, address)] = given.items()
        added = notices.add(context, runtime.find_actor(), chosen, form, address, kinds or KINDS)
    print_present(_describe_target(added))


@notice.command("list")
@click.option("--workspace", help="Only of this one; name or id.")
def list_targets(workspace: str | None) -> None:
    """List targets, oldest first; one whose server takes nothing is paused, and `slipway notice test` resumes it.

    Example:
      slipway notice list --workspace Acme
    """
    with runtime.open_transaction() as c:
        found = target_store.list_targets(c, runtime.find_workspace_id(c, workspace))
    print_rows([_describe_target(one) for one in found], empty="No targets of notices.")


@notice.command()
@target_argument
def remove(target_id: UUID) -> None:
    """Remove TARGET: nothing is told there any more.

    Example:
      slipway notice remove 0199c0de-0000-7000-8000-000000000000
    """
    from pipeline.webhooks import notices

    with runtime.open_context() as context:
        notices.remove(context, runtime.find_actor(), target_id)
    print_fields({"id": target_id, "removed": True})


@notice.command("test")
@target_argument
def test_target(target_id: UUID) -> None:
    """Send a test to TARGET and wait up to 20 seconds for what its server answers. Exit 1 unless it took it.

    Example:
      slipway notice test 0199c0de-0000-7000-8000-000000000000
    """
    from pipeline.webhooks import notices

    with runtime.open_context() as context:
        event = notices.test(context, runtime.find_actor(), target_id)
        found = _wait_for_try(context, target_id, event)
    last = found.attempts[0] if found.attempts else {}
    print_present({"id": event, "state": found.state, **last})
    if found.state != "delivered":
        raise click.exceptions.Exit(1)


def _describe_target(target: webhook_store.Webhook) -> dict[str, object]:
    facts = pick(target, "id workspace=scope form address=url paused=paused_why failing_since")
    return {**facts, "kinds": " ".join(target.types or ())}
