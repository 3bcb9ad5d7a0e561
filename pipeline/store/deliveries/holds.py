"""Holds of deliveries as readers see them: those stored with a delivery, and those derived from what stands now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection

from pipeline.domain.delivery import LOOKED_AT, SETTLED, WAITING, State
from pipeline.domain.hold import STORED, Hold, StandingHold, Waiting, find_hold, find_next_at, list_scopes
from pipeline.domain.public_error import present_error
from pipeline.domain.schedule import IMMEDIATE
from pipeline.store.database import rows
from pipeline.store.recovery.epoch import EPOCH_IS_OPEN

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
_WAITS = frozenset({*WAITING, State.QUEUED})


def _quote(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


_OWN = "d.id, d.state, d.held_for, d.due_at, d.next_at, d.platform, d.account_id"
_UNSETTLED = f"d.state NOT IN ({_quote(SETTLED)})"
HOLD_COLUMNS = f"{_OWN}, d.workspace_id, now() AS now"
"""What ``derive_holds`` needs of a delivery ``d``."""
LEAN_HOLD_COLUMNS = f"""{_OWN}, CASE WHEN {_UNSETTLED} THEN d.workspace_id END AS workspace_id,
                        CASE WHEN {_UNSETTLED} THEN now() END AS now"""
"""The same for pages of posts, most of them settled: of those the driver reads no workspace and no time."""
_DERIVED = frozenset({"held_for", "next_at"})
_NOT_HELD: Mapping[str, None] = dict.fromkeys(_DERIVED)
HELD_FOR = f"""CASE
    WHEN d.state = '{State.ACCEPTED}' THEN '{Hold.CHECKING}'
    WHEN d.state IN ({_quote(LOOKED_AT)}) THEN d.held_for
    WHEN d.state NOT IN ({_quote(_WAITS)}) THEN NULL
    WHEN d.held_for IN ({_quote(STORED)}) AND (d.next_at > now() OR d.state = '{State.QUEUED}') THEN d.held_for
    WHEN least(d.due_at, d.next_at) > now() THEN NULL
    WHEN NOT {EPOCH_IS_OPEN} THEN '{Hold.EPOCH}'
    WHEN EXISTS (SELECT FROM paused_deliveries h WHERE h.delivery_id = d.id) OR EXISTS (
        SELECT FROM pauses u WHERE (u.scope, u.target) IN (('all', ''), ('platform', d.platform),
            ('workspace', d.workspace_id::text), ('account', d.account_id::text))) THEN '{Hold.PAUSED}'
    WHEN EXISTS (SELECT FROM platform_health f WHERE f.platform = d.platform AND f.opened_at IS NOT NULL)
        THEN '{Hold.BREAKER}'
    WHEN d.next_at <= now() - interval '{IMMEDIATE.total_seconds()} seconds' THEN '{Hold.BACKLOG}' END"""
"""What ``derive_holds`` says of a delivery ``d``, for conditions of a filter; a test holds them equal."""

_STANDING = f"""
SELECT 'paused' AS hold, p.scope, p.target, p.why, p.since, CAST(NULL AS timestamptz) AS next_at
FROM pauses p JOIN unnest(CAST(:scopes AS text[]), CAST(:targets AS text[])) AS asked (scope, target)
  ON p.scope = asked.scope AND p.target = asked.target
UNION ALL
SELECT 'paused', 'delivery', h.delivery_id::text, h.why, h.since, NULL
FROM paused_deliveries h JOIN unnest(CAST(:scopes AS text[]), CAST(:targets AS text[])) AS asked (scope, target)
  ON asked.scope = 'delivery' AND h.delivery_id::text = asked.target
UNION ALL
SELECT 'breaker', 'platform', platform, why, opened_at, probe_at FROM platform_health WHERE opened_at IS NOT NULL
UNION ALL
SELECT 'epoch', 'all', '', coalesce(held_why, 'not confirmed'), coalesce(held_at, until), NULL
FROM mark WHERE NOT {EPOCH_IS_OPEN}
"""


def list_standing_holds(c: Connection, found: Sequence[Any]) -> list[StandingHold]:
    """Return what holds deliveries of these rows' scopes now, whether they are due or not."""
    asked = sorted({pair for r in found for pair in _list_scopes(r).items()})
    held = rows(c, _STANDING, scopes=[scope for scope, _ in asked], targets=[target for _, target in asked])
    return [StandingHold(**{**r._mapping, "hold": Hold(r.hold)}) for r in held]


def derive_holds(c: Connection, model: type[T], found: Sequence[Any]) -> list[T]:
    """Return each row with ``HOLD_COLUMNS`` as a *model*, its ``held_for``, ``next_at`` and error as readers see them.

    What stands now is read only if a row's time has come: most rows of a page are settled or scheduled.
    """
    waits = [None if State(r.state) in SETTLED else to_waiting(r) for r in found]
    asked = [r for r, one in zip(found, waits, strict=True) if one is not None and one.may_be_held_by_others]
    standing = list_standing_holds(c, asked) if asked else []
    names = {field.name for field in fields(model)}
    surplus = [name for name in found[0]._fields if name not in names] if found else []
    derived = names & _DERIVED
    models = []
    for r, one in zip(found, waits, strict=True):
        values, held = r._mapping, _NOT_HELD if one is None else _derive(r, one, standing)
        for name in surplus:
            del values[name]
        for name in derived:
            values[name] = held[name]
        if "error" in names:
            values["error"] = present_error(r.error, State(r.state), r.armed_at, held["next_at"])
        models.append(model(**values))
    return models


def to_waiting(r: Any) -> Waiting:
    """Return the columns of a row that say whether its delivery waits."""
    return Waiting(
        state=State(r.state),
        held_for=Hold(r.held_for) if r.held_for in STORED else None,
        due_at=r.due_at,
        next_at=r.next_at,
        now=r.now,
    )


def _derive(r: Any, waits: Waiting, standing: Sequence[StandingHold]) -> Mapping[str, Any]:
    scopes = _list_scopes(r) if standing else {}
    hold = find_hold(waits, [one.hold for one in standing if one.covers(scopes)])
    return {"held_for": hold, "next_at": find_next_at(waits, hold)}


def _list_scopes(r: Any) -> Mapping[str, str]:
    return list_scopes(r.platform, r.workspace_id, r.account_id, r.id)
