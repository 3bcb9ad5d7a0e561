"""What lets programs and people act for a workspace, which a lock ends: keys, sessions, sign-ins and links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.auth.keys import VALID
from pipeline.store.database import execute, find_value, rows
from pipeline.store.deliveries.holds import quote
from pipeline.store.deliveries.selection import TO_SEND

_UNSENT = " + ".join(
    f"""(SELECT count(*) FROM accounts a JOIN deliveries d ON d.account_id = a.id
    WHERE a.workspace_id = :w AND d.state IN ({part}) AND d.armed_at IS NULL AND d.due_at < '9999-01-01Z')"""
    for part in ("'accepted', 'scheduled', 'retrying'", "'queued', 'publishing'", "'preparing'")
)
"""As the partial indexes group the states."""
_SESSIONS = "sessions WHERE user_id IN (SELECT m.user_id FROM memberships m WHERE m.workspace_id = :w)"
_LINKS = "approval_links WHERE workspace_id = :w AND expires_at > now()"
_COUNT = f"""
SELECT jsonb_build_object(
    'keys', (SELECT count(*) FROM keys k WHERE workspace_id = :w AND {VALID}),
    'webhooks', (SELECT count(*) FROM webhooks WHERE workspace_id = :w AND form = 'event' AND deleted_at IS NULL),
    'sessions', (SELECT count(*) FROM {_SESSIONS}),
    'links', (SELECT count(*) FROM {_LINKS}),
    'deliveries', {_UNSENT}) AS counts
"""
_END = f"""
WITH sessions_ AS (DELETE FROM {_SESSIONS}), links AS (DELETE FROM {_LINKS}),
     sign_ins AS (UPDATE grants SET expires_at = least(expires_at, now()), outcome = outcome - 'offered' WHERE
                  workspace_id = :w AND (used_at IS NULL OR outcome ? 'offered'))
UPDATE keys k SET revoked_at = now() WHERE workspace_id = :w AND {VALID} RETURNING public_id
"""


def count_access(c: Connection, workspace: UUID) -> Mapping[str, int]:
    """Count what a lock of a workspace ends, and the deliveries that it holds: all with a time that are not armed."""
    return find_value(c, dict, _COUNT, w=workspace) or {}


def end_access(c: Connection, workspace: UUID) -> list[str]:
    """End the keys, sessions, sign-ins at platforms and links of a workspace; return the public halves of the keys.

    Sessions are those of all who have a role in it by name, also if they work in other workspaces.
    """
    return [r.public_id for r in rows(c, _END, w=workspace)]


CANCELED = "Canceled before it was sent: its workspace was locked."


def cancel_comments(c: Connection, workspace: UUID) -> Sequence[Any]:
    """Cancel the first comments of a workspace that have no delivery yet; return the deliveries that are not armed."""
    execute(
        c,
        """UPDATE follow_ups f SET failed_at = now(), error = :why FROM deliveries d
           WHERE d.id = f.delivery_id AND d.workspace_id = :w
             AND f.kind = 'comment' AND f.done_at IS NULL AND f.failed_at IS NULL""",
        w=workspace,
        why=CANCELED,
    )
    return rows(
        c,
        f"""SELECT d.id, d.post_id, d.state, d.generation FROM accounts a JOIN deliveries d ON d.account_id = a.id
            WHERE a.workspace_id = :w AND d.is_comment AND d.state IN ({quote(TO_SEND)}) AND d.armed_at IS NULL""",
        w=workspace,
    )
