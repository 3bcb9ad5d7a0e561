"""`slipway notice`: where a person is told what needs one; add, list and remove targets, and test one."""

from __future__ import annotations

import click

from pipeline.cli import lazy_imports, runtime
from pipeline.cli.output import Group, pick, print_fields, print_present, print_rows
from pipeline.cli.webhook import wait_for_try
from pipeline.domain.attention import Kind
from pipeline.domain.notice import KINDS, Form

with lazy_imports():
    from pipeline.store.webhooks import notices as store
    from pipeline.store.webhooks import webhooks

KIND = click.Choice([one.value for one in Kind])
target_argument = click.argument("target_id", metavar="TARGET")


@click.group(cls=Group)
def command() -> None:
    """Notices: what `slipway attention` lists, told once per cause and once when it ends."""


@command.command()
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
    with runtime.report_refusals(), runtime.open_context() as context:
        with context.database.begin() as c:
            chosen = runtime.find_workspace_id(c, workspace)
        [(form, address)] = given.items()
        added = notices.add(context, runtime.find_actor(), chosen, form, address, kinds or KINDS)
    print_present(_describe(added))


@command.command("list")
@click.option("--workspace", help="Only of this one; name or id.")
def list_(workspace: str | None) -> None:
    """List targets, oldest first; one whose server takes nothing is paused, and `slipway notice test` resumes it.

    Example:
      slipway notice list --workspace Acme
    """
    with runtime.open_transaction() as c:
        found = store.list_targets(c, runtime.find_workspace_id(c, workspace))
    print_rows([_describe(one) for one in found], empty="No targets of notices.")


@command.command()
@target_argument
def remove(target_id: str) -> None:
    """Remove TARGET: nothing is told there any more.

    Example:
      slipway notice remove 0199c0de-0000-7000-8000-000000000000
    """
    from pipeline.webhooks import notices

    identity = runtime.parse_id(target_id, "target", "notice")
    with runtime.report_refusals(), runtime.open_context() as context:
        notices.remove(context, runtime.find_actor(), identity)
    print_fields({"id": identity, "removed": True})


@command.command()
@target_argument
def test(target_id: str) -> None:
    """Send a test to TARGET and wait up to 20 seconds for what its server answers. Exit 1 unless it took it.

    Example:
      slipway notice test 0199c0de-0000-7000-8000-000000000000
    """
    from pipeline.webhooks import notices

    identity = runtime.parse_id(target_id, "target", "notice")
    with runtime.report_refusals(), runtime.open_context() as context:
        event = notices.test(context, runtime.find_actor(), identity)
        found = wait_for_try(context, identity, event)
    last = found.attempts[0] if found.attempts else {}
    print_present({"id": event, "state": found.state, **last})
    if found.state != "delivered":
        raise click.exceptions.Exit(1)


def _describe(target: webhooks.Webhook) -> dict[str, object]:
    facts = pick(target, "id workspace=scope form address=url paused=paused_why failing_since")
    return {**facts, "kinds": " ".join(target.types or ())}
