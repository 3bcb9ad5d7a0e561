"""Targets of notices, which are webhooks of another form, and what each knows of the causes on the list of attention.

The address of a target is sealed as its secret; its ``url`` is what may be shown of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.notice import LASTING, PAUSE
from pipeline.store.database import has_row, insert, new_id, rows
from pipeline.store.selection import where, where_given
from pipeline.store.vault import Vault
from pipeline.store.webhooks.webhooks import COLUMNS, Webhook, to_webhook

_SEE = """
INSERT INTO notices (id, webhook_id, cause, headline)
SELECT id, :w, cause, headline FROM unnest(CAST(:ids AS uuid[]), CAST(:causes AS text[]), CAST(:headlines AS text[]))
    AS n (id, cause, headline)
ON CONFLICT (webhook_id, cause) DO UPDATE SET is_there = true, since = now(), headline = excluded.headline
    WHERE NOT notices.is_there RETURNING id
"""
_MISS = """
UPDATE notices SET is_there = false, since = now()
WHERE webhook_id = :w AND is_there AND cause <> ALL(CAST(:causes AS text[]))
  AND split_part(cause, ' ', 1) <> ALL(CAST(:uncertain AS text[])) RETURNING id
"""
_TELL = """
UPDATE notices SET is_open = is_there, told_at = CASE WHEN is_there THEN now() ELSE told_at END
WHERE webhook_id = :w AND is_there <> is_open AND since <= now() - CAST(:lasting AS interval)
  AND (is_open OR (told_at <= now() - CAST(:pause AS interval)) IS NOT FALSE) RETURNING id, cause, headline, is_open
"""
_FORGET = """
DELETE FROM notices WHERE webhook_id = :w AND NOT is_there AND NOT is_open
  AND (told_at <= now() - CAST(:pause AS interval)) IS NOT FALSE RETURNING id
"""


def add_target(c: Connection, vault: Vault, address: str, **columns: Any) -> Webhook:
    """Store a target with *columns* of its webhook, and return it."""
    identity = new_id()
    sealed = vault.seal({"current": address}, identity)
    return to_webhook(insert(c, "webhooks", returning=COLUMNS, id=identity, secrets=sealed, **columns))


def list_targets(c: Connection, workspace: UUID | None = None, identity: UUID | None = None) -> list[Webhook]:
    """Return the targets, of this workspace or of this id, oldest first."""
    given = {"workspace": "workspace_id = :workspace", "id": "id = :id"}
    chosen = where_given(given, workspace=workspace, id=identity) & where(
        "form <> 'event'", "deleted_at IS NULL"
    )
    sql = f"SELECT {COLUMNS} FROM webhooks WHERE {chosen} ORDER BY created_at, id"
    return [to_webhook(found) for found in rows(c, sql, **chosen.values)]


def lock_target(c: Connection, identity: UUID) -> bool:
    """Lock a target; False if it is deleted, or another transaction has it."""
    sql = "SELECT id FROM webhooks WHERE id = :id AND deleted_at IS NULL FOR NO KEY UPDATE SKIP LOCKED"
    return has_row(c, sql, id=identity)


def update_causes(
    c: Connection, target: UUID, headlines: Mapping[str, str], uncertain: Collection[str]
) -> list[Any]:
    """Store which causes are on the list, and return what a locked target is told: of each its id and headline.

    *headlines*: by cause. *uncertain*: groups of causes that may be on the list though they are missing.
    """
    ids, causes, texts = [new_id() for _ in headlines], [*headlines], [*headlines.values()]
    rows(c, _SEE, w=target, ids=ids, causes=causes, headlines=texts)
    rows(c, _MISS, w=target, causes=causes, uncertain=[*uncertain])
    told = rows(c, _TELL, w=target, lasting=LASTING, pause=PAUSE)
    rows(c, _FORGET, w=target, pause=PAUSE)
    return told
