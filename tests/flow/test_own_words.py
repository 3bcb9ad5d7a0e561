"""Two accounts of one post get different words, media and times, as the sandbox's ledger shows."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.domain.level import LEVEL
from pipeline.store.database import rows
from tests.flow.ledger import caption, receipts, slideshow
from tests.flow.test_levels import read_levels, send
from tests.stack import Stack, until

POSTS = "/api/partner/v1/posts"


def post(stack: Stack, text: str, own: dict[str, dict[str, Any]], **more: Any) -> str:
    """Create a post to these accounts, each with what is its own."""
    accounts = [{"id": str(stack.accounts[name]), **one} for name, one in own.items()]
    media = {"type": "video", "url": stack.media("sample.mp4")}
    answer = stack.post(caption=text, media=media, accounts=accounts, **more)
    assert answer.status_code == 201, answer.text
    identity: str = answer.json()["data"]["id"]
    return identity


def test_each_account_gets_its_own_words_media_and_time(stack: Stack) -> None:
    text, other = caption(), caption()
    soon = datetime.now(UTC) + timedelta(seconds=40)
    own: dict[str, dict[str, Any]] = {
        "facebook": {},
        "instagram": {
            "caption": other,
            "media": slideshow(stack, 2),
            "instagram": {"location_id": "112"},
            "scheduled_at": soon.isoformat(),
        },
        "youtube": {"youtube": {"title": "A mug", "privacy": "unlisted"}},
    }
    made = post(stack, text, own)
    stack.await_state(made, "published", "facebook", 100)
    stack.await_state(made, "published", "youtube", 100)
    assert stack.live(other) == [], "not before its time"
    waiting = stack.state(made, "instagram")
    assert (waiting["status"], waiting["caption"]) == ("scheduled", other)
    assert stack.read(made)["status"] == "scheduled"
    stack.await_status(made, "posted", 100)
    [instagram] = stack.live(other)
    assert (instagram["platform"], instagram["extra"]["location_id"]) == ("instagram", "112")
    assert datetime.fromisoformat(instagram["at"]) >= soon
    others = {line["platform"]: line for line in stack.live(text)}
    assert "facebook" in others
    titled = [line for line in stack.ledger() if line["platform"] == "youtube" and line["caption"] == "A mug"]
    assert text in titled[-1]["extra"]["description"]
    until(lambda: len(receipts(stack, made)) == 3 or None, 60)
    found = {one["platform"]: one for one in receipts(stack, made)}
    assert found["instagram"]["content_sha256"] != found["facebook"]["content_sha256"]
    assert found["facebook"]["content_sha256"] == found["youtube"]["content_sha256"]


def test_an_edit_of_one_account_is_what_goes_live_there(stack: Stack) -> None:
    text, old, new = caption(), caption(), caption()
    soon = (datetime.now(UTC) + timedelta(seconds=45)).isoformat()
    made = post(stack, text, {"facebook": {}, "youtube": {"caption": old}}, scheduled_at=soon)
    accounts = [
        {"id": str(stack.accounts["facebook"])},
        {"id": str(stack.accounts["youtube"]), "caption": new},
    ]
    edited = send(stack, "PATCH", f"{stack.api}{POSTS}/{made}", accounts=accounts)
    assert edited.status_code == 200, edited.text
    stack.await_status(made, "posted", 120)
    assert stack.live(old) == []
    assert [line["platform"] for line in stack.live(new)] == ["youtube"]
    assert [line["platform"] for line in stack.live(text)] == ["facebook"]


@pytest.fixture
def older_worker(stack: Stack) -> Iterator[None]:
    """The only worker that publishes is of the level before; afterwards a current one runs again."""
    stack.kill("publish", signal.SIGTERM)
    stack.start_worker("publish", SLIPWAY_LEVEL="3")
    with stack.context.database.begin() as c:  # as if the current one had ended a minute ago
        rows(c, "UPDATE canaries SET level_at = now() - interval '2 minutes' RETURNING queue")
    until(lambda: read_levels(stack) == {3}, 60)
    yield
    stack.kill("publish", signal.SIGTERM)
    stack.start_worker("publish")
    until(lambda: read_levels(stack) == {LEVEL}, 60)


@pytest.mark.usefixtures("older_worker")
def test_an_older_worker_leaves_a_post_with_own_words(stack: Stack) -> None:
    text, other, plain = caption(), caption(), caption()
    made = post(stack, text, {"facebook": {}, "youtube": {"caption": other}})
    stack.await_status(stack.create_post(plain, "youtube"), "posted", 100)
    for platform in ("facebook", "youtube"):
        seen = stack.state(made, platform)
        assert (seen["state"], seen["held_for"]) == ("scheduled", "newer_worker")
    assert stack.live(text) == stack.live(other) == []
    stack.start_worker("publish", "publish-current")  # next to the older one, as in a rolling upgrade
    try:
        stack.await_status(made, "posted", 100)
    finally:
        stack.kill("publish-current", signal.SIGTERM)
    assert [line["platform"] for line in stack.live(other)] == ["youtube"]
    assert [line["platform"] for line in stack.live(text)] == ["facebook"]
