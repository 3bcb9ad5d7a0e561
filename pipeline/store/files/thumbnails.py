"""Thumbnails of media checks: opened once, found for the posts that pin the checks, and read by those who may see them.

A thumbnail is a row of ``files`` with the URL and workspace of its check. So it expires as an upload with that URL
does: ``expiry.py`` keeps it while the URL was checked lately, or an unsettled post pins a check of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.own_content import SPAN
from pipeline.store.database import find_value, new_id, read_all, rows
from pipeline.store.files.files import Content
from pipeline.store.selection import among, equal, find, where

PATH = "/dashboard/thumbnails/"
"""Where the dashboard serves thumbnails, by name."""
_IS_STORED = "f.check_id IS NOT NULL AND f.object IS NOT NULL AND f.removed_at IS NULL"


@dataclass(frozen=True, kw_only=True, slots=True)
class Thumbnail:
    """One medium of a post, which may have a thumbnail."""

    post_id: UUID
    name: str | None
    is_video: bool
    duration: float | None
    """Seconds, of a video."""
    media: int
    """How many media the post has."""

    @property
    def address(self) -> str | None:
        """Return the path of the thumbnail in the dashboard; None while there is none."""
        return name_address(self.name)


def name_address(name: str | None) -> str | None:
    """Return the path of a thumbnail in the dashboard; None while there is none."""
    return None if name is None else PATH + name


def open_thumbnail(c: Connection, check: UUID) -> UUID | None:
    """Create the thumbnail of a good check, whose content is still to be stored; None if it was created before."""
    return find_value(
        c,
        UUID,
        """INSERT INTO files (id, workspace_id, name, url, content_type, check_id)
           SELECT :id, workspace_id, id || '.webp', url, 'image/webp', id FROM checks
           WHERE id = :check AND verdict = 'good'
           ON CONFLICT (name) DO NOTHING RETURNING id""",
        id=new_id(),
        check=check,
    )


def find_thumbnail(c: Connection, name: str, workspaces: Collection[UUID]) -> Content | None:
    """Return the content of the thumbnail of this name, if its check belongs to one of these workspaces."""
    own = equal(name=name) & among("workspace_id", workspaces) & where(_IS_STORED)
    return find(c, Content, "files f", own)


def find_thumbnail_of_posts(c: Connection, name: str, posts: Collection[UUID]) -> Content | None:
    """Return the content of the thumbnail of this name, if it is of a URL of one of these posts."""
    of_posts = """EXISTS (SELECT FROM post_checks pc JOIN checks k ON k.id = pc.check_id
                          WHERE pc.post_id = ANY(CAST(:posts AS uuid[]))
                            AND k.workspace_id = f.workspace_id AND k.url = f.url)"""
    return find(c, Content, "files f", equal(name=name) & where(_IS_STORED, of_posts, posts=list(posts)))


def find_names_of_checks(c: Connection, checks: Collection[UUID]) -> Mapping[UUID, str]:
    """Return the names of the thumbnails that these checks have, by check."""
    sql = f"SELECT check_id, name FROM files f WHERE check_id = ANY(CAST(:checks AS uuid[])) AND {_IS_STORED}"
    return {one.check_id: one.name for one in rows(c, sql, checks=list(checks))}


_MEDIA = f"""pc.post_id, f.name, k.purpose = 'video' AS is_video, CAST(k.facts ->> 'duration' AS float8) AS duration,
             count(*) OVER (PARTITION BY pc.post_id) AS media
    FROM post_checks pc JOIN checks k ON k.id = pc.check_id LEFT JOIN files f ON f.check_id = k.id AND {_IS_STORED}
    WHERE pc.post_id = ANY(CAST(:posts AS uuid[])) AND pc.position BETWEEN 0 AND {SPAN - 3}
    -- below are cover and music, above the media of single accounts
    ORDER BY pc.post_id, pc.position"""


def find_thumbnails(c: Connection, posts: Collection[UUID]) -> Mapping[UUID, Thumbnail]:
    """Return the first medium of each of these posts; posts that pin no check are left out."""
    found = read_all(c, Thumbnail, f"SELECT DISTINCT ON (pc.post_id) {_MEDIA}", posts=list(posts))
    return {one.post_id: one for one in found}


def find_thumbnails_of_post(c: Connection, post: UUID) -> Sequence[Thumbnail]:
    """Return the media of a post, in their order."""
    return read_all(c, Thumbnail, f"SELECT {_MEDIA}", posts=[post])
