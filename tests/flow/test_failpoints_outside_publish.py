"""Crash processes outside the publish stage: in delay, in maintenance, and in operators' commands."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.broker.queues import PUBLISH
from pipeline.store.database import row
from tests.crash_table import Crashes, get_points
from tests.flow.ledger import caption, end_cli, slideshow
from tests.flow.test_failpoints import crash_worker
from tests.stack import Stack, until

LONG_AGO = "updated_at = now() - interval '1 minute'"
UNHELD = """state = 'queued' OR
            state IN ('preparing', 'processing', 'unknown') AND lease_until > now() + interval '10 s'"""
BLOCKED = "state = 'blocked', "
DUE = "due_at = now(), next_at = now()"


def update_delivery(stack: Stack, post: str, assignments: str, where: str = "true") -> str | None:
    """Update the post's delivery if *where* holds; return its id, or None if it does not."""
    with stack.context.database.begin() as c:
        sql = f"UPDATE deliveries SET {assignments} WHERE post_id = :p AND ({where}) RETURNING id"  # noqa: S608
        found = row(c, sql, p=post)
    return None if found is None else str(found.id)


def create_scheduled(stack: Stack, text: str, **more: Any) -> str:
    """Create a post that is scheduled in an hour, and return it once it is scheduled."""
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    post = stack.create_post(text, "tiktok", media=slideshow(stack), scheduled_at=later, **more)
    stack.await_state(post, "scheduled")
    return post


def test_a_worker_that_dies_while_time_becomes_work_leaves_one_post(stack: Stack, crashes: Crashes) -> None:
    text, never = caption(), caption()
    expires = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    late = create_scheduled(stack, never, expires_at=expires, on_late="skip")

    def meanwhile(post: str) -> None:
        update_delivery(stack, post, LONG_AGO, UNHELD)
        if crashes.has_reached("delay.released") and crashes.has_reached("delay.looks-rung"):
            with stack.context.database.begin() as c:
                row(
                    c,
                    "UPDATE posts SET expires_at = now() - interval '1 s' WHERE id = :p RETURNING id",
                    p=late,
                )
            update_delivery(stack, late, "next_at = now()")

    post = crash_worker(stack, "publish", crashes, lambda: stack.create_post(text, "tiktok"), meanwhile)
    _assert_posted_once(stack, post, text)
    stack.await_status(late, "failed", 60)
    assert stack.live(never) == []


def test_an_upkeep_that_dies_while_it_helps_leaves_one_post(stack: Stack, crashes: Crashes) -> None:
    text, back = caption(), caption()
    again, dropped = create_scheduled(stack, back), create_scheduled(stack, text)
    held = f"state = 'publishing', fence = fence + 1, lease_until = now() - interval '1 second', {DUE}"
    blocked = f"{BLOCKED} reason = 'reconnect', {DUE}"

    def meanwhile(_: str) -> None:
        """Arrange one crash after the other: in parallel, one would prevent another."""
        if not crashes.has_reached("rescue.moved"):
            update_delivery(stack, dropped, held, "state IN ('scheduled', 'queued')")
        elif not crashes.has_reached("rescue.found"):
            update_delivery(stack, dropped, "lease_until = now() - interval '1 s'", "state = 'queued'")
        else:
            update_delivery(stack, again, blocked, "state = 'scheduled' AND due_at > now()")

    stack.kill("publish")  # or it publishes what a crash is still to be arranged for
    crash_worker(stack, "upkeep", crashes, lambda: dropped, meanwhile)
    stack.start_worker("publish")
    for post, words in ((dropped, text), (again, back)):
        _assert_posted_once(stack, post, words)


COMMANDS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "decide.again": (
        ("delivery", "decide", "--again"),
        "state = 'blocked', reason = 'is_it_live', armed_at = now()",
    ),
    "decide.resumed": (("delivery", "resume"), "state = 'blocked', reason = 'person_needed'"),
    "steering.worked": (("dead-letter", "replay"), "state = 'failed'"),
}
"""Failpoint -> the command that crashes there, and the state of its delivery."""


@pytest.mark.parametrize("point", get_points("whose_command_dies_after_the_commit_is_heard"))
def test_a_person_whose_command_dies_after_the_commit_is_heard(
    stack: Stack, point: str, crashes: Crashes
) -> None:
    words, state = COMMANDS[point]
    text = caption()
    post = create_scheduled(stack, text)
    with stack.context.database.begin() as c:
        row(c, "UPDATE posts SET due_at = now() WHERE id = :p RETURNING id", p=post)
    delivery = update_delivery(stack, post, f"{state}, {DUE}")
    assert delivery
    environment = {**stack.environment, **crashes.arm()}
    assert end_cli(environment, stack.folder, *words, delivery)[0] == -signal.SIGKILL
    stack.await_status(post, "posted", 60)
    assert len(stack.live(text)) == 1


def test_a_worker_that_dies_with_a_handful_leaves_one_post_of_each(stack: Stack, crashes: Crashes) -> None:
    texts = [caption() for _ in range(2)]
    posts = [create_scheduled(stack, text) for text in texts]
    stack.kill("publish")
    stack.start_worker("publish", None, 8, **crashes.arm())
    queued = f"state = 'queued', lease_until = now() + interval '5 minutes', {DUE}"
    handful = [[update_delivery(stack, post, queued), 0] for post in posts]
    queue = next(q for p, q in PUBLISH.items() if p == "tiktok")
    stack.context.dispatcher._app.send_task("publish.step", args=["tiktok", handful], queue=queue)
    until(lambda: stack.parts["publish"].poll() is not None, 60)
    for post in posts:
        assert update_delivery(stack, post, "lease_until = now()", "state = 'publishing'"), (
            "both were claimed"
        )
    stack.start_worker("publish")
    for post in posts:
        stack.await_status(post, "posted", 90)
    assert [len(stack.live(text)) for text in texts] == [1, 1]


def _assert_posted_once(stack: Stack, post: str, text: str) -> None:
    """Wait until the post is posted, and assert that it is live once."""

    def posted() -> bool:
        update_delivery(stack, post, LONG_AGO, UNHELD)
        return bool(stack.read(post)["status"] == "posted")

    until(posted, 90, lambda: str(stack.read(post)))
    assert len(stack.live(text)) == 1
