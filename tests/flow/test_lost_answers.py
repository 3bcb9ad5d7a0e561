"""Answers that are lost, late, or ask to wait: a look finds the post, which is never sent twice."""

from __future__ import annotations

from uuid import UUID

import pytest

from pipeline.store.database import row
from tests.flow.ledger import caption, states_of
from tests.stack import Stack


@pytest.mark.parametrize("platform", ["tiktok", "instagram"])
@pytest.mark.parametrize("fault", ["effect-then-drop", "effect-then-5xx", "effect-then-garbage"])
def test_a_lost_answer_after_the_effect_is_found_not_repeated(
    stack: Stack, platform: str, fault: str
) -> None:
    text = caption()
    stack.fault(platform, "finalize", fault)
    post = stack.create_post(text, platform)
    stack.await_status(post, "posted")
    assert len(stack.live(text)) == 1
    assert "unknown" in states_of(stack, post)


@pytest.mark.parametrize("platform", ["tiktok", "instagram"])
def test_a_lost_answer_without_an_effect_is_tried_again_once_absence_is_proven(
    stack: Stack, platform: str
) -> None:
    text = caption()
    stack.fault(platform, "finalize", "drop")
    post = stack.create_post(text, platform)
    stack.await_status(post, "posted", 60)
    assert len(stack.live(text)) == 1
    assert {"unknown", "retrying"} <= states_of(stack, post)


def test_a_bare_429_to_tiktoks_last_chunk_is_looked_at_since_upload_urls_have_no_envelope(
    stack: Stack,
) -> None:
    text = caption()
    stack.fault("tiktok", "finalize", "429", retry_after=3)
    post = stack.create_post(text, "tiktok")
    stack.await_status(post, "posted", 90)
    assert len(stack.live(text)) == 1
    assert "unknown" in states_of(stack, post)


@pytest.mark.parametrize("platform", ["instagram"])
def test_429_waits_as_long_as_it_says_and_costs_no_attempt(stack: Stack, platform: str) -> None:
    text = caption()
    stack.fault(platform, "finalize", "429", retry_after=3)
    post = stack.create_post(text, platform)
    stack.await_status(post, "posted", 90)
    assert len(stack.live(text)) == 1
    assert "retrying" in states_of(stack, post)
    with stack.context.database.begin() as c:
        found = row(c, "SELECT spent FROM deliveries WHERE post_id = :id", id=UUID(post))
    assert found is not None
    assert found.spent == 1  # the one that went through
