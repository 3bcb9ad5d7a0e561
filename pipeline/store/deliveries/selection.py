"""The selection of deliveries: the one filter behind every list, page, count, export and steering job.

A filter has the scope of the caller in it, so no list goes past what the caller may see. Deliveries as operators see
them are here too; the checkpoint is not among their facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.hold import Hold
from pipeline.store.database import row, rows
from pipeline.store.deliveries.holds import HELD_FOR, HOLD_COLUMNS, LATE_SINCE, read_holds
from pipeline.store.deliveries.ownership import OPERATOR, Scope, restrict_deliveries
from pipeline.store.posts.views import POST_COLUMNS, PostView, attach_deliveries
from pipeline.store.selection import Keyset, Where, where, where_given


@dataclass(frozen=True, kw_only=True, slots=True)
class ListFilter:
    """Which deliveries are listed, or whose posts. None: any."""

    scope: Scope = OPERATOR
    """The deliveries that the caller may see."""
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
    older: timedelta | None = None
    """It changed at least this long ago."""
    younger: timedelta | None = None
    """It changed at most this long ago."""


NO_ERROR = NO_HOLD = "none"
DISCARDED = "EXISTS (SELECT FROM discards x WHERE x.delivery_id = d.id AND x.generation = d.generation)"
"""Condition on a delivery ``d``: an operator gave its present failure up."""
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
    "discarded": f"{DISCARDED} = :discarded",
    "deliveries": "d.id = ANY (CAST(:deliveries AS uuid[]))",
    # no EXISTS: that may be planned as a hash of all posts
    "text": """(:text IN (d.id::text, d.post_id::text) OR (
        SELECT coalesce(o.external_id = :text, false) OR strpos(lower(o.caption), lower(:text)) > 0
        FROM posts o WHERE o.id = d.post_id))""",
    "due_from": "d.due_at >= :due_from",
    "due_until": "d.due_at < :due_until",
    "late_from": f"d.armed_at IS NULL AND {LATE_SINCE} >= :late_from",
    "late_until": f"d.armed_at IS NULL AND {LATE_SINCE} < :late_until",
    "older": "d.updated_at <= now() - CAST(:older AS interval)",
    "younger": "d.updated_at >= now() - CAST(:younger AS interval)",
}
"""On the delivery ``d``, by the filter's field."""
_STATUS = """CASE WHEN {post}.status = 'scheduled' AND {post}.due_at <= now() THEN 'pending' ELSE {post}.status END
             = :status"""
"""Readers see a scheduled post whose time has come as pending."""
_STATUS_OF_POST = f"EXISTS (SELECT FROM posts p WHERE p.id = d.post_id AND {_STATUS.format(post='p')})"
POSTED = "deliveries d JOIN posts p ON p.id = d.post_id"
"""The SQL after FROM for ``select_posted``."""
_BY_ID, _POSTS_BY_ID = (Keyset({key: "uuid"}, descending=True) for key in ("d.id", "id"))


def select_deliveries(chosen: ListFilter) -> Where:
    """Return the conditions of a filter on a delivery ``d``."""
    conditions = {**_CONDITIONS, "status": _STATUS_OF_POST}
    return restrict_deliveries(chosen.scope) & where_given(conditions, **_get_values(chosen))


def select_posted(chosen: ListFilter, *conditions: str) -> Where:
    """Return the conditions of a filter, and others, on a delivery ``d`` and its post ``p``, which is not deleted."""
    return where("p.deleted_at IS NULL", *conditions) & select_deliveries(chosen)


def list_deliveries(
    c: Connection, chosen: ListFilter, *, limit: int, after: UUID | None = None
) -> list[DeliveryFacts]:
    """Return deliveries, newest first. *after*: the last one of the page before."""
    return read_holds(DeliveryFacts, _read_page(c, FACTS, _BY_ID, select_deliveries(chosen), after, limit))


def list_posts(c: Connection, chosen: ListFilter, *, limit: int, after: UUID | None = None) -> list[PostView]:
    """Return posts with a delivery of the filter, newest first; deleted ones never. *after* as above."""
    values = _get_values(chosen)
    of_post = {"workspace": "workspace_id = :workspace", "status": _STATUS.format(post="posts")}
    asked = where_given(of_post, **{name: values.pop(name, None) for name in of_post})
    delivery = restrict_deliveries(chosen.scope) & where_given(_CONDITIONS, **values)
    if delivery.conditions:
        exists = f"EXISTS (SELECT FROM deliveries d WHERE d.post_id = posts.id AND {delivery})"
        asked = asked & where(exists, **delivery.values)
    select_ = f"SELECT {POST_COLUMNS} FROM posts"
    found = _read_page(c, select_, _POSTS_BY_ID, where("deleted_at IS NULL") & asked, after, limit)
    return attach_deliveries(c, found)


def _read_page(
    c: Connection, sql: str, order: Keyset, chosen: Where, after: UUID | None, limit: int
) -> Sequence[Any]:
    chosen = chosen & order.start_after(None if after is None else [after])
    return rows(c, f"{sql} WHERE {chosen} ORDER BY {order.order} LIMIT :n", **chosen.values, n=limit)


_FIELDS = [field.name for field in fields(ListFilter) if field.name != "scope"]


def _get_values(chosen: ListFilter) -> dict[str, Any]:
    return {name: getattr(chosen, name) for name in _FIELDS}


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryRow:
    """A row of ``deliveries`` with the names of its workspace and account."""

    id: UUID
    post_id: UUID
    workspace: str
    account_id: UUID
    platform: str
    username: str
    state: str
    reason: str | None
    generation: int
    due_at: datetime
    spent: int
    crashes: int
    error: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryFacts(DeliveryRow):
    """A delivery without its sealed checkpoint."""

    fence: int
    held_for: Hold | None
    """Why it waits."""
    next_at: datetime | None
    """When it is touched next, if that is known and to come."""
    lease_until: datetime | None
    armed_at: datetime | None
    published_at: datetime | None
    remote_id: str | None
    url: str | None
    delivered_as: str | None
    looks: int


NAMED_COLUMNS = (
    """d.post_id, w.name AS workspace, a.username, d.reason, d.generation, d.spent, d.crashes, d.error"""
)
"""Columns of `DeliveryRow` that ``HOLD_COLUMNS`` has not."""
NAMES = "JOIN accounts a ON a.id = d.account_id JOIN workspaces w ON w.id = d.workspace_id"
"""SQL: joins what a delivery ``d`` is named by."""
FACTS_COLUMNS = f"""{HOLD_COLUMNS}, {NAMED_COLUMNS}, d.fence, d.lease_until, d.armed_at, d.published_at, d.remote_id,
       d.url, d.delivered_as, d.looks"""
FACTS = f"SELECT {FACTS_COLUMNS} FROM deliveries d {NAMES} "
_ONE = FACTS + "WHERE d.id = :id"


def find_delivery(c: Connection, delivery: UUID) -> DeliveryFacts | None:
    """Return a delivery of any workspace, or None."""
    found = row(c, _ONE, id=delivery)
    return None if found is None else read_holds(DeliveryFacts, [found])[0]
