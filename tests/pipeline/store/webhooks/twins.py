"""Two webhooks of one workspace with the same events under the same ids."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pipeline.domain.webhook import EventType
from pipeline.store.auth.keys import read_caller
from pipeline.store.database import rows
from pipeline.store.webhooks.events import NewEvent, insert_events
from pipeline.store.webhooks.webhooks import create_webhook
from tests.pipeline.store.ledger import Ledger


@dataclass(kw_only=True)
class Twins:
    """``mine``: the webhook that a test is about; ``other``: the one that must not change."""

    ledger: Ledger
    workspace: UUID
    mine: UUID
    other: UUID

    def read(self, sql: str, **values: Any) -> list[Any]:
        return self.ledger.do(rows, sql, **values)

    def queue(self, webhook: UUID, *events: tuple[UUID, UUID]) -> None:
        """Store events: each an id and a lane."""
        at = datetime.now(UTC)
        new = [
            NewEvent(webhook_id=webhook, id=event, lane=lane, type=EventType.POST_POSTED, at=at, data={})
            for event, lane in events
        ]
        self.ledger.do(insert_events, new)


def add_webhooks(ledger: Ledger) -> dict[str, Any]:
    """Add two webhooks, the other one first, and return the fields of ``Twins``."""
    workspace = ledger.workspace()
    with ledger.database.begin() as c:
        caller = read_caller(c, workspace, None)
        assert caller is not None
        other, mine = (
            create_webhook(c, ledger.vault, caller, url="https://a.example/", types=None, description=None)[
                0
            ].id
            for _ in range(2)
        )
    return {"ledger": ledger, "workspace": workspace, "mine": mine, "other": other}
