"""Insert posts into the store as ingest leaves them, thousands in seconds, and make them due at one moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import UUID

from pipeline.media.probe.probe import probe
from pipeline.store.checks import checks
from pipeline.store.database import new_id, row, rows
from pipeline.store.posts.insert_batch import NewDelivery, NewPost, store_posts
from tests.bench.figures import InvalidMeasurement
from tests.stack import Stack

BATCH = 500
PHOTO = "sample-1.jpg"
"""The one file of every post."""
WARM_UP = "warm-up"
POLL = 0.3
"""Seconds between two polls of the progress; the measured times are those that the system records."""


def store_check(stack: Stack) -> UUID:
    """Store a good check of the photo, with the facts of a real probe, and return its id."""
    url = stack.media(PHOTO)
    probed = probe(stack.context.fetcher, url, "image")
    with stack.context.database.begin() as c:
        known = checks.find_good(c, [(stack.workspace, "image", url)], timedelta(minutes=10))
        [(check, _)] = known.values() or [(checks.open_check(c, stack.workspace, "image", url), None)]
        if not known:
            checks.decide_check(c, check.id, "good", facts=asdict(probed.facts), seen="ok")
    return check.id


def connect_accounts(stack: Stack, number: int, platform: str = "tiktok") -> list[UUID]:
    """Connect sandbox accounts and return their ids."""
    return [stack.connect(platform, f"{platform}{n}") for n in range(number)]


def create_posts(
    stack: Stack,
    mine: Sequence[UUID],
    due: Sequence[datetime],
    *,
    word: str,
    lead: timedelta | None = None,
) -> None:
    """Insert one scheduled photo per due time, captions ``word 0``, ``word 1`` …, over the TikTok accounts in turn.

    *lead*: how long before its due time a post may be prepared; None: not before.
    """
    check = store_check(stack)
    for first in range(0, len(due), BATCH):
        posts = [
            _post(stack, mine[n % len(mine)], at, f"{word} {n}", check, lead or timedelta(0))
            for n, at in enumerate(due[first : first + BATCH], first)
        ]
        with stack.context.database.begin() as c:
            store_posts(c, posts, timedelta(0))


def _post(stack: Stack, account: UUID, due: datetime, caption: str, check: UUID, lead: timedelta) -> NewPost:
    delivery = NewDelivery(
        id=new_id(), account_id=account, platform="tiktok", state="scheduled", next_at=due - lead
    )
    return NewPost(
        id=new_id(),
        workspace_id=stack.workspace,
        key_id=None,
        caption=caption,
        media={"type": "slideshow", "urls": [stack.media(PHOTO)]},
        music_url=None,
        options={},
        due_at=due,
        expires_at=None,
        on_late="publish",
        external_id=None,
        replay_token=None,
        fingerprint=b"",
        checks={0: check},
        deliveries=[delivery],
    )


def warm_up(stack: Stack) -> None:
    """Publish one post, so that no worker is cold when measuring starts."""
    with stack.context.database.once() as c:
        now: datetime = rows(c, "SELECT now() AS now")[0].now
    create_posts(stack, connect_accounts(stack, 1), [now], word=WARM_UP)
    await_published(stack, WARM_UP, 1, 60)


def make_due(stack: Stack, after: timedelta) -> datetime:
    """Make all scheduled posts due *after* from now by the database's clock; return that time."""
    with stack.context.database.begin() as c:
        rows(
            c, "UPDATE posts SET due_at = now() + :after WHERE status = 'scheduled' RETURNING 1", after=after
        )
        found = rows(
            c,
            """UPDATE deliveries SET due_at = now() + :after, next_at = now() + :after
               WHERE state = 'scheduled' RETURNING due_at""",
            after=after,
        )
    with stack.context.database.once() as c:  # what autovacuum does within a minute on a running system
        c.exec_driver_sql("VACUUM (ANALYZE) posts, deliveries")
    due: datetime = found[0].due_at
    return due


def await_published(stack: Stack, word: str, number: int, seconds: float) -> None:
    """Wait until all posts of this word are published. Raises InvalidMeasurement on a failure or timeout."""
    end = time.monotonic() + seconds
    while (found := _states(stack, word)).get("published", 0) < number:
        if found.get("failed", 0) or found.get("blocked", 0):
            raise InvalidMeasurement(f"Not all of {word!r} were published: {found}; {_read_error(stack)}")
        if time.monotonic() > end:
            raise InvalidMeasurement(f"Not all of {word!r} were published in {seconds:g} s: {found}")
        time.sleep(POLL)


def _states(stack: Stack, word: str) -> dict[str, int]:
    with stack.context.database.once() as c:
        found = rows(
            c,
            """SELECT d.state, count(*) AS n FROM deliveries d JOIN posts p ON p.id = d.post_id
               WHERE starts_with(p.caption, :word) GROUP BY d.state""",
            word=word,
        )
    return {str(r.state): int(r.n) for r in found}


def _read_error(stack: Stack) -> str:
    with stack.context.database.once() as c:
        seen = row(
            c, "SELECT error->>'message' AS said FROM deliveries WHERE state IN ('failed', 'blocked') LIMIT 1"
        )
    return str(seen.said) if seen else "no error recorded"
