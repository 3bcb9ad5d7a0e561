"""`slipway workspace delete`: count what a workspace has, delete it for good, and show how far that is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from pipeline.cli import lazy_imports
from pipeline.cli.output import Command, is_json, pick, print_fields, print_rows
from pipeline.cli.runtime import find_actor, open_context, open_transaction

with lazy_imports():
    from pipeline.actions import delete_workspace
    from pipeline.store import deletions
    from pipeline.store.auth import workspaces as workspace_store

WARNING = (
    "This cannot be undone. At once its keys and roles end, and nothing more is published for it. Then grants at "
    "the platforms, tokens, files, texts, webhooks and imports are erased. Receipts stay, and hashes of each post."
)


@click.command(cls=Command)
@click.argument("workspace", required=False)
@click.option("--yes", metavar="NAME", help="The name once more, for scripts: nothing is asked.")
@click.option("--status", is_flag=True, help="Show how far it is; of all deletions without WORKSPACE.")
def delete(workspace: str | None, yes: str | None, *, status: bool) -> None:
    """Delete WORKSPACE (name or id) for good, after a count of what it has.

    It is closed at once; a worker erases it. --status shows how far that is.

    Examples:
      slipway workspace delete Acme
      slipway workspace delete Acme --yes Acme --json
      slipway workspace delete Acme --status
    """
    if status:
        _show_status(workspace)
        return
    if workspace is None:
        raise click.UsageError("Give WORKSPACE: a name, or an id.")
    with open_context() as context:
        with context.database.begin() as c:
            found = workspace_store.find_workspace(c, workspace)
            counted = deletions.count_contents(c, found.id)
        if yes is None:
            yes = _ask(found.name, counted)
        if yes != found.name:
            raise click.ClickException(
                f"--yes is {yes!r}, and the workspace is named {found.name!r}: nothing was done."
            )
        delete_workspace.close(context, find_actor(), found.id)
    _show_status(str(found.id))


def _ask(name: str, counted: Mapping[str, Any]) -> str:
    """Show what there is and return the name that is typed. Raises ClickException without a terminal."""
    click.echo(f"{name}: {_describe(counted)}.\n{WARNING}", err=True)
    if not sys.stdin.isatty():
        raise click.ClickException("--yes is missing: without a terminal, repeat the name with it.")
    typed: str = click.prompt("Type the name of the workspace", err=True)
    return typed


def _describe(counted: Mapping[str, Any]) -> str:
    posts = ", ".join(f"{n} {status}" for status, n in counted["posts"].items())
    others = ", ".join(f"{n} {what}" for what, n in counted.items() if what != "posts")
    return f"posts: {posts or 'none'}; {others}"


def _show_status(workspace: str | None) -> None:
    """Print one deletion, or a row for each. Raises ClickException for a workspace that was never deleted."""
    with open_transaction(warn=False) as c:
        found = deletions.list_deletions(c, workspace)
        waiting = deletions.count_waiting(c, found[0].id) if found else 0
    if workspace is None:
        print_rows([pick(one, _FIELDS if is_json() else _SHORT) for one in found], empty="No deletions.")
    elif not found:
        raise click.ClickException(
            f"The workspace {workspace!r} was never deleted: --status alone lists all."
        )
    else:
        print_fields({**pick(found[0], _FIELDS), "waiting": waiting})


_SHORT = "id name state created_at moved_at ended_at"
_FIELDS = f"{_SHORT} counted erased grants"
