"""The lists of posts that API keys read: by a filter, the newest first or the first due first, page by page.

A list of all posts, or of a status and a span of creation, has statements of its own (``pages.py``). Other filters read
a page of the queue (``queue_posts.py``) along a walk within the key's workspace, or for a restricted key within its
accounts: neither the length of a page nor the place where it ends depends on rows that the key must not know of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import WAITING, State
from pipeline.domain.post import PostStatus
from pipeline.store.database import read_column
from pipeline.store.deliveries.holds import quote
from pipeline.store.deliveries.queue import (
    BY_CREATION,
    BY_DUE,
    BY_IMPORT,
    SOME,
    Place,
    Walk,
    bind_span,
    is_place,
    narrow,
    walk_due,
)
from pipeline.store.deliveries.queue_posts import list_queued_posts
from pipeline.store.deliveries.selection import NO_ERROR, NO_HOLD, ListFilter, Order
from pipeline.store.posts import pages
from pipeline.store.posts.views import PostView, read_posts
from pipeline.store.rollups.time_buckets import IS_OVERDUE
from pipeline.store.selection import Keyset, among, equal, where_given


class InvalidPlace(ValueError):
    """The place is none of this list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedPosts:
    """A page of posts. ``after``: where the next one begins, None at the end."""

    posts: Sequence[PostView]
    after: Place | None


_EVERY = frozenset(PostStatus)
_UNSETTLED = _EVERY - {PostStatus.POSTED, PostStatus.PARTIAL, PostStatus.FAILED, PostStatus.CANCELED}
_OF_STATE = {
    State.PUBLISHED: _UNSETTLED | {PostStatus.POSTED, PostStatus.PARTIAL},
    State.FAILED: _UNSETTLED | {PostStatus.FAILED, PostStatus.PARTIAL},
    State.CANCELLED: _EVERY,
}
"""Statuses of the posts that may have a delivery in a state; of the states that are not here the unsettled ones."""
_HELD = frozenset(State) - {State.PUBLISHED, State.FAILED, State.CANCELLED, State.BLOCKED}
_PLANNED = WAITING | {State.ACCEPTED}
"""The states of the index ``deliveries_planned``; ``deliveries_by_due`` has the others."""


def list_statuses(chosen: ListFilter) -> frozenset[PostStatus]:
    """Return the statuses that a post of the filter may have; none: its conditions contradict each other."""
    found = _EVERY if chosen.status is None else frozenset({PostStatus(chosen.status)})
    if chosen.state is not None:
        found &= _OF_STATE.get(State(chosen.state), _UNSETTLED)
    if chosen.held_for not in (None, NO_HOLD):
        found &= _UNSETTLED if chosen.state is None or chosen.state in _HELD else frozenset()
    if chosen.error_class not in (None, NO_ERROR):
        found &= _EVERY - {PostStatus.POSTED, PostStatus.CANCELED}
    return found


def is_plain(chosen: ListFilter, order: Order) -> bool:
    """Return True if the list is one of ``pages.py``."""
    plain = ListFilter(
        scope=chosen.scope,
        status=chosen.status,
        created_from=chosen.created_from,
        created_until=chosen.created_until,
    )
    return order is Order.CREATED and chosen == plain


def list_posts(
    c: Connection,
    workspace: UUID,
    chosen: ListFilter,
    order: Order = Order.CREATED,
    *,
    limit: int,
    after: Place | None = None,
) -> ListedPosts:
    """Return a page of the posts that the scope of the filter, within the workspace, shows. Raises InvalidPlace.

    *after*: that of the page before, with the same filter and order. A page may be short, or empty, before the end.
    """
    if is_plain(chosen, order):
        return _list_plain(c, workspace, chosen, limit, after)
    walk = choose_walk(c, workspace, chosen, order)
    if walk is None:
        return ListedPosts(posts=(), after=None)
    if after is not None and not is_place(walk, after):
        raise InvalidPlace
    page = list_queued_posts(c, chosen, [workspace], limit=limit, after=after, walk=walk)
    views = {view.id: view for view in read_posts(c, workspace, page.posts, chosen.scope.accounts)}
    return ListedPosts(posts=[views[post] for post in page.posts if post in views], after=page.after)


