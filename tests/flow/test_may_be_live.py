"""A post whose answer was lost: until its outcome is known, every reader says that it may be live."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

import pytest
import requests

from pipeline.actions import resolve
from pipeline.store.database import row
from tests.actors import TESTER
from tests.flow.ledger import caption, delivery, receipts, run_cli, slideshow
from tests.stack import Stack, until

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
UNSENT = re.compile(r"nothing was sent|not sent|tried again|retry", re.IGNORECASE)


def get(stack: Stack, path: str) -> dict[str, Any]:
    answer = requests.get(
        f"{stack.api}/api/partner/v1/{path}", timeout=30, headers={"Authorization": f"Bearer {stack.key}"}
    )
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def read_last_look(stack: Stack, post: str) -> dict[str, Any] | None:
    with stack.context.database.once() as c:
        found = row(
            c, "SELECT error -> 'last_look' AS look FROM deliveries WHERE post_id = :id", id=UUID(post)
        )
    assert found is not None
    look: dict[str, Any] | None = found.look
    return look


def check_every_reader(stack: Stack, post: str) -> None:
    """Check the words of API and CLI about a delivery that is unknown, whatever its looks met."""
    identity = delivery(stack, post)
    [listed] = [one for one in get(stack, "posts?limit=100")["posts"] if one["id"] == post]
    shown = [one["accounts"]["states"][0] for one in (get(stack, f"posts/{post}"), listed)]
    [explained] = get(stack, f"posts/{post}/explain")["accounts"]
    for state in (*shown, explained):
        assert (state["state"], state["status"]) == ("unknown", "pending")
    for error in (*(state["error"] for state in shown), explained["evidence"]["error"]):
        assert (error["class"], error["retryable"]) == ("OutcomeUnknown", False)
        assert error["message"].startswith("It may be live.")
        assert re.search(rf"It is looked at again (now|at {TIME})\.$", error["message"])
        assert not UNSENT.search(error["message"])
    assert "it may be live" in explained["summary"]
    for words in (
        run_cli(stack, "post", "show", post),
        run_cli(stack, "delivery", "show", identity),
        run_cli(stack, "delivery", "list", "--state", "unknown", "--json"),
        run_cli(stack, "explain", post),
    ):
        assert "It may be live." in words or "it may be live" in words
        assert not UNSENT.search(words)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ({"fault": "5xx"}, "platform_unavailable"),
        ({"fault": "429", "retry_after": 1}, "rate_limited"),
        ({"fault": "token-revoked"}, "credentials_expired"),
        (None, "platform_unreachable"),
    ],
    ids=["5xx", "429", "401", "connection refused"],
)
def test_a_look_that_meets_an_outage_never_reads_as_the_posts_own_error(
    stack: Stack, fault: dict[str, Any] | None, found: str
) -> None:
    text = caption()
    stack.fault("tiktok", "finalize", "effect-then-drop")
    stack.fault("tiktok", "read", times=None, **(fault or {"fault": "5xx"}))  # its posts are listed
    post = stack.create_post(text, "tiktok", media=slideshow(stack))
    stack.await_state(post, "unknown")
    if fault is None:
        stack.kill("sandbox")
    try:
        until(
            lambda: (read_last_look(stack, post) or {}).get("code") == found,
            20,
            lambda: f"{stack.read(post)}: its last look is {read_last_look(stack, post)}",
        )
        check_every_reader(stack, post)
        assert receipts(stack, post) == []
    finally:
        if fault is None:
            stack.start_sandbox()
    stack.control("DELETE", "faults")
    settled = stack.await_state(post, "published", seconds=60)
    assert settled["error"] is None
    assert len(stack.live(text)) == 1
    until(lambda: [one["outcome"] for one in receipts(stack, post)] == ["published"] or None, 30)


def test_what_no_look_can_show_is_an_operators_question_as_soon_as_nothing_can_appear(stack: Stack) -> None:
    text = caption()
    stack.fault("linkedin", "finalize", "effect-then-drop")
    post = stack.create_post(text, "linkedin")
    stack.await_state(post, "unknown", "linkedin")
    look = until(lambda: read_last_look(stack, post), 30)
    assert look["code"] == "cannot_be_asked"
    [explained] = get(stack, f"posts/{post}/explain")["accounts"]
    if explained["state"] == "unknown":
        assert "cannot be asked" in explained["summary"]
        assert "is asked whether" not in str(explained["next_step"])
        assert explained["turn"] == "operator"
    identity = UUID(delivery(stack, post))
    asked = stack.await_state(post, "blocked", "linkedin", 30)  # its look_limit is an hour
    assert (asked["blocked_reason"], asked["error"]["retryable"]) == ("is_it_live", False)
    assert asked["error"]["message"].startswith("It may be live.")
    assert "cannot be asked" in asked["error"]["message"]
    assert json.loads(run_cli(stack, "explain", post, "--json"))["accounts"][0]["turn"] == "operator"
    resolve.publish_again(stack.context, TESTER, identity)
    stack.await_state(post, "published", "linkedin", 60)
    assert len(stack.live(text)) == 1, "LinkedIn knows a duplicate, and names the live post"
