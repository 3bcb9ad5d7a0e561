"""The queue as people read it: pages of the posts with a delivery of a filter, each once, with all its accounts.

A page reads at most ``CAP`` rows of its walk. With a text it goes on, in the same order, through the posts that an
index finds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import build, read_number, rows
from pipeline.store.deliveries.move import REMOVED
from pipeline.store.deliveries.queue import (
    Place,
    QueuedDelivery,
    Walk,
    Within,
    bind,
    choose_walk,
    find_end,
    limit_to,
    narrow,
    read_place,
    to_deliveries,
)
from pipeline.store.deliveries.selection import FACTS_COLUMNS, NAMES, ListFilter, select_deliveries
from pipeline.store.posts.texts import find_posts
from pipeline.store.selection import where


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedPost:
    """A post, and the deliveries to the accounts that it targets."""

    id: UUID
    workspace_id: UUID
    workspace: str
    caption: str
    """Its first 300 characters."""
    media: Mapping[str, Any]
    source: str
    due_at: datetime
    created_at: datetime
    deliveries: Sequence[QueuedDelivery]


@dataclass(frozen=True, kw_only=True, slots=True)
class PostPage:
    """One page. ``after``: where the next one begins, None at the end; ``is_cut``: ``CAP`` rows did not fill it."""

    posts: Sequence[UUID]
    after: Place | None
    is_cut: bool


def list_queued_posts(
    c: Connection,
    chosen: ListFilter,
    within: Within,
    *,
    limit: int,
    after: Place | None = None,
    newest: bool = False,
    walk: Walk | None = None,
) -> PostPage:
    """Return a page of the posts of a filter within these workspaces; *after*: that of the page before.

    *newest*: as of ``choose_walk``. *walk*: instead of the one that it chooses.
    """
    if within is not None and not within:
        return PostPage(posts=(), after=None, is_cut=False)
    walk = walk or choose_walk(chosen, within, newest=newest)
    page = _read_page(c, walk, chosen, within, limit, after)
    missing = limit - len(page.posts)
    posts = None
    if page.is_cut and missing and chosen.text is not None:
        posts = find_posts(c, chosen.text, [chosen.workspace] if chosen.workspace else within)
    if posts is None:
        return page
    rest = _read_page(c, narrow(walk, posts), chosen, within, missing, page.after)
    return replace(rest, posts=[*page.posts, *rest.posts])


def _read_page(
    c: Connection, walk: Walk, chosen: ListFilter, within: Within, limit: int, after: Place | None
) -> PostPage:
    sql, values = build_post_page(walk, chosen, within, after)
    found = rows(c, sql, **values, n=limit + 1)
    posts = [r.post_id for r in found[:limit]]
    if len(found) > limit:
        return PostPage(posts=posts, after=read_place(walk, found[limit - 1]), is_cut=False)
    end = find_end(c, walk, chosen, after)
    return PostPage(posts=posts, after=end, is_cut=end is not None)


def count_queued_posts(c: Connection, chosen: ListFilter, within: Within, *, most: int) -> int:
    """Return how many posts have a delivery of a filter, among ``CAP`` rows of its walk; *most* + 1: more than that."""
    if within is not None and not within:
        return 0
    walk = choose_walk(chosen, within)
    asked = where("o.deleted_at IS NULL") & select_deliveries(limit_to(chosen, within))
    return read_number(
        c,
        f"""SELECT count(*) AS n FROM (
                SELECT DISTINCT d.post_id FROM ({walk.build(from_place=False)}) d JOIN posts o ON o.id = d.post_id
                WHERE {asked} LIMIT :n) x""",
        **{**asked.values, **bind(walk, chosen, None)},
        n=most + 1,
    )


def build_post_page(
    walk: Walk, chosen: ListFilter, within: Within, after: Place | None
) -> tuple[str, dict[str, Any]]:
    """Return the statement of a page of ``n`` posts, and its other values.

    A post stands where the first delivery of the filter stands, in the order of the walk.
    """
    asked = where("o.deleted_at IS NULL") & select_deliveries(limit_to(chosen, within))
    key, place = walk.key, ", ".join(f"d.{name}" for name in walk.places)
    sql = f"""
        SELECT d.post_id, {place}
        FROM ({walk.build(from_place=after is not None)}) d JOIN posts o ON o.id = d.post_id
        WHERE {asked} AND NOT EXISTS (
            SELECT FROM (SELECT d.post_id, {place}) f
            JOIN posts p ON p.id = f.post_id JOIN posts o ON o.id = p.id JOIN post_deliveries d ON d.post_id = p.id
            WHERE {asked} AND ({", ".join(key.columns)}) {">" if key.descending else "<"}
                  ({", ".join(f"f.{name}" for name in walk.places)}))
        ORDER BY {walk.order} LIMIT :n"""
    return sql, {**asked.values, **bind(walk, chosen, after)}


def read_queued_posts(c: Connection, posts: Collection[UUID], within: Within) -> list[QueuedPost]:
    """Return these posts, as far as they are in these workspaces and not deleted, in the order given."""
    chosen = where("o.deleted_at IS NULL", f"{REMOVED} IS NOT TRUE") & select_deliveries(
        limit_to(ListFilter(posts=tuple(posts)), within)
    )
    found = rows(
        c,
        f"""SELECT {FACTS_COLUMNS}, d.workspace_id, d.updated_at, o.source, left(o.caption, 300) AS caption,
                   o.media, o.due_at AS post_due_at, o.created_at AS post_created_at
            FROM post_deliveries d JOIN posts o ON o.id = d.post_id {NAMES} WHERE {chosen} ORDER BY d.platform, d.id""",
        **chosen.values,
    )
    by_post: dict[UUID, list[tuple[QueuedDelivery, Any]]] = {}
    for one, r in zip(to_deliveries(c, found), found, strict=True):
        by_post.setdefault(r.post_id, []).append((one, r))
    return [_to_post(post, by_post[post]) for post in posts if post in by_post]


def _to_post(post: UUID, found: Sequence[tuple[QueuedDelivery, Any]]) -> QueuedPost:
    first = found[0][1]
    return build(
        QueuedPost,
        first,
        id=post,
        due_at=first.post_due_at,
        created_at=first.post_created_at,
        deliveries=[one for one, _ in found],
    )
