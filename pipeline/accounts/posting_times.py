"""Change the posting times of an account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.audit import Actor
from pipeline.domain.posting_times import PostingTimes
from pipeline.store.accounts.posting_times import lock_posting_times, store_posting_times
from pipeline.store.audit import record_change


def change_posting_times(
    c: Connection,
    actor: Actor | None,
    account: UUID,
    workspace: UUID,
    zone: str,
    changes: Mapping[str, Any],
) -> PostingTimes:
    """Store the fields of *changes*, None for what is usual, and return the times. ``zone``: of the workspace.

    The values are valid: as ``parse_times`` and the fields of the API return them.
    """
    stored = lock_posting_times(c, account)
    merged = {name: value for name, value in {**stored, **changes}.items() if value is not None}
    before, after = PostingTimes.from_dict(stored, zone), PostingTimes.from_dict(merged, zone)
    store_posting_times(c, account, merged)
    record_change(
        c, actor, "set posting times", "account", account, workspace, before.to_dict(), after.to_dict()
    )
    return after
