"""The attempts of a delivery that an operator resolves: lock it with what the decision depends on, and close them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.delivery import State
from pipeline.store.database import row
from pipeline.store.deliveries.move import lock_post


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvableDelivery:
    """A delivery under its lock."""

    post_id: UUID
    platform: Platform
    state: State
    generation: int
    fence: int
    armed_at: datetime | None
    armed_deadline: datetime | None
    checkpoint: bytes | None
    """Sealed for the delivery."""
    error: Mapping[str, Any] | None
    now: datetime
    """The database's clock."""


def lock_to_resolve(c: Connection, delivery: UUID) -> ResolvableDelivery | None:
    """Lock a delivery's post, then the delivery, and return it; None when there is none."""
    first = row(c, "SELECT post_id FROM deliveries WHERE id = :id", id=delivery)
    if first is None:
        return None
    lock_post(c, first.post_id)
    found = row(
        c,
        """SELECT post_id, platform, state, generation, fence, armed_at, armed_deadline, checkpoint, error,
                  now() AS now
           FROM deliveries WHERE id = :id FOR UPDATE""",
        id=delivery,
    )
    if found is None:
        return None
    values = dict(found._mapping)
    return ResolvableDelivery(
        **{**values, "platform": Platform(values["platform"]), "state": State(values["state"])}
    )


def close_attempt_as_decided(c: Connection, delivery: UUID) -> None:
    """Close the open attempt of a delivery, if it has one."""
    row(
        c,
        """UPDATE attempts SET closed_at = now(), outcome = 'decided' WHERE delivery_id = :id AND closed_at IS NULL
           RETURNING id""",
        id=delivery,
    )
