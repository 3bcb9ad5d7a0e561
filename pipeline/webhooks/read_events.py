"""Read events without a webhook: those of a workspace's moves, from a place that the reader keeps.

They are the events of posts and deliveries that its webhooks get, with the same ids. What happens to accounts and
imports is no move, and is sent to webhooks only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.notice import Form
from pipeline.store.auth.keys import Caller
from pipeline.store.moves import Batch, read_workspace_moves
from pipeline.store.webhooks.events import NewEvent
from pipeline.store.webhooks.webhooks import Webhook
from pipeline.webhooks.make_events import tell_moves

_ALWAYS = datetime.min.replace(tzinfo=UTC)
PER_MOVE = 2
"""The most events of a move: of its delivery, and of its post."""


def read_events(
    c: Connection, caller: Caller, after: int | None, limit: int
) -> tuple[Sequence[NewEvent], Batch]:
    """Return the events of the moves after an id, at most *limit* of ``PER_MOVE`` or more, and those moves.

    *after* None: of the last moves.
    """
    batch = read_workspace_moves(c, caller.workspace_id, after, limit // PER_MOVE)
    return [*tell_moves(c, {caller.workspace_id: [_listen_as(caller)]}, batch.moves)], batch


def _listen_as(caller: Caller) -> Webhook:
    """Return a webhook that sees what the key sees, and takes every event."""
    return Webhook(
        id=UUID(int=0),
        workspace_id=caller.workspace_id,
        form=Form.EVENT,
        key_id=caller.key_id,
        accounts=caller.accounts,
        url="",
        types=None,
        created_at=_ALWAYS,
    )
