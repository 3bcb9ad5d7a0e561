"""Change the groups of a client's accounts: save the chosen ones under a name, rename a group, remove it."""

from __future__ import annotations

from uuid import UUID

from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.store.accounts import accounts as store
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.audit import record_change

MAX_NAME, MAX_GROUPS = 64, 100


class InvalidGroup(Exception):
    """A group cannot be saved or changed so; the message says why."""


def change_groups(
    context: Context, actor: Actor, workspace: UUID, verb: str, group: UUID | None, name: str, ids: list[str]
) -> None:
    """Do what *verb* says: ``save`` the accounts *ids* as the group *name*, ``rename`` *group* to it, or ``remove`` it.

    Raises InvalidGroup.
    """
    if verb != "remove" and not 0 < len(name) <= MAX_NAME:
        raise InvalidGroup(f"The name of a group has 1 to {MAX_NAME} characters, and this one {len(name)}.")
    with context.database.begin() as c:
        before = {one.name: one.account_ids for one in store.list_groups(c, workspace)}
        if verb == "save":
            chosen = [one.id for one in find_accounts(c, workspace) if str(one.id) in ids]
            if not chosen:
                raise InvalidGroup("Choose the accounts of the group first.")
            if len(before) >= MAX_GROUPS and name not in before:
                raise InvalidGroup(f"The client has {len(before)} groups: remove one first.")
            store.save_group(c, workspace, name, chosen)
        elif verb == "rename" and not store.rename_group(c, workspace, group, name):
            raise InvalidGroup(f"Another group is called {name!r}, or this one is not there any more.")
        elif verb == "remove":
            store.delete_group(c, workspace, group)
        after = {one.name: one.account_ids for one in store.list_groups(c, workspace)}
        record_change(c, actor, f"{verb} account group", "workspace", workspace, workspace, before, after)
