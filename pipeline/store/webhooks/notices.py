"""Targets of notices, which are webhooks of another form, and what each knows of the causes on the list of attention.

The address of a target is sealed as its secret; its ``url`` is what may be shown of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.notice import LASTING, PAUSE
from pipeline.store.arrays import Records
from pipeline.store.database import build, execute, has_row, insert, new_id, rows
from pipeline.store.selection import where, where_given
from pipeline.store.vault import Vault
from pipeline.store.webhooks.webhooks import COLUMNS, Webhook, list_chosen

_CAUSES = Records("id uuid, cause text, headline text", prefix="seen_")
_SEE = f"""
INSERT INTO notices (id, webhook_id, cause, headline) SELECT id, :w, cause, headline FROM {_CAUSES}
ON CONFLICT (webhook_id, cause) DO UPDATE SET is_there = true, since = now(), headline = excluded.headline
    WHERE NOT notices.is_there
"""
_MISS = """
UPDATE notices SET is_there = false, since = now()
WHERE webhook_id = :w AND is_there AND cause <> ALL(CAST(:causes AS text[]))
  AND split_part(cause, ' ', 1) <> ALL(CAST(:uncertain AS text[]))
"""
_TELL = """
UPDATE notices SET is_open = is_there, told_at = CASE WHEN is_there THEN now() ELSE told_at END
WHERE webhook_id = :w AND is_there <> is_open AND since <= now() - CAST(:lasting AS interval)
  AND (is_open OR (told_at <= now() - CAST(:pause AS interval)) IS NOT FALSE) RETURNING id, cause, headline, is_open
"""
_FORGET = """
DELETE FROM notices WHERE webhook_id = :w AND NOT is_there AND NOT is_open
  AND (told_at <= now() - CAST(:pause AS interval)) IS NOT FALSE
"""


def add_target(c: Connection, vault: Vault, address: str, **columns: Any) -> Webhook:
    """Store a target with *columns* of its webhook, and return it."""
    identity = new_id()
    sealed = vault.seal({"current": address}, identity)
    found = insert(c, "webhooks", returning=COLUMNS, id=identity, secrets=sealed, **columns)
    return build(Webhook, found)


def list_targets(c: Connection, workspace: UUID | None = None, identity: UUID | None = None) -> list[Webhook]:
    """Return the targets, of this workspace or of this id, oldest first."""
    given = {"workspace": "workspace_id = :workspace", "id": "id = :id"}
    chosen = where_given(given, workspace=workspace, id=identity) & where(
        "form <> 'event'", "deleted_at IS NULL"
    )
    return list_chosen(c, chosen)


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
    execute(c, _SEE, w=target, **_CAUSES.bind((new_id(), *one) for one in headlines.items()))
    execute(c, _MISS, w=target, causes=[*headlines], uncertain=[*uncertain])
    told = rows(c, _TELL, w=target, lasting=LASTING, pause=PAUSE)
    execute(c, _FORGET, w=target, pause=PAUSE)
    return told