def _list_plain(
    c: Connection, workspace: UUID, chosen: ListFilter, limit: int, after: Place | None
) -> ListedPosts:
    found = pages.list_posts(
        c,
        workspace,
        status=chosen.status,
        since=chosen.created_from,
        until=chosen.created_until,
        before=None if after is None else _read_position(after),
        limit=limit + 1,
        accounts=chosen.scope.accounts,
    )
    shown = found[:limit]
    end = (shown[-1].created_at.isoformat(), str(shown[-1].id)) if len(found) > limit else None
    return ListedPosts(posts=shown, after=end)


def _read_position(place: Place) -> pages.Position:
    try:
        created_at, post = place
        return datetime.fromisoformat(created_at), UUID(post)
    except ValueError:
        raise InvalidPlace from None


# --- walks -----------------------------------------------------------------------------------------------------------


def choose_walk(c: Connection, workspace: UUID, chosen: ListFilter, order: Order) -> Walk | None:
    """Return the walk of a list in this order that reads the fewest rows in vain; None: it has no post."""
    if not list_statuses(chosen):
        return None
    in_order = _walk_due(workspace, chosen) if order is Order.DUE else _walk_created(workspace, chosen)
    is_restricted = chosen.scope.accounts is not None
    if chosen.posts is not None:
        return narrow(in_order, chosen.posts)
    if chosen.import_id is not None and order is Order.CREATED and not is_restricted:
        return _walk_import(workspace)
    # accounts of one post may have other due times than it: a span of them bounds only the deliveries themselves
    in_span = order is Order.DUE and (chosen.due_from is not None or chosen.due_until is not None)
    accounts = _find_accounts(c, workspace, chosen, every=in_span)
    if accounts == []:
        return None
    # a span of creation bounds only the walk of the workspace, as an edit adds deliveries that are younger than their
    # post; without the status of most posts, it has fewer rows
    is_bounded = chosen.created_until is not None or PostStatus.POSTED not in list_statuses(chosen)
    is_better = accounts is not None and len(accounts) <= SOME and (order is Order.DUE or not is_bounded)
    if accounts is None or not (is_restricted or in_span or is_better):
        return in_order
    return _walk_accounts_due(accounts, chosen) if order is Order.DUE else _walk_accounts(accounts, chosen)


def _find_accounts(c: Connection, workspace: UUID, chosen: ListFilter, *, every: bool) -> list[UUID] | None:
    """Return the accounts of all deliveries that are selected; None: nothing says which, and *every* is False."""
    given = {"account": "id = :account", "platform": "platform = :platform"}
    named = where_given(given, account=chosen.account, platform=chosen.platform)
    named = named & among("id", chosen.scope.accounts)
    if not (named.conditions or every):
        return None
    own = equal(workspace_id=workspace) & named
    return read_column(c, f"SELECT id FROM accounts WHERE {own} ORDER BY id", **own.values)


def _walk_created(workspace: UUID, chosen: ListFilter) -> Walk:
    """Walk the posts of the workspace, the newest first: of each status that they may have, or of all."""
    statuses = list_statuses(chosen)
    own = "SELECT * FROM posts WHERE workspace_id = :space_0 AND deleted_at IS NULL"
    sources = (
        [own] if statuses == _EVERY else [f"{own} AND status = '{status}'" for status in sorted(statuses)]
    )
    if chosen.status == PostStatus.PENDING:
        sources.append(f"{own} AND status = '{PostStatus.SCHEDULED}' AND {IS_OVERDUE} OFFSET 0")
    span = where_given(
        {
            "walk_since": "p.created_at >= CAST(:walk_since AS timestamptz)",
            "walk_until": "p.created_at <= CAST(:walk_until AS timestamptz)",
        },
        walk_since=chosen.created_from,
        walk_until=chosen.created_until,
    )
    return replace(
        BY_CREATION,
        branches=[
            f"({source}) p JOIN post_deliveries d ON d.post_id = p.id WHERE {span}" for source in sources
        ],
        values={"space_0": workspace, **span.values},
    )


