"""The names that a workspace's files give our columns, kept by name."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import jsonb, row, rows


def list_presets(c: Connection, workspace: UUID) -> dict[str, Mapping[str, str]]:
    """Return the presets of a workspace by name."""
    found = rows(c, "SELECT name, columns FROM import_presets WHERE workspace_id = :w", w=workspace)
    return {r.name: r.columns for r in found}


def save_preset(c: Connection, workspace: UUID, name: str, columns: Mapping[str, str]) -> None:
    """Keep a preset, instead of an earlier one of its name; an empty one removes it."""
    if not columns:
        row(
            c,
            "DELETE FROM import_presets WHERE workspace_id = :w AND name = :name RETURNING name",
            w=workspace,
            name=name,
        )
        return
    row(
        c,
        """INSERT INTO import_presets (workspace_id, name, columns) VALUES (:w, :name, :columns)
           ON CONFLICT (workspace_id, name) DO UPDATE SET columns = excluded.columns RETURNING name""",
        w=workspace,
        name=name,
        columns=jsonb(columns),
    )
