"""Accounts of one post get different words, media and times, as the sandbox's ledger shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.flow.ledger import ask, caption, receipts, slideshow
from tests.stack import Stack, until


def test_each_account_gets_its_own_words_media_and_time_and_the_newest_of_an_edit(stack: Stack) -> None:
    text, old, other = caption(), caption(), caption()
    soon = datetime.now(UTC) + timedelta(seconds=45)
    own: dict[str, dict[str, Any]] = {
        "facebook": {},
        "instagram": {
            "caption": old,
            "media": slideshow(stack, 2),
            "instagram": {"location_id": "112"},
            "scheduled_at": soon.isoformat(),
        },
        "youtube": {"youtube": {"title": "A mug", "privacy": "unlisted"}},
    }
    accounts = [{"id": str(stack.accounts[name]), **one} for name, one in own.items()]
    media = {"type": "video", "url": stack.media("sample.mp4")}
    answer = stack.post(caption=text, media=media, accounts=accounts)
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]["id"]
    stack.await_state(made, "published", "facebook", 100)
    stack.await_state(made, "published", "youtube", 100)
    assert stack.live(old) == [], "not before its time"
    waiting = stack.state(made, "instagram")
    assert (waiting["status"], waiting["caption"]) == ("scheduled", old)
    assert stack.read(made)["status"] == "scheduled"
    accounts[1]["caption"] = other
    edited = ask(stack, "PATCH", f"/posts/{made}", {"accounts": accounts})
    assert edited.status_code == 200, edited.text
    stack.await_status(made, "posted", 100)
    assert stack.live(old) == []
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
