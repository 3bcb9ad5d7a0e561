"""The history of deliveries: their moves, attempts and receipts, and the evidence that explains where each stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.hold import DerivedHold, list_scopes
from pipeline.store.accounts.grants import GRANT_ENDS_AT
from pipeline.store.database import read_all, rows
from pipeline.store.deliveries.holds import list_derived_holds
from pipeline.store.posts.pins import PINS


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """One move: origin, target, mover and reason."""

    at: datetime
    mover: str
    origin: str | None
    target: str
    generation: int
    fence: int
    why: str | None


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


_MOVE, _ATTEMPT = (", ".join(facts.__dataclass_fields__) for facts in (Move, AttemptFacts))


def list_moves(c: Connection, delivery: UUID) -> list[Move]:
    """Return the moves of a delivery, oldest first."""
    return read_all(
        c,
        Move,
        f"SELECT {_MOVE} FROM moves WHERE delivery_id = :id ORDER BY id",
        id=delivery,
    )


def list_attempts(c: Connection, delivery: UUID) -> list[AttemptFacts]:
    """Return the attempts of a delivery, oldest first."""
    return read_all(
        c,
        AttemptFacts,
        f"SELECT {_ATTEMPT} FROM attempts WHERE delivery_id = :id ORDER BY n",
        id=delivery,
    )


SHOWN = 100
"""Moves, and attempts, of one delivery."""
FactsT = TypeVar("FactsT", Move, AttemptFacts)

_MOVES = f"""
SELECT d.id AS delivery_id, m.* FROM post_deliveries d CROSS JOIN LATERAL (
    SELECT {_MOVE} FROM moves WHERE delivery_id = d.id
    ORDER BY id DESC LIMIT :n) m
WHERE d.post_id = :post
"""
_ATTEMPTS = f"""
SELECT d.id AS delivery_id, t.* FROM post_deliveries d CROSS JOIN LATERAL (
    SELECT {_ATTEMPT} FROM attempts WHERE delivery_id = d.id ORDER BY n DESC LIMIT :n) t
WHERE d.post_id = :post
"""
# LATERAL: a plan cached while the tables are small would scan the receipts when they have grown
_RECEIPTS = """
SELECT d.id AS delivery_id, r.line FROM post_deliveries d
CROSS JOIN LATERAL (SELECT id FROM moves WHERE delivery_id = d.id ORDER BY id DESC LIMIT :n) m
CROSS JOIN LATERAL (SELECT sequence, line FROM receipts WHERE move_id = m.id LIMIT 1) r
WHERE d.post_id = :post ORDER BY m.id
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The history of one delivery, each list oldest first. ``receipts``: their lines."""

    moves: Sequence[Move]
    attempts: Sequence[AttemptFacts]
    receipts: Sequence[str]


def read_history(c: Connection, post: UUID) -> Mapping[UUID, History]:
    """Return the history of each delivery of a post that has one, by its id."""
    moves, attempts = _read(c, _MOVES, post, Move), _read(c, _ATTEMPTS, post, AttemptFacts)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenCheck:
    """A check that a delivery waits for. ``seen``: what its last try saw; ``fault``: what failed here instead."""

    purpose: str
    url: str
    tries: int
    seen: str | None
    fault: str | None
    next_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """The last move and attempt of a delivery, its account's grant, its open checks, and what stands in its way.

    A URL that was found later is a row of ``moves`` (for the receipt), but moves nothing.
    """

    delivery_id: UUID
    account_id: UUID
    moved_at: datetime
    why: str | None
    attempt: int | None
    attempt_opened_at: datetime | None
    attempt_armed_at: datetime | None
    attempt_outcome: str | None
    account_status: str
    grant_ends_at: datetime | None
    is_proven_live: bool = False
    derived: Sequence[DerivedHold] = field(default=())
    checks: Sequence[OpenCheck] = field(default=())


IS_PROVEN_LIVE = """EXISTS (SELECT FROM attempts a WHERE a.delivery_id = d.id
               AND jsonb_path_exists(a.late, '$[*].remote_id'))"""
"""Condition on a delivery ``d``: a late result has shown it live."""

_EVIDENCE = f"""
SELECT d.id, d.account_id, d.workspace_id, d.platform, coalesce(m.at, d.created_at) AS moved_at, m.why,
       t.n AS attempt, t.opened_at AS attempt_opened_at, t.armed_at AS attempt_armed_at, t.outcome AS attempt_outcome,
       a.status AS account_status, {GRANT_ENDS_AT} AS grant_ends_at,
       {IS_PROVEN_LIVE} AS is_proven_live
FROM deliveries d JOIN accounts a ON a.id = d.account_id
LEFT JOIN LATERAL (SELECT at, why FROM moves WHERE delivery_id = d.id AND mover <> 'urls'
                   ORDER BY id DESC LIMIT 1) m ON true
LEFT JOIN LATERAL (SELECT n, opened_at, armed_at, outcome FROM attempts WHERE delivery_id = d.id
                   ORDER BY n DESC LIMIT 1) t ON true
WHERE d.post_id = :post
"""
_OPEN_CHECKS = f"""
SELECT pin.delivery_id, k.purpose, k.url, k.tries, k.seen, k.fault, k.next_at
FROM {PINS} pin JOIN checks k ON k.id = pin.check_id WHERE pin.post_id = :post AND k.verdict IS NULL
ORDER BY pin.position
"""


def read_evidence(c: Connection, post: UUID) -> Mapping[UUID, Evidence]:
    """Return the evidence of each delivery of a post, by its id."""
    found = rows(c, _EVIDENCE, post=post)
    derived = list_derived_holds(c, found)
    checks: dict[UUID, list[OpenCheck]] = {}
    for check in rows(c, _OPEN_CHECKS, post=post):
        values = dict(check._mapping)
        checks.setdefault(values.pop("delivery_id"), []).append(OpenCheck(**values))
    return {r.id: _to_evidence(r, derived, checks.get(r.id, ())) for r in found}


def _to_evidence(r: Any, derived: Sequence[DerivedHold], checks: Sequence[OpenCheck]) -> Evidence:
    values = dict(r._mapping)
    delivery = values.pop("id")
    scopes = list_scopes(values.pop("platform"), values.pop("workspace_id"), r.account_id, delivery)
    return Evidence(
        **values,
        delivery_id=delivery,
        derived=[one for one in derived if one.covers(scopes)],
        checks=checks,
    )
