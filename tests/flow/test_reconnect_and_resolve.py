"""Revoked and renewed tokens, and decisions by a person."""

from __future__ import annotations

from uuid import UUID

import pytest

from pipeline.actions import resolve as decide
from tests.actors import TESTER
from tests.flow.ledger import account, caption, delivery, slideshow
from tests.stack import Stack, until


def test_revoked_while_unknown_and_connected_again(stack: Stack) -> None:
    text = caption()
    stack.fault("instagram", "finalize", "effect-then-drop")
    post = stack.create_post(text, "instagram")
    stack.await_state(post, "unknown", "instagram")
    stack.fault("instagram", "look", "token-revoked", times=None)
    until(lambda: account(stack, "instagram").status == "reconnect" or None, 30)
    assert stack.state(post, "instagram")["state"] == "unknown"
    stack.control("DELETE", "faults")
    stack.reconnect("instagram")
    stack.await_state(post, "published", "instagram")
    assert len(stack.live(text)) == 1


def test_revoked_before_publishing_waits_and_goes_on(stack: Stack) -> None:
    text = caption()
    stack.set_tokens("tiktok", "revoked")
    post = stack.create_post(text, "tiktok")
    stack.await_state(post, "blocked")
    assert stack.read(post)["status"] == "retry"
    assert stack.live(text) == []
    stack.reconnect("tiktok")
    stack.await_state(post, "published", seconds=60)
    assert len(stack.live(text)) == 1


def test_an_expired_token_is_refreshed_once_and_goes_on(stack: Stack) -> None:
    text = caption()
    stack.set_tokens("tiktok", "expired")
    stack.await_state(stack.create_post(text, "tiktok"), "published", seconds=60)
    assert len(stack.live(text)) == 1


def test_a_person_says_publish_again(stack: Stack) -> None:
    text = caption()
    stack.fault("tiktok", "finalize", "drop")
    stack.fault("tiktok", "look", "5xx", times=None)
    post = stack.create_post(text, "tiktok", media=slideshow(stack))
    state = stack.await_state(post, "unknown")
    with pytest.raises(decide.CannotResolve, match="may still appear"):
        decide.publish_again(stack.context, TESTER, UUID(delivery(stack, post)))
    until(lambda: _publish_again(stack, post) or None, 60)
    stack.control("DELETE", "faults")
    assert state["status"] == "pending"
    stack.await_state(post, "published")
    assert len(stack.live(text)) == 1


def _publish_again(stack: Stack, post: str) -> bool:
    try:
        decide.publish_again(stack.context, TESTER, UUID(delivery(stack, post)))
    except decide.CannotResolve as error:
        assert "may still appear" in str(error)  # noqa: PT017  any other refusal fails the test
        return False
    return True


def test_a_person_says_it_is_live(stack: Stack) -> None:
    text = caption()
    stack.fault("tiktok", "finalize", "effect-then-drop")
    stack.fault("tiktok", "look", "5xx", times=None)
    post = stack.create_post(text, "tiktok", media=slideshow(stack))
    stack.await_state(post, "unknown")
    decide.confirm_live(
        stack.context, TESTER, UUID(delivery(stack, post)), "https://www.tiktok.com/@someone/photo/1"
    )
    assert stack.state(post, "tiktok")["published_url"] == "https://www.tiktok.com/@someone/photo/1"
    with pytest.raises(decide.CannotResolve):
        decide.publish_again(stack.context, TESTER, UUID(delivery(stack, post)))
    until(lambda: len(stack.live(text)) == 1 or None, 10)
