"""First comments: what an account says below its post once that is live, sent once and never in doubt again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.flow.ledger import caption, slideshow
from tests.flow.test_refusals import REFUSALS
from tests.stack import Stack, until

PLATFORMS = ("instagram", "facebook", "youtube", "linkedin")


@pytest.fixture(autouse=True)
def organization(stack: Stack) -> None:
    """Connect a LinkedIn organization: comments of members cannot be read back."""
    options = {"kind": "organization", "partner": True}
    stack.accounts["linkedin"] = stack.connect("linkedin", f"{stack.owner}c", options=options)


def list_comments(stack: Stack, text: str) -> list[dict[str, Any]]:
    """Return the comments in the sandbox's ledger that say this."""
    return [line for line in stack.live(text) if line["kind"] == "comment"]


def await_comment(stack: Stack, post: str, platform: str, *statuses: str) -> dict[str, Any]:
    """Return the comment of an account once it has one of these statuses."""

    def find() -> dict[str, Any] | None:
        found: dict[str, Any] = stack.state(post, platform)["first_comment"]
        return found if found["status"] in statuses else None

    return until(find, 90)


def test_each_platform_that_has_comments_gets_one_below_its_post_though_an_answer_is_lost(
    stack: Stack,
) -> None:
    """Facebook's account has one of its own; that of Instagram is found, and not sent again."""
    text, words, own = caption(), caption(), caption()
    stack.fault("instagram", "comment", "effect-then-drop")
    more = {"first_comment": words, "media": {"type": "video", "url": stack.media("sample.mp4")}}
    accounts = [{"id": str(stack.accounts[p])} for p in PLATFORMS]
    accounts[PLATFORMS.index("facebook")]["first_comment"] = own
    answer = stack.post(caption=text, accounts=accounts, **more)
    assert answer.status_code == 201, answer.text
    post = answer.json()["data"]["id"]
    stack.await_status(post, "posted", 100)
    for platform in PLATFORMS:
        found = await_comment(stack, post, platform, "posted", "failed")
        assert (found["status"], found["error"]) == ("posted", None), platform
    assert stack.read(post)["accounts"]["total"] == len(PLATFORMS)
    live = {line["platform"]: line for line in stack.live(text) if line["kind"] != "comment"}
    comments = list_comments(stack, words)
    assert sorted(line["platform"] for line in comments) == ["instagram", "linkedin", "youtube"]
    comments += list_comments(stack, own)
    assert sorted(line["platform"] for line in comments) == sorted(PLATFORMS)
    assert {line["extra"]["on"] for line in comments} == {line["remote_id"] for line in live.values()}


def test_a_refused_comment_leaves_its_post_posted(stack: Stack) -> None:
    status, body = REFUSALS["facebook"]
    stack.fault("facebook", "comment", "answer", status=status, body=json.dumps(body))
    post = stack.create_post(caption(), "facebook", first_comment="Hello")
    found = await_comment(stack, post, "facebook", "failed")
    assert found["error"]["code"] == "blocked_by_policy"
    state = stack.state(post, "facebook")
    assert (stack.read(post)["status"], state["status"], state["error"]) == ("posted", "posted", None)


def test_accounts_without_comments_are_refused_by_name(stack: Stack) -> None:
    answer = stack.post(
        caption=caption(),
        media=slideshow(stack, 1),
        accounts=[{"id": str(stack.accounts[p])} for p in ("tiktok", "pinterest", "facebook")],
        first_comment="Hello",
    )
    assert answer.status_code == 400
    message = answer.json()["message"]
    assert "TikTok takes no first comment" in message
    assert "Pinterest takes no first comment" in message
    assert "Facebook" not in message
