"""An older worker or server delays a post that it does not understand, and never sends or stores it wrong."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from pipeline.actions.attention import list_attention
from pipeline.actions.diagnose import diagnose
from pipeline.domain.attention import Kind
from pipeline.domain.level import LEVEL
from pipeline.store.database import row, rows
from tests.conftest import free_ports
from tests.flow.ledger import caption, delivery
from tests.forked_program import API
from tests.stack import Stack, is_answering, until

NEWER_POST: dict[str, Any] = {
    "youtube": {"privacy": "private"},
    "linkedin": {"visibility": "CONNECTIONS"},
    "ai_generated": True,
}
POSTS = "/api/partner/v1/posts"


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


def explain(stack: Stack, post: str) -> dict[str, Any]:
    answer = requests.get(
        f"{stack.api}{POSTS}/{post}/explain", headers={"Authorization": f"Bearer {stack.key}"}, timeout=60
    )
    found: dict[str, Any] = answer.json()["data"]["accounts"][0]
    return found


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
    text, plain = caption(), caption()
    newer = [
        stack.create_post(text, "youtube", youtube={"privacy": "private"}),
        stack.create_post(text, "linkedin", linkedin={"visibility": "CONNECTIONS"}),
    ]
    stack.await_status(stack.create_post(plain, "youtube"), "posted")
    assert len(stack.live(plain)) == 1
    for post, platform in zip(newer, ("youtube", "linkedin"), strict=True):
        seen = stack.state(post, platform)
        assert (seen["state"], seen["held_for"], seen["next_at"]) == ("scheduled", "newer_worker", None)
        words = explain(stack, post)
        assert words["held_for"] == "newer_worker"
        assert words["summary"].startswith("No running worker understands all of its post: it needs level 2")
        assert words["action"]["text"] == "Ask the operator of this server to upgrade its workers."
        assert count_moves(stack, post) == 0, "no worker took it up in vain"
    with stack.context.database.begin() as c:
        listed = list_attention(c, timedelta(minutes=2))
    assert {item.matter.platform for item in listed if item.matter.kind is Kind.NEWER_WORKER} == {
        "youtube",
        "linkedin",
    }
    [youtube] = [one for one in diagnose(stack.context) if one.part == "workers" and "youtube" in one.says]
    assert (youtube.result, youtube.command) == ("fail", "slipway worker publish")
    assert stack.live(text) == []
    stack.start_worker("publish", "publish-current")  # next to the older one, as in a rolling upgrade
    try:
        for post in newer:
            stack.await_status(post, "posted", 100)
    finally:
        stack.kill("publish-current", signal.SIGTERM)
    live = {line["platform"]: line["extra"] for line in stack.live(text)}
    assert len(stack.live(text)) == len(live) == 2
    assert live["youtube"]["privacy"] == "private"
    assert live["linkedin"]["body"]["visibility"] == "CONNECTIONS"


@pytest.fixture
def older_api(stack: Stack) -> Iterator[str]:
    """The origin of a server of an older level next to the current one."""
    [port] = free_ports(1)
    stack.start("older-api", *API, SLIPWAY_API__PORT=str(port), SLIPWAY_API__PROCESSES="1", SLIPWAY_LEVEL="1")
    origin = f"http://127.0.0.1:{port}"
    until(lambda: is_answering(f"{origin}/healthz"), 60)
    yield origin
    stack.kill("older-api")


def send(stack: Stack, method: str, url: str, **body: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {stack.key}"}
    return requests.request(method, url, json=body or None, headers=headers, timeout=60)


def test_an_older_server_reads_and_cancels_a_newer_post_and_does_not_edit_it(
    stack: Stack, older_api: str
) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    newer = stack.create_post(caption(), "youtube", "linkedin", scheduled_at=later, **NEWER_POST)
    plain = stack.create_post(caption(), "youtube", scheduled_at=later)
    before = stack.read(newer)
    for change in ({"caption": "another"}, {"scheduled_at": later}, {"youtube": None}):
        answer = send(stack, "PATCH", f"{older_api}{POSTS}/{newer}", **change)
        assert (answer.status_code, answer.json()["error_code"]) == (409, "newer_version")
        assert "level 3; this server has level 1" in answer.json()["message"]
    answer = send(stack, "PATCH", f"{older_api}{POSTS}/{plain}", ai_generated=True)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "newer_version")
    assert stack.read(newer) == before
    assert send(stack, "GET", f"{older_api}{POSTS}/{newer}").json()["data"] == before
    assert send(stack, "PATCH", f"{older_api}{POSTS}/{plain}", caption=caption()).status_code == 200
    lowered = send(
        stack, "PATCH", f"{stack.api}{POSTS}/{newer}", youtube=None, linkedin=None, ai_generated=False
    )
    assert lowered.status_code == 200, lowered.text
    assert send(stack, "PATCH", f"{older_api}{POSTS}/{newer}", caption=caption()).status_code == 200
    raised = send(stack, "PATCH", f"{stack.api}{POSTS}/{newer}", youtube={"privacy": "private"})
    assert raised.status_code == 200, raised.text
    assert send(stack, "PATCH", f"{older_api}{POSTS}/{newer}", caption=caption()).status_code == 409
    cancelled = send(stack, "POST", f"{older_api}{POSTS}/cancel", post_ids=[newer, plain])
    assert cancelled.json()["data"]["canceled"] == 2
