"""A customer's server: a webhook that leads to it, what it got, verified as a customer would."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from standardwebhooks import Webhook as Verifier

from pipeline.domain.webhook import EventType
from pipeline.store.auth.keys import Caller
from pipeline.store.database import new_id, row, rows
from pipeline.store.webhooks.events import NewEvent, StoredEvent, insert_events, list_events, list_listeners
from pipeline.store.webhooks.webhooks import Webhook, list_webhooks
from pipeline.webhooks import webhooks
from pipeline.webhooks.send_webhooks import send_webhooks
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.counted import export_all
from tests.pipeline.media.servers import Site


@dataclass(kw_only=True)
class Receiver:
    """A server on loopback and the workspace that sends to it."""

    site: Site
    core: CoreFixture
    path: str = "/hook"

    @property
    def url(self) -> str:
        return f"{self.site.origin}{self.path}?token=in-the-query"

    def subscribe(self, *types: str, by: Caller | None = None) -> tuple[Webhook, str]:
        """Create a webhook for events from now on; return it with its secret."""
        export_all(self.core)
        return webhooks.create(
            self.core.context, by or self.core.caller, url=self.url, types=types or None, description=None
        )

    def send(self) -> int:
        """Export what happened and send what is due, until nothing is."""
        export_all(self.core)
        total = 0
        while tried := send_webhooks(self.core.context):
            total += tried
        return total

    def got(self, secret: str | None = None) -> list[dict[str, Any]]:
        """Return what the server got, with the id of each; *secret*: each must verify with it."""
        found = []
        for _, headers, body in self.site.posts:
            if secret is not None:
                Verifier(secret).verify(body, headers)
            found.append({"id": {k.lower(): v for k, v in headers.items()}["webhook-id"], **json.loads(body)})
        return found

    def types(self) -> list[str]:
        return [event["type"] for event in self.got()]

    def events(self, webhook: UUID) -> list[StoredEvent]:
        """Return a webhook's events, the oldest first."""
        with self.core.context.database.begin() as c:
            return list(reversed(list_events(c, webhook, limit=1000)))

    def webhook(self, identity: UUID) -> Webhook:
        with self.core.context.database.begin() as c:
            [found] = list_webhooks(c, self.core.caller, identity)
        return found

    def pass_time(self, webhook: UUID) -> None:
        """Let the time come at which a webhook and its waiting events are tried again."""
        with self.core.context.database.begin() as c:
            rows(
                c,
                "UPDATE webhook_events SET next_at = now() WHERE webhook_id = :w AND next_at IS NOT NULL RETURNING id",
                w=webhook,
            )
            row(c, "UPDATE webhooks SET hold_until = now() WHERE id = :w RETURNING id", w=webhook)

    def read(self, sql: str, **values: Any) -> Sequence[Any]:
        with self.core.context.database.begin() as c:
            return rows(c, sql, **values)

    def queue(self, webhook: UUID, *lanes: UUID) -> list[str]:
        """Store an event in each of these lanes, in order; return their ids."""
        made = [
            NewEvent(
                webhook_id=webhook,
                id=new_id(),
                lane=lane,
                type=EventType.POST_POSTED,
                at=datetime.now(UTC),
                data={"lane": lane, "nth": nth},
            )
            for nth, lane in enumerate(lanes)
        ]
        with self.core.context.database.begin() as c:
            list_listeners(c, [self.core.workspace], lock=True)
            insert_events(c, made)
        return [str(event.id) for event in made]
