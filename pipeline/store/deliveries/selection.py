"""The selection of deliveries: the one filter behind every list, page, count, export and steering job.

A filter has the scope of the caller in it, so no list goes past what the caller may see. Deliveries as operators see
them are here too; the checkpoint is not among their facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.attention import OVERDUE
from pipeline.domain.delivery import WAITING, State
from pipeline.domain.hold import DERIVED
from pipeline.domain.post import NO_TIME
from pipeline.store.database import row, rows
from pipeline.store.deliveries.holds import HELD_FOR, HOLD_COLUMNS, LATE_SINCE, quote, read_holds
from pipeline.store.deliveries.ownership import OPERATOR, Scope, restrict_deliveries
from pipeline.store.posts.options import SEARCHED
from pipeline.store.posts.views import POST_COLUMNS, HeldDelivery, PostView, attach_deliveries
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
    posts: tuple[UUID, ...] | None = None
    unsent: bool | None = None
    """True if it is still to be sent, so that its time counts; not of what waits for somebody's decision."""
    is_open: bool | None = None
    """True unless it is live or canceled."""
    goes_out: bool | None = None
    """True if it is on its way now: being sent, at the platform, or just due (within ``OVERDUE``) and not held."""
    text: str | None = None
    """The post's id, or a part of its external id, caption or titles in either case; or the delivery's id."""
    created_from: datetime | None = None
    """When the post was created; both ends count."""
    created_until: datetime | None = None
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
TO_SEND = WAITING | {State.ACCEPTED, State.PREPARING, State.QUEUED}
DISCARDED = "EXISTS (SELECT FROM discards x WHERE x.delivery_id = d.id AND x.generation = d.generation)"
"""Condition on a delivery ``d``: an operator gave its present failure up."""
JUST_DUE = f"d.due_at <= now() AND d.due_at > now() - interval '{OVERDUE.total_seconds()} seconds'"
"""Condition on a delivery ``d``: its time has come, and it is not late yet."""
_CONDITIONS: Mapping[str, str] = {
    "workspace": "d.workspace_id = :workspace",
    "platform": "d.platform = :platform",
    "account": "d.account_id = :account",
    "import_id": "EXISTS (SELECT FROM posts o WHERE o.id = d.post_id AND o.import_id = :import_id)",
    "state": "d.state = :state",
    "reason": "d.reason = :reason",
    "held_for": f"coalesce({HELD_FOR}, '{NO_HOLD}') = :held_for",
    "error_class": f"""coalesce(CASE WHEN d.state <> '{State.CANCELLED}' THEN d.error ->> 'class' END, '{NO_ERROR}')
        = :error_class""",
    "code": f"coalesce(d.error ->> 'code', '{NO_ERROR}') = :code",
    "discarded": f"{DISCARDED} = :discarded",
    "deliveries": "d.id = ANY (CAST(:deliveries AS uuid[]))",
    "posts": "d.post_id = ANY (CAST(:posts AS uuid[]))",
    "unsent": f"(d.state IN ({quote(TO_SEND)}) AND d.armed_at IS NULL) = :unsent",
    "is_open": f"(d.state NOT IN ('{State.PUBLISHED}', '{State.CANCELLED}')) = :is_open",
    "goes_out": f"""(d.state IN ('{State.PUBLISHING}', '{State.PROCESSING}') OR (
        d.state IN ({quote(TO_SEND)}) AND d.armed_at IS NULL AND {JUST_DUE}
        AND NOT (d.state IN ({quote(WAITING)}) AND d.next_at > now())
        AND coalesce({HELD_FOR}, '{NO_HOLD}') NOT IN ({quote(DERIVED)}))) = :goes_out""",
    # no EXISTS: that may be planned as a hash of all posts
    "text": f"""(:text IN (d.id::text, d.post_id::text) OR (
        SELECT strpos({SEARCHED}, lower(:text)) > 0 FROM posts o WHERE o.id = d.post_id))""",
    "created_from": "(SELECT o.created_at FROM posts o WHERE o.id = d.post_id) >= :created_from",
    "created_until": "(SELECT o.created_at FROM posts o WHERE o.id = d.post_id) <= :created_until",
    "due_from": f"d.due_at >= :due_from AND d.due_at < '{NO_TIME}'",
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
POSTED = "post_deliveries d JOIN posts p ON p.id = d.post_id"
"""The SQL after FROM for ``select_posted``."""
_OF_POSTS: Mapping[str, str] = {
    "workspace": "workspace_id = :workspace",
    "status": _STATUS.format(post="posts"),
    "posts": "id = ANY (CAST(:posts AS uuid[]))",
    "created_from": "created_at >= :created_from",
    "created_until": "created_at <= :created_until",
}
"""On the table ``posts``, by the filter's field."""


class NoSuchRow(Exception):
    """The row after which a page begins is gone. ``str()`` is a sentence for the user."""


class Order(StrEnum):
    """The order of a list."""

    CREATED = "created"  #: the newest first
    DUE = "due"  #: the first due first


def select_deliveries(chosen: ListFilter) -> Where:
    """Return the conditions of a filter on a delivery ``d``."""
    conditions = {**_CONDITIONS, "status": _STATUS_OF_POST}
    return restrict_deliveries(chosen.scope) & where_given(conditions, **_get_values(chosen))


def select_posted(chosen: ListFilter, *conditions: str) -> Where:
    """Return the conditions of a filter, and others, on a delivery ``d`` and its post ``p``, which is not deleted."""
    return where("p.deleted_at IS NULL", *conditions) & select_deliveries(chosen)


def list_deliveries(
    c: Connection, chosen: ListFilter, *, limit: int, after: UUID | None = None, order: Order = Order.CREATED
) -> list[DeliveryFacts]:
    """Return deliveries. *after*: the last one of the page before. Raises NoSuchRow if it is gone."""
    found = _read_page(c, FACTS, "post_deliveries d", order, select_deliveries(chosen), after, limit)
    return read_holds(DeliveryFacts, found)


def list_posts(
    c: Connection, chosen: ListFilter, *, limit: int, after: UUID | None = None, order: Order = Order.CREATED
) -> list[PostView]:
    """Return posts with a delivery of the filter; deleted ones never. *after* and errors as above."""
    values = _get_values(chosen)
    asked = where_given(_OF_POSTS, **{name: values.pop(name, None) for name in _OF_POSTS})
    delivery = restrict_deliveries(chosen.scope) & where_given(_CONDITIONS, **values)
    if delivery.conditions:
        exists = f"EXISTS (SELECT FROM post_deliveries d WHERE d.post_id = posts.id AND {delivery})"
        asked = asked & where(exists, **delivery.values)
    select_ = f"SELECT {POST_COLUMNS} FROM posts"
    found = _read_page(c, select_, "posts", order, where("deleted_at IS NULL") & asked, after, limit)
    return attach_deliveries(c, found)


def _read_page(
    c: Connection, sql: str, table: str, order: Order, chosen: Where, after: UUID | None, limit: int
) -> Sequence[Any]:
    name = table.rsplit(maxsplit=1)[-1]
    by_due = {f"{name}.due_at": "timestamptz"} if order is Order.DUE else {}
    key = Keyset({**by_due, f"{name}.id": "uuid"}, descending=order is Order.CREATED)
    if after is not None:
        chosen = chosen & key.start_after(_find_place(c, table, key, after) if by_due else [after])
    return rows(c, f"{sql} WHERE {chosen} ORDER BY {key.order} LIMIT :n", **chosen.values, n=limit)


def _find_place(c: Connection, table: str, key: Keyset, after: UUID) -> Sequence[Any]:
    name = [*key.columns][-1]
    found = row(c, f"SELECT {', '.join(key.columns)} FROM {table} WHERE {name} = :id", id=after)
    if found is None:
        raise NoSuchRow(f"There is no row {after} to go on after: begin with the first page.")
    return tuple(found)


_FIELDS = [field.name for field in fields(ListFilter) if field.name != "scope"]


def _get_values(chosen: ListFilter) -> dict[str, Any]:
    return {name: getattr(chosen, name) for name in _FIELDS}


@dataclass(kw_only=True, slots=True)
class DeliveryFacts(HeldDelivery):
    """A delivery without its sealed checkpoint."""

    workspace: str
    spent: int
    crashes: int
    fence: int
    lease_until: datetime | None
    looks: int


NAMED_COLUMNS = (
    """d.post_id, w.name AS workspace, a.username, d.reason, d.generation, d.spent, d.crashes, d.error"""
)
"""Columns of a delivery with the name of its workspace that ``HOLD_COLUMNS`` has not."""
NAMES = "JOIN accounts a ON a.id = d.account_id JOIN workspaces w ON w.id = d.workspace_id"
"""SQL: joins what a delivery ``d`` is named by."""
FACTS_COLUMNS = f"""{HOLD_COLUMNS}, {NAMED_COLUMNS}, d.fence, d.lease_until, d.armed_at, d.published_at, d.remote_id,
       d.url, d.delivered_as, d.looks"""
FACTS = f"SELECT {FACTS_COLUMNS} FROM post_deliveries d {NAMES} "
_ONE = f"SELECT {FACTS_COLUMNS} FROM deliveries d {NAMES} WHERE d.id = :id"


def find_delivery(c: Connection, delivery: UUID) -> DeliveryFacts | None:
    """Return a delivery of any workspace, a first comment too, or None."""
    found = row(c, _ONE, id=delivery)
    return None if found is None else read_holds(DeliveryFacts, [found])[0]
