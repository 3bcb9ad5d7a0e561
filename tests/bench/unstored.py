"""Second reference of `POST /posts`: the same server without the storing statement.

The key is looked up, the body parsed and validated; clock, replays, accounts and checks are read; the rows are built.
Left out are the transfer of the rows, the daily quota (part of that statement) and the COMMIT. For benchmarks only: it
answers 201 and stores nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from pipeline.api.app import create_app
from pipeline.domain.neighbours import Neighbour
from pipeline.store.posts import insert_batch as group
from pipeline.store.posts.insert_batch import NewPost

STORING = group.store_posts  # fails at import if the name changes, so that the reference never stores


def _unstored(
    _c: Connection, posts: Sequence[NewPost], _window: object, days: Sequence[object], _gaps: object
) -> tuple[set[UUID], list[int], dict[tuple[int, UUID], list[Neighbour]]]:
    return {post.id for post in posts}, [0] * len(days), {}


group.store_posts = _unstored  # type: ignore[assignment]
app = create_app()
