"""Our own storage of files goes away under a running system: posts wait, none fails, and each goes live once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from adapters.contract import Platform
from pipeline.store.database import row
from tests.flow.ledger import caption
from tests.flow.test_files import sample, upload
from tests.pipeline.media.bucket import BucketServer, serving_stoppable_bucket
from tests.stack import Stack, until

PARTS = ("publish", "reachability", "api")


@contextmanager
def folder_away(stack: Stack) -> Iterator[None]:
    folder = stack.context.settings.files_folder
    other = folder.with_name("files-away")
    folder.rename(other)
    try:
        yield
    finally:
        assert not folder.exists(), "nothing was written in its place"
        other.rename(folder)


def restart(stack: Stack, **environment: str) -> None:
    """Start the parts that use the storage again, with these variables."""
    for part in PARTS:
        stack.kill(part)
    before, stack.environment = stack.environment, stack.environment | environment
    stack.start_worker("publish")
    stack.start_worker("reachability")
    stack.start_api()
    stack.environment = before


def has_met_faults(stack: Stack, post: str) -> bool:
    """Return True if the deliveries of a post have met as many faults of the storage as there are tries."""
    with stack.context.database.begin() as c:
        found = row(
            c,
            """SELECT count(*) AS n FROM moves m JOIN deliveries d ON d.id = m.delivery_id
               WHERE d.post_id = :post AND m.why LIKE 'StorageFault%'""",
            post=post,
        )
    return found is not None and found.n >= stack.context.settings.publish.tries


def require_live_once(stack: Stack, text: str, *platforms: str) -> None:
    assert Counter(line["platform"] for line in stack.live(text)) == Counter(platforms)


def require_no_try_spent(stack: Stack, post: str) -> None:
    """Require that each delivery has spent the one try that published it."""
    with stack.context.database.begin() as c:
        found = row(c, "SELECT max(spent) AS most FROM deliveries WHERE post_id = :post", post=post)
    assert found is not None
    assert found.most == 1


def run_outage(stack: Stack, away: AbstractContextManager[None]) -> None:
    """Take the storage away while posts become due and new ones are sent; require that each goes live once."""
    video = sample(stack, "sample.mp4")
    urls = [upload(stack, "video/mp4", video) for _ in range(3)]
    due = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    before, checked, late = caption(), caption(), caption()
    # accepted before the outage, and due in it; its facts are known, and so are those of the second
    first = stack.create_post(before, *Platform, media={"type": "video", "url": urls[0]}, scheduled_at=due)
    known = stack.create_post(
        caption(), Platform.YOUTUBE, media={"type": "video", "url": urls[1]}, scheduled_at=due
    )
    assert stack.read(known)["status"] == "scheduled"
    with away:
        move_due_now(stack, first)
        second = stack.create_post(checked, Platform.YOUTUBE, media={"type": "video", "url": urls[1]})
        third = stack.create_post(late, Platform.YOUTUBE, media={"type": "video", "url": urls[2]})
        for post in (first, second):
            until(partial(has_met_faults, stack, post), 60)
        state = until(
            lambda: s if (s := stack.state(second, "youtube"))["held_for"] == "storage" else None, 20
        )
        assert state["error"]["fault"] == "us"
        assert stack.read(third)["status"] != "failed"
        assert [stack.live(text) for text in (before, checked, late)] == [[], [], []]
    for post, text, platforms in (
        (first, before, tuple(Platform)),
        (second, checked, (Platform.YOUTUBE,)),
        (third, late, (Platform.YOUTUBE,)),
    ):
        stack.await_status(post, "posted", 100)
        require_live_once(stack, text, *platforms)
        require_no_try_spent(stack, post)


def move_due_now(stack: Stack, post: str) -> None:
    with stack.context.database.begin() as c:
        row(c, "UPDATE posts SET due_at = now() WHERE id = :id RETURNING id", id=post)
        row(
            c,
            "UPDATE deliveries SET due_at = now(), next_at = now() WHERE post_id = :id RETURNING id",
            id=post,
        )


def test_posts_outlast_a_folder_that_is_away(stack: Stack) -> None:
    run_outage(stack, folder_away(stack))


@pytest.fixture
def bucket(stack: Stack) -> Iterator[BucketServer]:
    """Run the parts that use the storage on a bucket; afterwards on the folder again."""
    with serving_stoppable_bucket() as (server, settings):
        restart(stack, **settings)
        yield server
    restart(stack)


def test_posts_outlast_a_bucket_that_is_away(stack: Stack, bucket: BucketServer) -> None:
    @contextmanager
    def away() -> Iterator[None]:
        bucket.stop()
        try:
            yield
        finally:
            bucket.start()

    run_outage(stack, away())
