"""Crash workers before, during and after the visible call of first comments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pipeline.store.database import rows
from tests.flow.ledger import caption
from tests.fork_server_client import ForkServer
from tests.proof.scenario import ONE_PER_MESSAGE, CrashScenario
from tests.stack import Stack, until

COMMENTED = tuple(f"{name}: video" for name in ("instagram", "facebook", "youtube", "linkedin organization"))
_COMMENTS = """SELECT d.id, d.account_id, d.state, d.reason, d.looks,
                      (SELECT count(*) FROM attempts a WHERE a.delivery_id = d.id AND a.armed_at IS NOT NULL) AS armed
               FROM deliveries d WHERE d.post_id = :post AND d.is_comment"""
_EXPIRE_LOOKING = """UPDATE deliveries SET working_since = working_since - interval '3 hours', next_at = now()
                     WHERE id IN (SELECT id FROM deliveries WHERE post_id = :post AND is_comment
                                    AND state = 'unknown' ORDER BY id FOR UPDATE) RETURNING id"""


class CommentScenario(CrashScenario):
    """A live post of four accounts, and the deliveries of its comments, which no worker has touched."""

    words: str
    post_id: UUID

    def post_and_comment(self) -> Mapping[str, UUID]:
        """Publish a post, have its comments added while no publish worker runs, and return their deliveries."""
        self.ensure_workers("upkeep")
        self.stack.kill("upkeep")
        self.start()
        self.words = caption()
        post = self.stack.create_post(caption(), *COMMENTED, first_comment=self.words)
        self.stack.await_status(post, "posted", 60)
        self.post_id = UUID(post)
        self.stack.kill("publish")
        self.ensure_workers()
        until(lambda: len(self.list_comments()) == len(COMMENTED), 60)
        by_account = {account: target for target, account in self.accounts.items()}
        return {by_account[c.account_id]: c.id for c in self.list_comments()}

    def list_comments(self) -> list[Any]:
        """Return the deliveries of the comments."""
        with self.stack.context.database.begin() as c:
            return rows(c, _COMMENTS, post=self.post_id)

    def count_live(self) -> Mapping[str, int]:
        """Count the comments that are live, by platform."""
        lines = [line["platform"] for line in self.stack.live(self.words) if line["kind"] == "comment"]
        return {platform: lines.count(platform) for platform in sorted(set(lines))}

    def await_states(self, *expected: tuple[str, str | None]) -> None:
        """Wait until each comment has one of these states and reasons, with the time to look used up meanwhile."""

        def is_over() -> bool:
            with self.stack.context.database.begin() as c:
                rows(c, _EXPIRE_LOOKING, post=self.post_id)
            return all((c.state, c.reason) in expected for c in self.list_comments())

        until(is_over, 90, lambda: str(self.list_comments()))


@pytest.fixture
def comments(stack: Stack, tmp_path: Path, fork_server: ForkServer) -> CommentScenario:
    stack.control("DELETE", "faults")
    scenario = CommentScenario(stack=stack, folder=tmp_path, fork_server=fork_server)
    scenario.connect()
    return scenario


ONCE = dict.fromkeys(("facebook", "instagram", "linkedin", "youtube"), 1)


def test_a_comment_is_sent_once_after_crashes_around_its_call(comments: CommentScenario) -> None:
    mine = comments.post_and_comment()
    comments.crash_workers("publish.claimed", "publish.prepared", "publish.answered", subjects=mine)
    assert all(crashed == set(COMMENTED) for crashed in comments.crashed.values())
    comments.start()
    comments.await_states(("published", None))
    assert comments.count_live() == ONCE
    assert [c.armed for c in comments.list_comments()] == [1] * len(COMMENTED)


def test_a_comment_whose_answer_is_lost_is_found(comments: CommentScenario) -> None:
    mine = comments.post_and_comment()
    for platform in ONCE:
        comments.stack.fault(platform, "comment", "effect-then-drop")
    comments.crash_workers("publish.raised", "status.looked", subjects=mine, settings=ONE_PER_MESSAGE)
    comments.start()
    comments.await_states(("published", None))
    assert comments.count_live() == ONCE


def test_an_armed_comment_that_nobody_can_prove_absent_is_left_and_never_sent(
    comments: CommentScenario,
) -> None:
    mine = comments.post_and_comment()
    comments.crash_workers("publish.armed", subjects=mine)
    comments.start()
    comments.await_states(("blocked", "is_it_live"))
    assert comments.count_live() == {}
    assert comments.stack.read(str(comments.post_id))["status"] == "posted"
