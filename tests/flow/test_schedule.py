"""Scheduled posts go out on time whatever becomes of beat."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests

from tests.flow.ledger import caption, move_due_now
from tests.stack import Stack, until


@pytest.fixture
def beats(stack: Stack) -> Iterator[Stack]:
    """The stack, whose beat runs again after the test."""
    yield stack
    stack.kill("beat", signal.SIGKILL)
    stack.start_beat()


def publish_scheduled(stack: Stack) -> None:
    """Schedule a post an hour ahead, let the hour pass, and wait until the post is live: only the sweep can find it."""
    text, later = caption(), datetime.now(UTC) + timedelta(hours=1)
    post = stack.create_post(text, "tiktok", scheduled_at=later.isoformat())
    stack.await_status(post, "scheduled")
    move_due_now(stack, post)
    stack.await_status(post, "posted")
    assert len(stack.live(text)) == 1


def beat_runs(stack: Stack) -> bool:
    ready = requests.get(f"{stack.api}/readyz", timeout=60)
    assert ready.status_code == 200, "beat is no fault"
    runs: bool = ready.json()["data"]["parts"]["beat"]
    return runs


def test_posts_go_out_with_a_frozen_beat_with_none_and_with_one(beats: Stack) -> None:
    until(lambda: beat_runs(beats), 60)
    beats.kill("beat", signal.SIGSTOP, wait=False)
    publish_scheduled(beats)
    until(lambda: not beat_runs(beats), 60)
    beats.kill("beat", signal.SIGKILL)
    publish_scheduled(beats)
    beats.start_beat()
    until(lambda: beat_runs(beats), 60)
    publish_scheduled(beats)
