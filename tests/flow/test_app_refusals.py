"""A platform refuses our app as a whole: it is paused with one alarm, nothing fails, and a lift resumes all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flow.ledger import caption, run_cli, slideshow, states_of
from tests.stack import Stack, until


@pytest.fixture(autouse=True)
def lift_all(stack: Stack) -> Iterator[None]:
    """Lift what a failed test left paused."""
    yield
    stack.control("DELETE", "faults")  # or a retry is refused, and pauses the platform again
    for pause in list_pauses(stack):
        run_cli(stack, "pause", "lift", pause["scope"], pause["target"])


def list_pauses(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run_cli(stack, "pause", "list", "--json") or "[]")
    return found


def count_alarms(stack: Stack, platform: str) -> int:
    wanted = f"ALARM publishing to {platform} is paused"
    return sum(log.read_text(errors="replace").count(wanted) for log in stack.folder.glob("*.log"))


def test_an_app_on_trial_pauses_pinterest_until_it_has_access(stack: Stack) -> None:
    before = count_alarms(stack, "pinterest")
    options = {"default_board": True, "trial": True}
    stack.accounts["pinterest"] = stack.connect("pinterest", stack.owner, options=options)
    texts = [caption() for _ in range(3)]
    posts = [stack.create_post(text, "pinterest", media=slideshow(stack)) for text in texts[:2]]
    until(lambda: any(stack.state(post, "pinterest")["error"] for post in posts), 40)
    posts.append(stack.create_post(texts[2], "pinterest", media=slideshow(stack)))
    [pause] = until(lambda: list_pauses(stack) or None, 30)
    assert (pause["scope"], pause["target"]) == ("platform", "pinterest")
    for word in ("trial access", "Apply for Standard access", "api-sandbox.pinterest.com"):
        assert word in pause["why"]
    assert count_alarms(stack, "pinterest") == before + 1
    refused = next(s for post in posts if (s := stack.state(post, "pinterest"))["error"])
    assert refused["status"] == "retry"
    assert refused["error"]["code"] == "app_on_trial"
    assert refused["error"]["fault"] == "us"
    assert "Apps with Trial access may not create Pins" in refused["error"]["platform_message"]

    stack.connect("pinterest", stack.owner, options={"default_board": True})
    run_cli(stack, "pause", "lift", "platform", "pinterest")
    for post, text in zip(posts, texts, strict=True):
        stack.await_status(post, "posted", 60)
        assert len(stack.live(text)) == 1
        assert not states_of(stack, post) & {"unknown", "failed", "blocked"}
    assert list_pauses(stack) == []


RETIRED: dict[str, tuple[str, int, Any]] = {
    "facebook": (
        "finalize",
        400,
        {"error": {"code": 2635, "message": "(#2635) You call a deprecated version"}},
    ),
    "linkedin": ("prepare", 426, {"status": 426, "code": "NONEXISTENT_VERSION", "message": "Not active"}),
}
"""What else is refused so, at which call: tests/adapters. What it does to posts: stages/test_app_refusals.py."""


@pytest.mark.parametrize("platform", RETIRED)
def test_a_retired_api_version_pauses_the_platform_and_fails_nothing(stack: Stack, platform: str) -> None:
    step, status, body = RETIRED[platform]
    before, text = count_alarms(stack, platform), caption()
    stack.fault(platform, step, "answer", times=None, status=status, body=json.dumps(body))
    post = stack.create_post(text, platform, media=slideshow(stack))
    [pause] = until(lambda: list_pauses(stack) or None, 60)
    assert (pause["scope"], pause["target"]) == ("platform", platform)
    assert f"SLIPWAY_{platform.upper()}__VERSION" in pause["why"]
    assert stack.await_state(post, "retrying", platform)["error"]["code"] == "api_version_retired"
    assert count_alarms(stack, platform) == before + 1
    stack.control("DELETE", "faults")
    run_cli(stack, "pause", "lift", "platform", platform)
    stack.await_status(post, "posted", 60)
    assert len(stack.live(text)) == 1
    assert not states_of(stack, post) & {"unknown", "failed", "blocked"}
