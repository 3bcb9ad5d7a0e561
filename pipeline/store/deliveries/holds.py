"""Holds of deliveries as readers see them: ``HELD_FOR`` says what holds one, wherever it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection

from pipeline.domain.delivery import LOOKED_AT, WAITING, State
from pipeline.domain.delivery_error import present_error
from pipeline.domain.hold import DERIVED, STORED, DerivedHold, Hold, list_scopes
from pipeline.domain.post import IMMEDIATE
from pipeline.store.canaries import TOO_NEW, WORKER_LEVEL
from pipeline.store.database import rows
from pipeline.store.recovery.epoch import EPOCH_IS_OPEN

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def quote(names: Iterable[str]) -> str:
    """Return the names as a list of SQL strings."""
    return ", ".join(f"'{name}'" for name in sorted(names))


_CLAIMABLE = quote(WAITING | {State.QUEUED})
_LOOKED_AT = quote(LOOKED_AT)
IS_PAUSED = """(EXISTS (SELECT FROM paused_deliveries h WHERE h.delivery_id = d.id) OR EXISTS (
        SELECT FROM pauses u WHERE (u.scope, u.target) IN (('all', ''), ('platform', d.platform),
            ('workspace', d.workspace_id::text), ('account', d.account_id::text))))"""
"""Whether a pause holds the delivery ``d``."""
IS_LOCKED = """EXISTS (SELECT FROM pauses u
        WHERE u.is_lock AND u.scope = 'workspace' AND u.target = d.workspace_id::text)"""
"""Whether the workspace of the delivery ``d`` is locked."""
IS_UNAPPROVED = "EXISTS (SELECT FROM approvals v WHERE v.post_id = d.post_id AND v.digest IS NULL)"
"""Whether the post of the delivery ``d`` waits for an approval."""
HELD_FOR = f"""CASE
    WHEN d.state = '{State.ACCEPTED}' THEN '{Hold.CHECKING}'
    WHEN d.state NOT IN ({_CLAIMABLE}, {_LOOKED_AT}) THEN NULL
    WHEN d.state IN ({_CLAIMABLE}) AND {IS_LOCKED} THEN '{Hold.LOCKED}'
    WHEN d.state IN ({_CLAIMABLE}) AND {IS_PAUSED} THEN '{Hold.PAUSED}'
    WHEN d.state IN ({_CLAIMABLE}) AND {IS_UNAPPROVED} THEN '{Hold.APPROVAL}'
    WHEN {TOO_NEW} THEN '{Hold.NEWER_WORKER}'
    WHEN d.state IN ({_LOOKED_AT}) THEN d.held_for
    WHEN d.held_for IN ({quote(STORED)}) AND (d.next_at > now() OR d.state = '{State.QUEUED}') THEN d.held_for
    WHEN least(d.due_at, d.next_at) > now() THEN NULL
    WHEN NOT {EPOCH_IS_OPEN} THEN '{Hold.EPOCH}'
    WHEN EXISTS (SELECT FROM platform_health f WHERE f.platform = d.platform AND f.opened_at IS NOT NULL)
        THEN '{Hold.BREAKER}'
    WHEN d.next_at <= now() - interval '{IMMEDIATE.total_seconds()} seconds' THEN '{Hold.BACKLOG}' END"""
"""The hold of a delivery ``d`` now; NULL: none. Pauses, approval and the workers' level hold it before its time too."""
LATE_SINCE = """CASE WHEN d.next_at <= now() AND coalesce(d.error ->> 'class', 'RateLimited') = 'RateLimited'
    THEN greatest(d.due_at, d.next_at) ELSE d.due_at END"""
"""Since when a delivery ``d`` is late: the time of a limit and of the platform's processing is over at ``next_at``.

The wait after a failed try is lateness, so it counts from the due time.
"""
HOLD_COLUMNS = f"""d.id, d.state, d.platform, d.account_id, d.due_at, {HELD_FOR} AS held_for,
       CASE WHEN d.state IN ({quote(WAITING | LOOKED_AT)}) AND d.next_at > now() THEN d.next_at END AS next_at"""
"""The columns that ``read_holds`` needs of a delivery ``d``."""

_DERIVED = f"""
SELECT CASE WHEN p.is_lock THEN 'locked' ELSE 'paused' END AS hold, p.scope, p.target, p.why, p.since,
       CAST(NULL AS timestamptz) AS next_at
FROM pauses p JOIN unnest(CAST(:scopes AS text[]), CAST(:targets AS text[])) AS asked (scope, target)
  ON p.scope = asked.scope AND p.target = asked.target
UNION ALL
SELECT 'paused', 'delivery', h.delivery_id::text, h.why, h.since, NULL
FROM paused_deliveries h WHERE h.delivery_id = ANY (CAST(:ids AS uuid[]))
UNION ALL
SELECT 'approval', 'delivery', d.id::text, coalesce('sent back: ' || v.sent_back, 'it is new or has changed'),
       v.changed_at, NULL
FROM deliveries d JOIN approvals v ON v.post_id = d.post_id AND v.digest IS NULL
WHERE d.id = ANY (CAST(:ids AS uuid[])) AND d.state IN ({_CLAIMABLE})
UNION ALL
SELECT 'newer_worker', 'delivery', d.id::text, format('it needs level %s, and the workers of %s have level %s',
       d.level, d.platform, {WORKER_LEVEL.format(of="d")}), NULL, NULL
FROM deliveries d WHERE d.id = ANY (CAST(:ids AS uuid[])) AND {HELD_FOR} = '{Hold.NEWER_WORKER}'
UNION ALL
SELECT 'breaker', 'platform', platform, why, opened_at, probe_at FROM platform_health WHERE opened_at IS NOT NULL
UNION ALL
SELECT 'epoch', 'all', '', coalesce(held_why, 'not confirmed'), coalesce(held_at, until), NULL
FROM mark WHERE NOT {EPOCH_IS_OPEN}
"""


def list_derived_holds(c: Connection, found: Sequence[Any]) -> list[DerivedHold]:
    """Return the holds on deliveries of these rows' scopes now, whether the deliveries are due or not."""
    asked = sorted({pair for r in found for pair in _list_scopes(r).items()})
    held = rows(
        c,
        _DERIVED,
        scopes=[scope for scope, _ in asked],
        targets=[target for _, target in asked],
        ids=[r.id for r in found],
    )
    return [DerivedHold(**{**r._mapping, "hold": Hold(r.hold)}) for r in held]


def read_holds(model: type[T], found: Sequence[Any]) -> list[T]:
    """Return each row with ``HOLD_COLUMNS`` as a *model*, its error as readers see it.

    A row whose hold has no time at which it ends has no ``next_at``.
    """
    names = {field.name for field in fields(model)}
    surplus = [name for name in found[0]._fields if name not in names] if found else []
    return [model(**_read(r._mapping, surplus)) for r in found]


def _read(values: dict[str, Any], surplus: Sequence[str]) -> Mapping[str, Any]:
    if values["held_for"] is not None:
        values["held_for"] = hold = Hold(values["held_for"])
        values["next_at"] = None if hold in DERIVED else values["next_at"]
    if "error" in values:
        state, armed_at, next_at = State(values["state"]), values["armed_at"], values["next_at"]
        values["error"] = present_error(values["error"], state, armed_at, next_at)
    for name in surplus:
        del values[name]
    return values


def _list_scopes(r: Any) -> Mapping[str, str]:
    return list_scopes(r.platform, r.workspace_id, r.account_id, r.id)
