"""The history of deliveries: their moves, attempts and receipts, and the evidence that explains where each stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.hold import DerivedHold, list_scopes
from pipeline.store.accounts.grants import GRANT_ENDS_AT
from pipeline.store.database import build, list_columns, rows
from pipeline.store.deliveries.holds import list_derived_holds
from pipeline.store.posts.pins import PINS
from pipeline.store.selection import equal, select


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


def list_moves(c: Connection, delivery: UUID) -> list[Move]:
    """Return the moves of a delivery, oldest first."""
    return select(c, Move, "moves", equal(delivery_id=delivery), by="id")


def list_attempts(c: Connection, delivery: UUID) -> list[AttemptFacts]:
    """Return the attempts of a delivery, oldest first."""
    return select(c, AttemptFacts, "attempts", equal(delivery_id=delivery), by="n")


SHOWN = 100
"""Moves, and attempts, of one delivery."""
FactsT = TypeVar("FactsT", Move, AttemptFacts)

_OF_POST = """
SELECT d.id AS delivery_id, x.* FROM post_deliveries d CROSS JOIN LATERAL (
    SELECT {columns} FROM {table} WHERE delivery_id = d.id ORDER BY {last} DESC LIMIT :n) x
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
    moves, attempts = _read(c, post, Move, "moves", "id"), _read(c, post, AttemptFacts, "attempts", "n")
    lines: dict[UUID, list[str]] = defaultdict(list)
    for r in rows(c, _RECEIPTS, post=post, n=SHOWN):
        lines[r.delivery_id].append(r.line)
    return {
        one: History(moves=moves[one], attempts=attempts[one], receipts=lines[one])
        for one in {*moves, *attempts, *lines}
    }


def _read(c: Connection, post: UUID, model: type[FactsT], table: str, last: str) -> dict[UUID, list[FactsT]]:
    sql = _OF_POST.format(columns=list_columns(model), table=table, last=last)
    found: dict[UUID, list[FactsT]] = defaultdict(list)
    for r in reversed(rows(c, sql, post=post, n=SHOWN)):
        found[r.delivery_id].append(build(model, r))
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
        checks.setdefault(check.delivery_id, []).append(build(OpenCheck, check))
    return {r.id: _to_evidence(r, derived, checks.get(r.id, ())) for r in found}


def _to_evidence(r: Any, derived: Sequence[DerivedHold], checks: Sequence[OpenCheck]) -> Evidence:
    scopes = list_scopes(r.platform, r.workspace_id, r.account_id, r.id)
    held = [one for one in derived if one.covers(scopes)]
    return build(Evidence, r, delivery_id=r.id, derived=held, checks=checks)
