"""An older worker or server delays a post that it does not understand, and never sends or stores it wrong."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.domain.level import LEVEL
from pipeline.store.database import row, rows
from tests.conftest import free_ports
from tests.flow.ledger import ask, caption, delivery
from tests.forked_program import API
from tests.stack import Stack, is_answering, until

NEWER_POST: dict[str, Any] = {
    "youtube": {"privacy": "private"},
    "linkedin": {"visibility": "CONNECTIONS"},
    "ai_generated": True,
}


@pytest.fixture
def older_worker(stack: Stack) -> Iterator[None]:
    """The only worker that publishes is of an older level; afterwards a current one runs again."""
    stack.kill("publish", signal.SIGTERM)
    stack.start_worker("publish", SLIPWAY_LEVEL="1")
    with stack.context.database.begin() as c:  # as if the current one had ended a minute ago
        rows(c, "UPDATE canaries SET level_at = now() - interval '2 minutes' RETURNING queue")
    until(lambda: read_levels(stack) == {1}, 60)
    yield
    stack.kill("publish", signal.SIGTERM)
    stack.start_worker("publish")
    until(lambda: read_levels(stack) == {LEVEL}, 60)


def read_levels(stack: Stack) -> set[int]:
    with stack.context.database.begin() as c:
        found = rows(
            c, "SELECT level FROM canaries WHERE queue LIKE 'publish.%' OR queue IN ('delay', 'status')"
        )
    return {r.level for r in found}


def create_own_words(stack: Stack, own: str) -> str:
    """Create a post of an account that has words of its own, which needs a higher level still."""
    answer = stack.post(
        caption=caption(),
        media={"type": "video", "url": stack.media("sample.mp4")},
        accounts=[{"id": str(stack.accounts["facebook"]), "caption": own}],
    )
    assert answer.status_code == 201, answer.text
    identity: str = answer.json()["data"]["id"]
    return identity


def count_moves(stack: Stack, post: str) -> int:
    """Count the moves that the release, or a worker, made."""
    with stack.context.database.begin() as c:
        found = row(
            c,
            "SELECT count(*) AS n FROM moves WHERE delivery_id = :id AND mover NOT IN ('ingest', 'reachability')",
            id=delivery(stack, post),
        )
    assert found is not None
    n: int = found.n
    return n


@pytest.mark.usefixtures("older_worker")
def test_an_older_worker_leaves_a_newer_post_and_a_current_one_sends_it_once(stack: Stack) -> None:
    text, own, plain = caption(), caption(), caption()
    newer = {
        "youtube": stack.create_post(text, "youtube", youtube={"privacy": "private"}),
        "linkedin": stack.create_post(text, "linkedin", linkedin={"visibility": "CONNECTIONS"}),
        "facebook": create_own_words(stack, own),
    }
    stack.await_status(stack.create_post(plain, "youtube"), "posted")
    assert len(stack.live(plain)) == 1
    for platform, post in newer.items():
        seen = stack.state(post, platform)
        assert (seen["state"], seen["held_for"], seen["next_at"]) == ("scheduled", "newer_worker", None)
        assert count_moves(stack, post) == 0, "no worker took it up in vain"
    assert stack.live(text) == stack.live(own) == []
    stack.start_worker("publish", "publish-current")  # next to the older one, as in a rolling upgrade
    try:
        for post in newer.values():
            stack.await_status(post, "posted", 100)
    finally:
        stack.kill("publish-current", signal.SIGTERM)
    live = {line["platform"]: line["extra"] for line in stack.live(text)}
    assert len(stack.live(text)) == len(live) == 2
    assert live["youtube"]["privacy"] == "private"
    assert live["linkedin"]["body"]["visibility"] == "CONNECTIONS"
    assert [line["platform"] for line in stack.live(own)] == ["facebook"]


@pytest.fixture
def older_api(stack: Stack) -> Iterator[str]:
    """The origin of a server of an older level next to the current one."""
    [port] = free_ports(1)
    stack.start("older-api", *API, SLIPWAY_API__PORT=str(port), SLIPWAY_API__PROCESSES="1", SLIPWAY_LEVEL="1")
    origin = f"http://127.0.0.1:{port}"
    until(lambda: is_answering(f"{origin}/healthz"), 60)
    yield origin
    stack.kill("older-api")


def test_an_older_server_reads_and_cancels_a_newer_post_and_does_not_edit_it(
    stack: Stack, older_api: str
) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    newer = stack.create_post(caption(), "youtube", "linkedin", scheduled_at=later, **NEWER_POST)
    plain = stack.create_post(caption(), "youtube", scheduled_at=later)
    before = stack.read(newer)
    for change in ({"caption": "another"}, {"scheduled_at": later}, {"youtube": None}):
        answer = ask(stack, "PATCH", f"/posts/{newer}", change, older_api)
        assert (answer.status_code, answer.json()["error_code"]) == (409, "newer_version")
        assert "level 3; this server has level 1" in answer.json()["message"]
    answer = ask(stack, "PATCH", f"/posts/{plain}", {"ai_generated": True}, older_api)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "newer_version")
    assert stack.read(newer) == before
    assert ask(stack, "GET", f"/posts/{newer}", origin=older_api).json()["data"] == before

    def edit_caption(post: str) -> int:
        return ask(stack, "PATCH", f"/posts/{post}", {"caption": caption()}, older_api).status_code

    assert edit_caption(plain) == 200
    lower: dict[str, Any] = {"youtube": None, "linkedin": None, "ai_generated": False}
    for edit, status in ((lower, 200), ({"youtube": {"privacy": "private"}}, 409)):
        changed = ask(stack, "PATCH", f"/posts/{newer}", edit)
        assert changed.status_code == 200, changed.text
        assert edit_caption(newer) == status
    cancelled = ask(stack, "POST", "/posts/cancel", {"post_ids": [newer, plain]}, older_api)
    assert cancelled.json()["data"]["canceled"] == 2
