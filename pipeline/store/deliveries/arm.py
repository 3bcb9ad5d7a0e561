"""Arm a claimed delivery: the point of no return, committed before the visible call.

Checkpoints: how far the invisible preparation of a delivery got.

Disarm a delivery: the platform refused the visible call before acting on it, which proves nothing is live.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from adapters.contract import CheckpointData
from pipeline.domain.level import LEVEL
from pipeline.store.database import execute, find_value, has_row, jsonb
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.deliveries.platform_health import SIGN_OF_LIFE
from pipeline.store.recovery.epoch import BROUGHT_FORWARD_RECORDED, EPOCH_IS_OPEN
from pipeline.store.vault import Vault


def disarm(c: Connection, claimed: ClaimedDelivery, error: Exception | None) -> None:
    """Close the attempt as refused; the claim stays. Does nothing when the claim is lost."""
    execute(
        c,
        """WITH d AS (
               UPDATE deliveries SET armed_at = NULL, armed_deadline = NULL, working_since = NULL, updated_at = now()
               WHERE id = :id AND state = 'publishing' AND generation = :generation AND fence = :fence
               RETURNING id
           )
           UPDATE attempts SET closed_at = now(), outcome = 'refused', error = CAST(:error AS jsonb)
           FROM d WHERE delivery_id = d.id AND closed_at IS NULL""",
        **claimed.key,
        error=jsonb(error_to_dict(error)),
    )


def save_checkpoint(
    c: Connection, vault: Vault, claimed: ClaimedDelivery, checkpoint: CheckpointData, *, scratch: bool
) -> bool:
    """Store a checkpoint; False when the claim is lost. ``scratch``: this prepare began without an earlier one."""
    return has_row(
        c,
        """UPDATE deliveries SET checkpoint = :checkpoint, updated_at = now(),
                  prepares = CASE WHEN NOT :scratch THEN prepares
                                  WHEN prepares_on = CURRENT_DATE THEN prepares + 1 ELSE 1 END,
                  prepares_on = CASE WHEN :scratch THEN CURRENT_DATE ELSE prepares_on END
           WHERE id = :id AND state = :state AND generation = :generation AND fence = :fence RETURNING id""",
        **claimed.key,
        state=claimed.state,
        checkpoint=vault.seal(checkpoint, claimed.id),
        scratch=scratch,
    )


_ARM = f"""
WITH d AS (
    UPDATE deliveries SET armed_at = now(), armed_deadline = now() + :left, checkpoint = :checkpoint,
           absent_at = NULL, working_since = now(), looks = 0, updated_at = now()
    WHERE id = :id AND state || '' = 'publishing' AND generation = :generation AND fence = :fence
      AND armed_at IS NULL AND due_at <= now() AND lease_until > now() AND level <= :level
      AND NOT EXISTS (SELECT FROM pauses WHERE (scope, target) IN
          (('all', ''), ('platform', platform), ('workspace', workspace_id::text), ('account', account_id::text)))
      AND NOT EXISTS (SELECT FROM paused_deliveries h WHERE h.delivery_id = deliveries.id)
      AND (is_comment OR NOT EXISTS (  -- the comment was approved with its post
          SELECT FROM approvals v
          WHERE v.post_id = deliveries.post_id AND v.digest IS DISTINCT FROM post_digest(v.post_id)))
      AND (is_comment  -- its post went out in time
           OR deliveries.error ->> 'code' = 'expired'  -- it was blocked as expired, and an operator resumed it
           OR NOT EXISTS (SELECT FROM posts p WHERE p.id = deliveries.post_id AND p.on_late <> 'publish'
                          AND p.expires_at <= now())) IS TRUE
      AND (:is_alive OR {SIGN_OF_LIFE})
      AND {EPOCH_IS_OPEN}
      AND {BROUGHT_FORWARD_RECORDED}
    RETURNING id, armed_at
), attempt AS (
    UPDATE attempts SET armed_at = d.armed_at, inbox_draft = :inbox_draft
    FROM d WHERE delivery_id = d.id AND closed_at IS NULL
)
SELECT armed_at FROM d
"""


def arm(
    c: Connection,
    vault: Vault,
    claimed: ClaimedDelivery,
    checkpoint: CheckpointData,
    left: timedelta,
    *,
    is_alive: bool = True,
    inbox_draft: bool = False,
    level: int = LEVEL,
) -> datetime | None:
    """Arm a delivery and return the time. The caller commits before it makes the visible call.

    None: it is not due, paused, not approved as it is, above ``level`` (that of this process), expired or edited, its
    platform shows no sign of life, the epoch is not confirmed, or the claim is lost. ``left``: the rest of the slice,
    after which the claim's holder sends nothing. ``is_alive``: the caller has seen the platform answer; if not, the
    ledger has to show a sign of life. ``inbox_draft``: the call leaves a draft, which has a limit of its own.
    """
    return find_value(
        c,
        datetime,
        _ARM,
        **claimed.key,
        left=left,
        is_alive=is_alive,
        inbox_draft=inbox_draft,
        level=level,
        checkpoint=vault.seal(checkpoint, claimed.id),
    )
