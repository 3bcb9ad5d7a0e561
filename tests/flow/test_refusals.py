"""A platform refuses the visible call for good: one call, and its own sentence in API, CLI and receipts.

A refusal that does not prove that nothing was published is looked at first, and not sent again either.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

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
REFUSALS: dict[str, tuple[int, Any]] = {
    "facebook": (400, {"error": POLICY}),
    "pinterest": (400, {"code": 1, "message": f"{SENTENCE} {SIGNED} \x1b[31m"}),
}


@pytest.mark.parametrize("platform", REFUSALS)
def test_a_refusal_for_good_is_final_and_its_sentence_reaches_the_person(stack: Stack, platform: str) -> None:
    text, (status, body) = caption(), REFUSALS[platform]
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


def build_graph_error(code: int, subcode: int | None) -> str:
    error = {"message": "…", "code": code, "is_transient": True, "error_user_msg": SENTENCE}
    return json.dumps({"error": error | ({} if subcode is None else {"error_subcode": subcode})})


@pytest.mark.parametrize(
    ("platform", "code", "subcode", "reported"),
    [
        ("instagram", 4, 2207051, "blocked_by_policy"),
        ("instagram", 100, 2207081, "rejected"),
        ("instagram", 368, None, "blocked_by_policy"),
        ("facebook", 100, 1349125, "rejected"),
        ("facebook", 2, 1363047, "refused_for_now"),
        ("facebook", 1, 1609010, "refused_for_now"),
    ],
)
def test_a_refusal_that_proves_nothing_is_looked_at_and_not_sent_again(
    stack: Stack, platform: str, code: int, subcode: int | None, reported: str
) -> None:
    text = caption()
    body = build_graph_error(code, subcode)
    if reported == "rejected":
        body = body.replace('"is_transient": true', '"is_transient": false')
    stack.fault(platform, "finalize", "answer", times=1, status=400, body=body)
    post = stack.create_post(text, platform, media=slideshow(stack))
    error = stack.await_state(post, "failed", platform)["error"]
    name = str(code) if subcode is None else f"{code}/{subcode}"
    assert (error["code"], error["platform_code"]) == (reported, name)
    assert (error["platform_message"], error["fault"]) == (SENTENCE, "customer")
    assert error["next_action"]
    assert "unknown" in states_of(stack, post)
    assert "retrying" not in states_of(stack, post)
    assert stack.live(text) == [], "a second call would have gone through"


FORBIDDEN = "Accessing this image resource is forbidden. Please check your permissions for this resource"


@pytest.mark.parametrize("more", [{}, {"code": "ACCESS_DENIED", "serviceErrorCode": 100}])
def test_linkedins_forbidden_resource_is_retried_before_the_visible_call_only(
    stack: Stack, more: dict[str, Any]
) -> None:
    body = json.dumps({"status": 403, "message": FORBIDDEN, **more})
    text = caption()
    stack.fault("linkedin", "prepare", "answer", times=2, status=403, body=body)
    post = stack.create_post(text, "linkedin", media=slideshow(stack))
    stack.await_status(post, "posted", 60)
    assert "retrying" in states_of(stack, post)
    assert "blocked" not in states_of(stack, post), "the account keeps its connection"
    assert len(stack.live(text)) == 1

    text = caption()
    stack.fault("linkedin", "finalize", "answer", times=1, status=403, body=body)
    post = stack.create_post(text, "linkedin", media=slideshow(stack))
    error = stack.await_state(post, "unknown", "linkedin")["error"]
    assert error["code"] == "outcome_unknown"
    assert stack.live(text) == []
