"""Groups of a client's accounts, which are chosen together under a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import has_row, new_id, read_all, row


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountGroup:
    """Accounts under a name. An account that is gone, or inactive, may be among them."""

    id: UUID
    name: str
    account_ids: Sequence[UUID]


def list_groups(c: Connection, workspace: UUID) -> list[AccountGroup]:
    """Return the groups of a workspace, by name."""
    sql = "SELECT id, name, account_ids FROM account_groups WHERE workspace_id = :w ORDER BY lower(name), id"
    return read_all(c, AccountGroup, sql, w=workspace)


def save_group(c: Connection, workspace: UUID, name: str, accounts: Sequence[UUID]) -> None:
    """Save accounts under a name, in place of those of the group that has it."""
    sql = """INSERT INTO account_groups (id, workspace_id, name, account_ids) VALUES (:id, :w, :name, :accounts)
             ON CONFLICT (workspace_id, name) DO UPDATE SET account_ids = excluded.account_ids RETURNING id"""
    row(c, sql, id=new_id(), w=workspace, name=name, accounts=list(accounts))


def rename_group(c: Connection, workspace: UUID, group: UUID | None, name: str) -> bool:
    """Rename a group; return False if another one has the name, or this one is gone."""
    sql = """UPDATE account_groups SET name = :name WHERE id = :id AND workspace_id = :w AND NOT EXISTS (
                 SELECT FROM account_groups WHERE workspace_id = :w AND name = :name AND id <> :id) RETURNING id"""
    return has_row(c, sql, id=group, w=workspace, name=name)


def delete_group(c: Connection, workspace: UUID, group: UUID | None) -> bool:
    """Delete a group; return False if it is gone."""
    sql = "DELETE FROM account_groups WHERE id = :id AND workspace_id = :w RETURNING id"
    return has_row(c, sql, id=group, w=workspace)
