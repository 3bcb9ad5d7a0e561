"""A platform refuses the visible call for good: one call, and its own sentence in API, CLI and receipts.

A refusal that does not prove that nothing was published is looked at first, and not sent again either.
"""

from __future__ import annotations

import json
from typing import Any

from tests.flow.ledger import caption, delivery, receipts, run_cli, slideshow, states_of
from tests.stack import Stack, until

SENTENCE = "We blocked this link because it may lead to spam."
SIGNED = "https://cdn.example.com/v.jpg?X-Amz-Signature=abc"
POLICY = {
    "message": "(#368) blocked",
    "code": 368,
    "error_subcode": 98765,
    "is_transient": True,
    "error_user_title": "Link blocked",
    "error_user_msg": f"{SENTENCE} {SIGNED} \x1b[31m",
}
REFUSALS: dict[str, tuple[int, Any]] = {"facebook": (400, {"error": POLICY})}


def test_a_refusal_for_good_is_final_and_its_sentence_reaches_the_person(stack: Stack) -> None:
    platform, text = "facebook", caption()
    status, body = REFUSALS[platform]
    stack.fault(platform, "finalize", "answer", times=None, status=status, body=json.dumps(body))
    post = stack.create_post(text, platform, media=slideshow(stack))
    error = stack.await_state(post, "failed", platform)["error"]
    words = error["platform_message"]
    assert SENTENCE in words
    assert words.endswith("https://cdn.example.com/v.jpg?[redacted] [31m")
    assert SENTENCE not in error["message"]
    assert error["fault"] == "customer"
    assert not states_of(stack, post) & {"unknown", "retrying", "blocked"}, "it was sent once"
    assert stack.live(text) == []
    shown = run_cli(stack, "delivery", "show", delivery(stack, post))
    assert SENTENCE in " ".join(shown.split())
    [row] = json.loads(run_cli(stack, "post", "show", post, "--json"))["deliveries"]
    assert (row["error"], row["platform_message"]) == (error["message"], words)
    [receipt] = until(lambda: receipts(stack, post) or None, 30)
    assert (receipt["error_message"], receipt["platform_message"]) == (error["message"], words)


def test_a_refusal_that_proves_nothing_is_looked_at_and_not_sent_again(stack: Stack) -> None:
    """Facebook's other codes of this kind: tests/adapters/test_unproven_refusals.py."""
    text = caption()
    refusal = {"message": "…", "code": 2, "error_subcode": 1363047, "is_transient": True}
    body = json.dumps({"error": {**refusal, "error_user_msg": SENTENCE}})
    stack.fault("facebook", "finalize", "answer", times=1, status=400, body=body)
    post = stack.create_post(text, "facebook", media=slideshow(stack))
    error = stack.await_state(post, "failed", "facebook")["error"]
    assert (error["code"], error["platform_code"]) == ("refused_for_now", "2/1363047")
    assert (error["platform_message"], error["fault"]) == (SENTENCE, "customer")
    assert error["next_action"]
    assert "unknown" in states_of(stack, post)
    assert "retrying" not in states_of(stack, post)
    assert stack.live(text) == [], "a second call would have gone through"
