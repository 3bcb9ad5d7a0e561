"""All platforms are down for some seconds: that costs lateness, and no post."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.store.database import row
from tests.flow.ledger import caption, states_of
from tests.stack import Stack, until

TRIES = 6
"""Claims of a delivery during the outage: more than ``publish.tries``."""
EVERY = [platform.value for platform in Platform]


def count_claims(stack: Stack, post: str, platform: str) -> int:
    with stack.context.database.once() as c:
        found = row(
            c,
            """SELECT count(*) AS n FROM moves m JOIN deliveries d ON d.id = m.delivery_id
               WHERE d.post_id = :post AND d.platform = :platform AND m.target = 'publishing'""",
            post=UUID(post),
            platform=platform,
        )
    assert found is not None
    return int(found.n)


def count_breakers(stack: Stack) -> int:
    with stack.context.database.once() as c:
        found = row(c, "SELECT count(*) AS n FROM platform_health WHERE opened_at IS NOT NULL")
    assert found is not None
    return int(found.n)


def test_posts_of_an_outage_of_all_platforms_are_live_once_after_it(stack: Stack) -> None:
    """A post that is due in it is tried more often than its tries; one that was prepared before it waits un-armed."""
    text = caption()
    # warm: an earlier post gives every platform's media checks and a sign of life
    stack.await_status(stack.create_post(caption(), *EVERY), "posted", 90)
    ahead = stack.create_post(
        f"{text} ahead", *EVERY, scheduled_at=(datetime.now(UTC) + timedelta(seconds=33)).isoformat()
    )
    for platform in EVERY:
        stack.fault(platform, "any", "5xx", times=None)
    posts = [stack.create_post(f"{text} {n}", *EVERY) for n in range(2)]
    until(lambda: all(count_claims(stack, posts[0], p) >= TRIES for p in EVERY), 90)
    until(lambda: all(stack.state(ahead, p)["state"] == "retrying" for p in EVERY), 60)
    stack.control("DELETE", "faults")
    for post in (ahead, *posts):
        stack.await_status(post, "posted", 90)
        assert "unknown" not in states_of(stack, post), "nothing was armed in the outage"
        assert len(stack.live(f"{text} {'ahead' if post == ahead else posts.index(post)}")) == len(EVERY)
    assert count_breakers(stack) == 0


@pytest.mark.parametrize("platform", ["facebook"])
def test_an_outage_that_outlasts_the_patience_is_a_dead_letter_that_is_replayed(
    stack: Stack, platform: str
) -> None:
    text = caption()
    stack.fault(platform, "any", "5xx", times=None)
    post = stack.create_post(text, platform)
    stack.await_state(post, "retrying", platform)
    with stack.context.database.begin() as c:  # patience is measured from the first failure
        row(
            c,
            """UPDATE deliveries SET unavailable_since = jsonb_build_object('platform', now() - interval '7 hours')
               WHERE post_id = :id AND unavailable_since IS NOT NULL RETURNING id""",
            id=UUID(post),
        )
    failed = stack.await_state(post, "failed", platform)
    assert failed["error"]["code"] == "platform_outage"
    stack.control("DELETE", "faults")
    command = ["dead-letter", "replay", "--code", "platform_outage", "--yes"]
    subprocess.run([sys.executable, "-m", "pipeline.cli", *command], env=stack.environment, check=True)
    stack.await_status(post, "posted", 60)
    assert len(stack.live(text)) == 1
