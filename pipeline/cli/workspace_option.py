"""The option --workspace of commands that work without it where there is only one workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.store.auth.workspaces import Workspace

workspace_option = click.option("--workspace", help="Name or id; may be left out if there is only one.")


def choose_workspace(c: Connection, given: str | None) -> Workspace:
    """Return the workspace of this name or id, or the only one there is. Raises ClickException, NoSuchWorkspace."""
    from pipeline.store.auth.workspaces import find_workspace, list_workspaces

    if given is not None:
        return find_workspace(c, given)
    found = list_workspaces(c)
    if len(found) != 1:
        names = ", ".join(w.name for w in found[:10]) or "none yet"
        raise click.ClickException(f"Give --workspace: there are {len(found)} workspaces ({names}).")
    return found[0]
