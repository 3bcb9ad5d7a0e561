"""Attempts: one row per try to publish. A claim opens it, arm and settle write to it; here it is read and decided.

The rows of a delivery that an operator resolves: lock it, with the data that the decision depends on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.delivery import State
from pipeline.store.database import row, rows
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


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptFacts:
    """One attempt. ``armed_at``: the point of no return; ``late``: results that arrived after the claim was lost."""

    n: int
    generation: int
    fence: int
    opened_at: datetime
    armed_at: datetime | None
    closed_at: datetime | None
    outcome: str | None
    remote_id: str | None
    error: Mapping[str, Any] | None
    late: Sequence[Mapping[str, Any]] | None


def list_attempts(c: Connection, delivery: UUID) -> list[AttemptFacts]:
    """Return the attempts of a delivery, oldest first."""
    found = rows(
        c,
        """SELECT n, generation, fence, opened_at, armed_at, closed_at, outcome, remote_id, error, late
           FROM attempts WHERE delivery_id = :id ORDER BY n""",
        id=delivery,
    )
    return [AttemptFacts(**r._asdict()) for r in found]


def close_attempt_as_decided(c: Connection, delivery: UUID) -> None:
    """Close the open attempt of a delivery, if it has one."""
    row(
        c,
        """UPDATE attempts SET closed_at = now(), outcome = 'decided' WHERE delivery_id = :id AND closed_at IS NULL
           RETURNING id""",
        id=delivery,
    )