def _walk_due(workspace: UUID, chosen: ListFilter) -> Walk:
    """Walk the posts of the workspace, the first due first."""
    statuses = list_statuses(chosen)
    others = sorted(statuses - {PostStatus.SCHEDULED})
    scheduled, rest = BY_DUE
    conditions = [scheduled] if PostStatus.SCHEDULED in statuses else []
    if chosen.status == PostStatus.PENDING:
        conditions = [f"{scheduled} AND p.{IS_OVERDUE}"]
    span = bind_span(chosen)
    if not _UNSETTLED.issuperset(others):
        return walk_due([workspace], span, [*conditions, rest])
    # few posts, which the index by status finds: by due time they would be looked for among all that are over
    few = f"""(SELECT * FROM posts WHERE workspace_id = :space_0 AND deleted_at IS NULL AND status IN ({quote(others)})
               OFFSET 0) p JOIN post_deliveries d ON d.post_id = p.id
               WHERE p.due_at >= CAST(:walk_from AS timestamptz) AND p.due_at < CAST(:walk_until AS timestamptz)"""
    walk = walk_due([workspace], span, conditions)
    return replace(walk, branches=[*walk.branches, few] if others else walk.branches)


def _walk_import(workspace: UUID) -> Walk:
    """Walk the posts of an import, if it is of the workspace: that of its first post is asked once."""
    [branch] = BY_IMPORT.branches
    own = "(SELECT workspace_id FROM posts WHERE import_id = :import_id LIMIT 1) = :space_0"
    return replace(BY_IMPORT, branches=[f"{branch} AND {own}"], values={"space_0": workspace})


def _walk_accounts(accounts: Sequence[UUID], chosen: ListFilter) -> Walk:
    """Walk the deliveries of each account, the newest first."""
    span = where_given(
        {"walk_since": "d.created_at >= CAST(:walk_since AS timestamptz)"}, walk_since=chosen.created_from
    )
    return Walk(
        branches=[
            f"post_deliveries d WHERE d.account_id = :walked_{n} AND {span}" for n in range(len(accounts))
        ],
        key=Keyset({"d.created_at": "timestamptz", "d.post_id": "uuid", "d.id": "uuid"}, descending=True),
        values={**_name_accounts(accounts), **span.values},
    )


def _walk_accounts_due(accounts: Sequence[UUID], chosen: ListFilter) -> Walk:
    """Walk the deliveries of each account, the first due first."""
    span = where_given(
        {
            "walk_from": "d.due_at >= CAST(:walk_from AS timestamptz)",
            "walk_until": "d.due_at < CAST(:walk_until AS timestamptz)",
        },
        walk_from=chosen.due_from,
        walk_until=chosen.due_until,
    )
    parts = [f"d.state IN ({quote(_PLANNED)})", f"d.state NOT IN ({quote(_PLANNED)})"]
    if chosen.state is not None:
        parts = parts[:1] if chosen.state in _PLANNED else parts[1:]
    return Walk(
        branches=[
            f"post_deliveries d WHERE d.account_id = :walked_{n} AND {part} AND {span}"
            for n in range(len(accounts))
            for part in parts
        ],
        key=Keyset({"d.due_at": "timestamptz", "d.post_id": "uuid", "d.id": "uuid"}),
        values={**_name_accounts(accounts), **span.values},
    )


def _name_accounts(accounts: Sequence[UUID]) -> dict[str, UUID]:
    return {f"walked_{n}": account for n, account in enumerate(accounts)}
