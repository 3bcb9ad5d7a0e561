"""Lists of deliveries and posts for operators, of all workspaces: the same filters, and pages by the id of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows
from pipeline.store.deliveries.holds import HELD_FOR, LATE_SINCE, read_holds
from pipeline.store.deliveries.inspection import FACTS, DeliveryFacts
from pipeline.store.posts.views import POST_COLUMNS, PostView, attach_deliveries


@dataclass(frozen=True, kw_only=True, slots=True)
class ListFilter:
    """Which deliveries are listed, or whose posts. None: any."""

    workspace: UUID | None = None
    platform: str | None = None
    account: UUID | None = None
    import_id: UUID | None = None
    status: str | None = None
    """The status of the post, as the API names it."""
    state: str | None = None
    """The state of the delivery."""
    reason: str | None = None
    held_for: str | None = None
    """Why it waits, as readers see it; ``NO_HOLD``: nothing holds it."""
    error_class: str | None = None
    """The class of the last error; ``NO_ERROR``: it has none."""
    code: str | None = None
    """The same of the error's code."""
    discarded: bool | None = None
    """True if an operator gave its present failure up."""
    deliveries: tuple[UUID, ...] | None = None
    text: str | None = None
    """The post's id or external id, or a part of its caption in either case; or the delivery's id."""
    due_from: datetime | None = None
    due_until: datetime | None = None
    late_from: datetime | None = None
    """Since when it is late, if it is not sent."""
    late_until: datetime | None = None


NO_ERROR = NO_HOLD = "none"
_CONDITIONS: Mapping[str, str] = {
    "workspace": "d.workspace_id = :workspace",
    "platform": "d.platform = :platform",
    "account": "d.account_id = :account",
    "import_id": "EXISTS (SELECT FROM posts o WHERE o.id = d.post_id AND o.import_id = :import_id)",
    "state": "d.state = :state",
    "reason": "d.reason = :reason",
    "held_for": f"coalesce({HELD_FOR}, '{NO_HOLD}') = :held_for",
    "error_class": f"coalesce(d.error ->> 'class', '{NO_ERROR}') = :error_class",
    "code": f"coalesce(d.error ->> 'code', '{NO_ERROR}') = :code",
    "discarded": """EXISTS (SELECT FROM discards x WHERE x.delivery_id = d.id AND x.generation = d.generation)
                    = :discarded""",
    "deliveries": "d.id = ANY (CAST(:deliveries AS uuid[]))",
    # no EXISTS: that may be planned as a hash of all posts
    "text": """(:text IN (d.id::text, d.post_id::text) OR (
        SELECT coalesce(o.external_id = :text, false) OR strpos(lower(o.caption), lower(:text)) > 0
        FROM posts o WHERE o.id = d.post_id))""",
    "due_from": "d.due_at >= :due_from",
    "due_until": "d.due_at < :due_until",
    "late_from": f"d.armed_at IS NULL AND {LATE_SINCE} >= :late_from",
    "late_until": f"d.armed_at IS NULL AND {LATE_SINCE} < :late_until",
}
"""On the delivery ``d``, by the filter's field."""
_STATUS = """CASE WHEN {post}.status = 'scheduled' AND {post}.due_at <= now() THEN 'pending' ELSE {post}.status END
             = :status"""
"""Readers see a scheduled post whose time has come as pending."""


def list_deliveries(
    c: Connection, chosen: ListFilter, *, limit: int, after: UUID | None = None
) -> list[DeliveryFacts]:
    """Return deliveries, newest first. *after*: the last one of the page before."""
    clauses, values = build_conditions(chosen)
    found = _read_page(c, FACTS, "d.id", clauses, {**values, "after": after, "n": limit})
    return read_holds(DeliveryFacts, found)


def build_conditions(chosen: ListFilter) -> tuple[list[str], dict[str, Any]]:
    """Return the conditions of a filter on a delivery ``d``, and their values."""
    values = _get_values(chosen)
    clauses = [sql for name, sql in _CONDITIONS.items() if name in values]
    if "status" in values:
        status = _STATUS.format(post="p")
        clauses.append(f"EXISTS (SELECT FROM posts p WHERE p.id = d.post_id AND {status})")
    return clauses, values


def list_posts(c: Connection, chosen: ListFilter, *, limit: int, after: UUID | None = None) -> list[PostView]:
    """Return posts with a delivery of the filter, newest first; deleted ones never. *after* as above."""
    values = _get_values(chosen)
    clauses = ["deleted_at IS NULL"]
    if "workspace" in values:
        clauses.append("workspace_id = :workspace")
    if "status" in values:
        clauses.append(_STATUS.format(post="posts"))
    if of_delivery := [sql for name, sql in _CONDITIONS.items() if name in values and name != "workspace"]:
        delivery = " AND ".join(of_delivery)
        clauses.append(f"EXISTS (SELECT FROM deliveries d WHERE d.post_id = posts.id AND {delivery})")
    select = f"SELECT {POST_COLUMNS} FROM posts"
    found = _read_page(c, select, "id", clauses, {**values, "after": after, "n": limit})
    return attach_deliveries(c, found)


def _read_page(
    c: Connection, select: str, key: str, clauses: Sequence[str], values: Mapping[str, Any]
) -> list[Any]:
    """Return the next ``n`` rows after the one with the key ``after``, newest first."""
    conditions = [*clauses, f"{key} < :after"] if values["after"] is not None else clauses
    where = " AND ".join(conditions) or "true"
    return rows(c, f"{select} WHERE {where} ORDER BY {key} DESC LIMIT :n", **values)


def _get_values(chosen: ListFilter) -> dict[str, Any]:
    """Return the fields that are given."""
    values = {name: getattr(chosen, name) for name in ListFilter.__dataclass_fields__}
    given = {name: value for name, value in values.items() if value is not None}
    return given | {name: list(value) for name, value in given.items() if isinstance(value, tuple)}
