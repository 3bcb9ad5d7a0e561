"""The queue: pages of the deliveries that a filter selects, with what a list of many shows of their posts.

A page reads at most ``CAP`` rows of its walk, however rare what the filter selects is. Where they are used up before it
is full, it says so, and the next page goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from string import ascii_lowercase
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import SETTLED
from pipeline.domain.hold import StandingHold, list_scopes
from pipeline.store.dashboard.walks import CAP, Walk, Within, choose_walk
from pipeline.store.database import row, rows
from pipeline.store.deliveries.holds import list_standing_holds, read_holds
from pipeline.store.deliveries.inspection import FACTS_COLUMNS, DeliveryFacts
from pipeline.store.deliveries.listing import ListFilter, build_conditions

Place = tuple[str, ...]
"""Where a page ends, in the order of its walk."""

NAMED = """
SELECT d.id FROM deliveries d WHERE d.id = CAST(:named AS uuid)
UNION SELECT d.id FROM deliveries d WHERE d.post_id = CAST(:named AS uuid)
UNION SELECT d.id FROM workspaces w JOIN replays r ON r.workspace_id = w.id AND r.token = 'id:' || :text
JOIN deliveries d ON d.post_id = r.post_id
WHERE CAST(:within AS uuid[]) IS NULL OR w.id = ANY (CAST(:within AS uuid[]))
LIMIT 1000
"""
"""Deliveries that a text names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedDelivery:
    """A delivery, and what the list shows of its post."""

    facts: DeliveryFacts
    workspace_id: UUID
    caption: str
    """Its first 300 characters."""
    source: str
    updated_at: datetime
    standing: Sequence[StandingHold]
    """The holds on deliveries of its scopes now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuePage:
    """One page. ``after``: where the next one begins, None at the end; ``is_cut``: ``CAP`` rows did not fill it."""

    deliveries: Sequence[QueuedDelivery]
    after: Place | None
    is_cut: bool


def list_queue(
    c: Connection, chosen: ListFilter, within: Within, *, limit: int, after: Place | None = None
) -> QueuePage:
    """Return a page of what a filter selects within these workspaces; *after*: that of the page before."""
    if within is not None and not within:
        return QueuePage(deliveries=(), after=None, is_cut=False)
    walk = choose_walk(chosen, within)
    sql, values = build_page(walk, chosen, within, after)
    found = rows(c, sql, **values, n=limit + 1)
    shown = _to_deliveries(c, found[:limit])
    if len(found) > limit:
        return QueuePage(deliveries=shown, after=_read_place(walk, found[limit - 1]), is_cut=False)
    end = row(
        c,
        f"{walk.build(from_place=after is not None)} OFFSET :last",
        **_bind(walk, chosen, after),
        last=CAP - 1,
    )
    return QueuePage(deliveries=shown, after=end and _read_place(walk, end), is_cut=end is not None)


def build_page(
    walk: Walk, chosen: ListFilter, within: Within, after: Place | None
) -> tuple[str, dict[str, Any]]:
    """Return the statement of a page of ``n`` rows, and its other values."""
    clauses, values = build_conditions(chosen)
    if within is not None:
        clauses.append("d.workspace_id = ANY (CAST(:within AS uuid[]))")
        values["within"] = list(within)
    where = " AND ".join(["o.deleted_at IS NULL", *clauses])
    sql = f"""
        SELECT {FACTS_COLUMNS}, d.workspace_id, d.updated_at, o.source, left(o.caption, 300) AS caption,
               {", ".join(walk.places)}
        FROM ({walk.build(from_place=after is not None)}) d JOIN posts o ON o.id = d.post_id
        JOIN accounts a ON a.id = d.account_id JOIN workspaces w ON w.id = d.workspace_id
        WHERE {where} ORDER BY {walk.order} LIMIT :n"""
    return sql, {**values, **_bind(walk, chosen, after)}


def find_named(c: Connection, chosen: ListFilter, within: Within) -> ListFilter:
    """Return the filter with the deliveries that its text names, by their id, their post's, or its external id.

    Where it names none, the filter stays: its text is then looked for in captions.
    """
    if chosen.text is None:
        return chosen
    found = rows(
        c,
        NAMED,
        text=chosen.text,
        named=_parse_id(chosen.text),
        within=None if within is None else list(within),
    )
    return replace(chosen, text=None, deliveries=tuple(r.id for r in found)) if found else chosen


def find_accounts_named(c: Connection, name: str, within: Within) -> list[UUID]:
    """Return the accounts with this username, or ``platform:username``; at most two."""
    platform, colon, username = name.partition(":")
    found = rows(
        c,
        """SELECT id FROM accounts
           WHERE (username = :name OR (platform = :platform AND username = :username))
             AND (CAST(:within AS uuid[]) IS NULL OR workspace_id = ANY (CAST(:within AS uuid[]))) LIMIT 2""",
        name=name,
        platform=platform if colon else "",
        username=username,
        within=None if within is None else list(within),
    )
    return [r.id for r in found]


def _parse_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _bind(walk: Walk, chosen: ListFilter, after: Place | None) -> dict[str, Any]:
    """Return the values that a walk needs."""
    sql = walk.build(from_place=after is not None)
    named = {
        name: getattr(chosen, name) for name in ("account", "import_id", "platform") if f":{name}" in sql
    }
    if ":deliveries" in sql:
        named["deliveries"] = list(chosen.deliveries or ())
    place = {f"after_{x}": part for x, part in zip(ascii_lowercase, after or (), strict=False)}
    return {**named, **walk.values, **place, "cap": CAP}


def _read_place(walk: Walk, found: Any) -> Place:
    return tuple(str(getattr(found, name)) for name in walk.places)


def _to_deliveries(c: Connection, found: Sequence[Any]) -> list[QueuedDelivery]:
    open_ones = [r for r in found if r.state not in SETTLED]
    standing = list_standing_holds(c, open_ones) if open_ones else []
    return [
        QueuedDelivery(
            facts=facts,
            workspace_id=r.workspace_id,
            caption=r.caption,
            source=r.source,
            updated_at=r.updated_at,
            standing=[one for one in standing if one.covers(_list_scopes(r))],
        )
        for facts, r in zip(read_holds(DeliveryFacts, found), found, strict=True)
    ]


def _list_scopes(r: Any) -> Mapping[str, str]:
    return list_scopes(r.platform, r.workspace_id, r.account_id, r.id)
