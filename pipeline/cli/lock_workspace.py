"""`slipway workspace lock` and `unlock`: for a key that leaked."""

from __future__ import annotations

import sys

import click

from pipeline.cli import lazy_imports
from pipeline.cli.output import Command, is_json, print_fields
from pipeline.cli.runtime import build_caller, find_actor, open_context

with lazy_imports():
    from pipeline.actions import lock_workspace
    from pipeline.store.auth import access
    from pipeline.store.auth import workspaces as workspace_store
    from pipeline.store.deliveries import pauses

yes_option = click.option("--yes", is_flag=True, help="Do it without a question, for scripts.")
NEXT = """\nMake a new key:             slipway key create {id}
Take new webhook secrets:   slipway webhook list --workspace {id}, then slipway webhook rotate WEBHOOK
Then, to send what is held: slipway workspace unlock {id}   (with --cancel: to cancel it)"""


@click.command(cls=Command)
@click.argument("workspace")
@click.option("--reason", default="a key may have leaked", show_default=True, help="Shown with what is held.")
@yes_option
def lock(workspace: str, reason: str, *, yes: bool) -> None:
    """Lock WORKSPACE (name or id) at once, after a count: nothing made with what leaked goes out.

    All its keys, sessions of its people and open links end, also those of other workspaces that they use. Webhooks
    wait until each secret is rotated. What is not being sent is held until `slipway workspace unlock`. New keys work,
    and their posts are held too. People with a role in all workspaces stay.

    Examples:
      slipway workspace lock Acme
      slipway workspace lock Acme --reason 'key in a public repository' --yes --json
    """
    if not reason.strip():
        raise click.ClickException("--reason is empty: say why, or leave it out.")
    with open_context() as context:
        with context.database.begin() as c:
            found = workspace_store.find_workspace(c, workspace)
            counted = access.count_access(c, found.id)
        has = ", ".join(f"{n} {what}" for what, n in counted.items())
        _confirm(f"{found.name} has {has}. Lock it?", yes=yes)
        ended = lock_workspace.lock(context, find_actor(), found.id, reason)
    print_fields(
        {"id": found.id, "name": found.name, "locked": True, "changed": ended is not None, **(ended or {})}
    )
    if not is_json():
        already = "\nIt was locked already: nothing was done. `slipway pause list` says why."
        click.echo(NEXT.format(id=found.id) if ended else already)


@click.command(cls=Command)
@click.argument("workspace")
@click.option("--cancel", is_flag=True, help="First cancel what is held; drafts stay.")
@yes_option
def unlock(workspace: str, *, cancel: bool, yes: bool) -> None:
    """Unlock WORKSPACE: what is held goes out, when it is late by its late policy. What was ended stays so.

    Examples:
      slipway workspace unlock Acme
      slipway workspace unlock Acme --cancel --yes
    """
    with open_context() as context:
        with context.database.begin() as c:
            found = workspace_store.find_workspace(c, workspace)
            held = access.count_access(c, found.id)["deliveries"]
            if not pauses.is_locked(c, found.id):
                raise click.ClickException(
                    f"{found.name} is not locked: `slipway pause list` shows what is held."
                )
        _confirm(
            f"{held} deliveries are {'canceled' if cancel else 'released'}. Unlock {found.name}?", yes=yes
        )
        canceled = lock_workspace.cancel_held(context, build_caller(found)) if cancel else 0
        lock_workspace.unlock(context, find_actor(), found.id)
    print_fields({"id": found.id, "name": found.name, "locked": False, "canceled": canceled})


def _confirm(question: str, *, yes: bool) -> None:
    """Ask at a terminal. Raises ClickException without one, and Abort for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.ClickException(f"{question} Nothing was done: without a terminal, say so with --yes.")
    click.confirm(question, abort=True, err=True)
