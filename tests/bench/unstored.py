"""The second reference of `POST /posts`: the same server up to its storing statement, which is left out whole.

The key is looked up, the body read and checked; clock, replays, accounts and checks are asked for; the rows are made
ready. Left out are the rows' way to the database, the question about the day's quota (a part of that statement), and
the COMMIT. Never to be served to anybody: it answers 201 and stores nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from pipeline.api.app import create_app
from pipeline.store.posts import insert_batch as group
from pipeline.store.posts.insert_batch import NewPost

STORING = group.store_posts  # an import that fails is better than a reference that stores after all


def _unstored(
    _c: Connection, posts: Sequence[NewPost], _window: object, days: Sequence[object]
) -> tuple[set[UUID], list[int]]:
    return {post.id for post in posts}, [0] * len(days)


group.store_posts = _unstored  # type: ignore[assignment]
app = create_app()
