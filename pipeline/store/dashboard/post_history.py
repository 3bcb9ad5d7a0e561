"""The history of the deliveries of a post: their moves, attempts and receipts, the newest of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows
from pipeline.store.deliveries.attempts import AttemptFacts
from pipeline.store.deliveries.inspection import MoveFacts

SHOWN = 100
"""Moves, and attempts, of one delivery."""
FactsT = TypeVar("FactsT", MoveFacts, AttemptFacts)

_MOVES = """
SELECT d.id AS delivery_id, m.* FROM deliveries d CROSS JOIN LATERAL (
    SELECT at, mover, origin, target, generation, fence, why FROM moves WHERE delivery_id = d.id
    ORDER BY id DESC LIMIT :n) m
WHERE d.post_id = :post
"""
_ATTEMPTS = """
SELECT d.id AS delivery_id, t.* FROM deliveries d CROSS JOIN LATERAL (
    SELECT n, generation, fence, opened_at, armed_at, closed_at, outcome, remote_id, error, late
    FROM attempts WHERE delivery_id = d.id ORDER BY n DESC LIMIT :n) t
WHERE d.post_id = :post
"""
# LATERAL: a plan cached while the tables are small would scan the receipts when they have grown
_RECEIPTS = """
SELECT d.id AS delivery_id, r.line FROM deliveries d
CROSS JOIN LATERAL (SELECT id FROM moves WHERE delivery_id = d.id ORDER BY id DESC LIMIT :n) m
CROSS JOIN LATERAL (SELECT sequence, line FROM receipts WHERE move_id = m.id LIMIT 1) r
WHERE d.post_id = :post ORDER BY m.id
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The history of one delivery, each list oldest first. ``receipts``: their lines."""

    moves: Sequence[MoveFacts]
    attempts: Sequence[AttemptFacts]
    receipts: Sequence[str]


def read_history(c: Connection, post: UUID) -> Mapping[UUID, History]:
    """Return the history of each delivery of a post that has one, by its id."""
    moves, attempts = _read(c, _MOVES, post, MoveFacts), _read(c, _ATTEMPTS, post, AttemptFacts)
    lines: dict[UUID, list[str]] = {}
    for r in rows(c, _RECEIPTS, post=post, n=SHOWN):
        lines.setdefault(r.delivery_id, []).append(r.line)
    return {
        delivery: History(
            moves=moves.get(delivery, ()),
            attempts=attempts.get(delivery, ()),
            receipts=lines.get(delivery, ()),
        )
        for delivery in {*moves, *attempts, *lines}
    }


def _read(c: Connection, sql: str, post: UUID, model: type[FactsT]) -> dict[UUID, list[FactsT]]:
    found: dict[UUID, list[FactsT]] = {}
    for r in reversed(rows(c, sql, post=post, n=SHOWN)):
        values = r._asdict()
        found.setdefault(values.pop("delivery_id"), []).append(model(**values))
    return found
