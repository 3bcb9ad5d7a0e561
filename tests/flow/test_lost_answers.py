"""Answers that are lost: a look finds the post, which is never sent twice.

Until its outcome is known, every reader says that it may be live.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from pipeline.store.database import row
from tests.flow.ledger import ask, caption, delivery, receipts, run_cli, slideshow, states_of
from tests.stack import Stack, until

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
UNSENT = re.compile(r"nothing was sent|not sent|tried again|retry", re.IGNORECASE)


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

    def read(path: str) -> Any:
        return ask(stack, "GET", f"/posts{path}").json()["data"]

    identity = delivery(stack, post)
    [listed] = [one for one in read("?limit=100")["posts"] if one["id"] == post]
    shown = [one["accounts"]["states"][0] for one in (read(f"/{post}"), listed)]
    [explained] = read(f"/{post}/explain")["accounts"]
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


def test_a_lost_answer_after_the_effect_is_found_though_looks_fail_and_never_reads_as_unsent(
    stack: Stack,
) -> None:
    text = caption()
    stack.fault("tiktok", "finalize", "effect-then-drop")
    stack.fault("tiktok", "read", "5xx", times=None)  # its posts are listed
    post = stack.create_post(text, "tiktok", media=slideshow(stack))
    stack.await_state(post, "unknown")
    until(
        lambda: (read_last_look(stack, post) or {}).get("code") == "platform_unavailable",
        20,
        lambda: f"{stack.read(post)}: its last look is {read_last_look(stack, post)}",
    )
    check_every_reader(stack, post)
    assert receipts(stack, post) == []
    stack.control("DELETE", "faults")
    settled = stack.await_state(post, "published", seconds=60)
    assert settled["error"] is None
    assert len(stack.live(text)) == 1
    until(lambda: [one["outcome"] for one in receipts(stack, post)] == ["published"], 30)


def test_a_lost_answer_without_an_effect_is_tried_again_once_absence_is_proven(stack: Stack) -> None:
    text = caption()
    stack.fault("tiktok", "finalize", "drop")
    post = stack.create_post(text, "tiktok")
    stack.await_status(post, "posted", 60)
    assert len(stack.live(text)) == 1
    assert {"unknown", "retrying"} <= states_of(stack, post)
