"""Attempts: one row per try to publish. A claim opens it, arm and settle write to it; here it is read and decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row, rows


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
