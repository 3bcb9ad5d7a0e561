"""The names that a workspace's files give our columns, kept by name."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import execute, insert, jsonb, rows


def list_presets(c: Connection, workspace: UUID) -> dict[str, Mapping[str, str]]:
    """Return the presets of a workspace by name."""
    found = rows(c, "SELECT name, columns FROM import_presets WHERE workspace_id = :w", w=workspace)
    return {r.name: r.columns for r in found}


def save_preset(c: Connection, workspace: UUID, name: str, columns: Mapping[str, str]) -> None:
    """Keep a preset, instead of an earlier one of its name; an empty one removes it."""
    if not columns:
        sql = "DELETE FROM import_presets WHERE workspace_id = :w AND name = :name"
        execute(c, sql, w=workspace, name=name)
        return
    again = "(workspace_id, name) DO UPDATE SET columns = excluded.columns"
    insert(c, "import_presets", conflict=again, workspace_id=workspace, name=name, columns=jsonb(columns))
