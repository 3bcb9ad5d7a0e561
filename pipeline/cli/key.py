"""`slipway key`: what a client of the API shows to be let in."""

from __future__ import annotations

import click

from pipeline.api.timestamp import written
from pipeline.cli import EXAMPLE
from pipeline.cli.opening import ledger
from pipeline.cli.printing import json_option, show, show_one


@click.group()
def command() -> None:
    """Keys of the API; each speaks for one workspace."""


@command.command(epilog=EXAMPLE + "slipway key create Acme --name reporting")
@click.argument("workspace")
@click.option("--name", default="", help="What it is for; shown in lists.")
@json_option
def create(workspace: str, name: str, *, as_json: bool) -> None:
    """Make a key for WORKSPACE (name or id). It is shown this once: only a hash of it is kept."""
    from pipeline.store.keys import create_key
    from pipeline.store.workspaces import find_workspace

    with ledger() as c:
        found = find_workspace(c, workspace)
        key = create_key(c, found.id, name)
    if as_json:
        public = key.partition(".")[0]
        show_one({"key": key, "public_id": public, "workspace_id": found.id, "name": name}, as_json=True)
    else:
        click.echo(key)
        click.echo(
            "This key is shown only once: keep it now. Send it as `Authorization: Bearer <key>`.", err=True
        )


@command.command("list", epilog=EXAMPLE + "slipway key list Acme --json")
@click.argument("workspace", required=False)
@json_option
def list_(workspace: str | None, *, as_json: bool) -> None:
    """List the keys of WORKSPACE (name or id), or all; the secret half is nowhere."""
    from pipeline.store.keys import list_keys
    from pipeline.store.workspaces import find_workspace, list_workspaces

    with ledger() as c:
        only = find_workspace(c, workspace).id if workspace else None
        names = {w.id: w.name for w in list_workspaces(c)}
        found = list_keys(c, only)
    rows = [
        {
            "public_id": key.public_id, "workspace": names[key.workspace_id], "name": key.name,
            "created_at": written(key.created_at), "last_used_at": written(key.last_used_at),
            "revoked_at": written(key.revoked_at),
        }
        for key in found
    ]  # fmt: skip
    show(rows, as_json=as_json, empty="No keys. `slipway key create WORKSPACE` makes one.")


@command.command(epilog=EXAMPLE + "slipway key revoke slw_live_0123456789abcdef")
@click.argument("public_id")
@json_option
def revoke(public_id: str, *, as_json: bool) -> None:
    """Take a key out of use, for good: requests that show it are refused within a second."""
    from pipeline.store.keys import revoke_key

    shown = public_id.partition(".")[0]
    with ledger() as c:
        if not revoke_key(c, public_id):
            raise click.ClickException(f"There is no key {shown!r} in use: `slipway key list` shows them.")
    if as_json:
        show_one({"public_id": shown, "revoked": True}, as_json=True)
    else:
        click.echo(f"{shown} is revoked.")
