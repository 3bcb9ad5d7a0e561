"""A post's whole way, and what happens to it when the platforms or our own processes misbehave. The ledger judges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis

from pipeline.stages import decide
from pipeline.store.database import row
from tests.conftest import Engines
from tests.stack import Stack, until


def caption() -> str:
    """A text no other test uses."""
    return f"flow {uuid4().hex[:12]}"


def slideshow(stack: Stack, n: int = 2) -> dict[str, Any]:
    """A slideshow of the sandbox's samples."""
    return {"type": "slideshow", "urls": [stack.media(f"sample-{i + 1}.jpg") for i in range(n)]}


def moment(text: str) -> datetime:
    """A time of ours or of the ledger's."""
    return datetime.fromisoformat(text)


def test_a_video_goes_live_once_on_both_platforms(stack: Stack) -> None:
    text = caption()
    post = stack.becomes(stack.accepted(text, "tiktok", "instagram"), "posted")
    live = stack.live(text)
    assert sorted(line["platform"] for line in live) == ["instagram", "tiktok"]
    wanted = {line["platform"]: line["url"] for line in live}  # TikTok tells the address after its moderation
    until(lambda: _urls(stack.read(post["id"])) == wanted or None, 40, lambda: f"{_urls(stack.read(post['id']))}")


def test_a_slideshow_becomes_a_carousel_and_photos(stack: Stack) -> None:
    text = caption()
    stack.becomes(stack.accepted(text, "tiktok", "instagram", media=slideshow(stack, 3)), "posted")
    assert {line["platform"]: line["kind"] for line in stack.live(text)} == {
        "instagram": "carousel",
        "tiktok": "photos",
    }


def test_a_large_video_goes_up_in_chunks(stack: Stack) -> None:
    text = caption()
    media = {"type": "video", "url": stack.media("sample-large.mp4")}
    stack.becomes(stack.accepted(text, "tiktok", media=media), "posted")
    assert len(stack.live(text)) == 1


def test_a_draft_lands_in_the_inbox(stack: Stack) -> None:
    text = caption()
    post = stack.accepted(text, "tiktok", media=slideshow(stack), tiktok={"post_mode": "MEDIA_UPLOAD"})
    state = stack.reaches(post, "published")
    assert state["published_url"] is None
    assert state["delivered_as"] == "inbox_draft"
    assert [line["kind"] for line in stack.live(text)] == ["draft"]


def test_a_scheduled_post_is_never_early_and_hardly_late(stack: Stack) -> None:
    text = caption()
    due = datetime.now(UTC) + timedelta(seconds=32)
    post = stack.accepted(text, "tiktok", "instagram", scheduled_at=due.isoformat())
    assert stack.read(post)["status"] == "scheduled"
    stack.becomes(post, "posted", 60)
    ledger = [moment(line["at"]) for line in stack.live(text)]
    assert len(ledger) == 2
    assert all(due <= at <= due + timedelta(seconds=15) for at in ledger), (due, ledger)


@pytest.mark.parametrize("platform", ["tiktok", "instagram"])
@pytest.mark.parametrize("fault", ["effect-then-drop", "effect-then-5xx", "effect-then-garbage"])
def test_a_lost_answer_after_the_effect_is_found_not_repeated(stack: Stack, platform: str, fault: str) -> None:
    text = caption()
    stack.fault(platform, "finalize", fault)
    post = stack.accepted(text, platform)
    stack.becomes(post, "posted")
    assert len(stack.live(text)) == 1
    assert "unknown" in _states_of(stack, post)


@pytest.mark.parametrize("platform", ["tiktok", "instagram"])
def test_a_lost_answer_without_an_effect_is_tried_again_once_absence_is_proven(stack: Stack, platform: str) -> None:
    text = caption()
    stack.fault(platform, "finalize", "drop")
    post = stack.accepted(text, platform)
    stack.becomes(post, "posted", 60)
    assert len(stack.live(text)) == 1
    assert {"unknown", "retrying"} <= _states_of(stack, post)


@pytest.mark.parametrize("platform", ["tiktok", "instagram"])
def test_429_waits_as_long_as_it_says_and_costs_no_attempt(stack: Stack, platform: str) -> None:
    text = caption()
    stack.fault(platform, "finalize", "429", retry_after=3)
    post = stack.accepted(text, platform)
    stack.becomes(post, "posted", 90)
    assert len(stack.live(text)) == 1
    assert "retrying" in _states_of(stack, post)
    with stack.core.database.begin() as c:
        found = row(c, "SELECT spent FROM deliveries WHERE post_id = :id", id=UUID(post))
    assert found is not None
    assert found.spent == 1  # the one that went through


@pytest.mark.parametrize("gap", ["publish.claimed", "publish.prepared", "publish.checkpointed"])
def test_a_worker_killed_before_arm_leaves_nothing_sent_and_nothing_lost(
    stack: Stack, gap: str, tmp_path: Path
) -> None:
    _killed_at(stack, gap, tmp_path)


@pytest.mark.parametrize("platform", ["tiktok", "instagram"])
@pytest.mark.parametrize("gap", ["publish.armed", "publish.answered", "publish.settling"])
def test_a_worker_killed_after_arm_leaves_a_look_never_a_second_post(
    stack: Stack, gap: str, platform: str, tmp_path: Path
) -> None:
    post = _killed_at(stack, gap, tmp_path, platform)
    assert "unknown" in _states_of(stack, post)


def test_a_flushed_broker_loses_nothing(stack: Stack, engines: Engines) -> None:
    texts = [caption() for _ in range(5)]
    due = (datetime.now(UTC) + timedelta(seconds=32)).isoformat()
    posts = [stack.accepted(text, "instagram", scheduled_at=due) for text in texts]
    client = redis.Redis(unix_socket_path=engines.valkey.url.removeprefix("redis+socket://").partition("?")[0])
    client.flushall()
    for post in posts:
        stack.becomes(post, "posted", 70)
    client.flushall()
    for text in texts:
        assert len(stack.live(text)) == 1


def test_one_platform_failing_makes_the_post_partial(stack: Stack) -> None:
    text = caption()
    stack.fault("instagram", "prepare", "fail-processing", times=None, reason="2207026")
    post = stack.becomes(stack.accepted(text, "tiktok", "instagram"), "partial", 60)
    states = {s["platform"]: s for s in post["accounts"]["states"]}
    assert states["tiktok"]["status"] == "posted"
    assert states["instagram"]["status"] == "failed"
    assert states["instagram"]["error_message"]
    assert [line["platform"] for line in stack.live(text)] == ["tiktok"]


def test_revoked_while_unknown_and_connected_again(stack: Stack) -> None:
    text = caption()
    stack.fault("instagram", "finalize", "effect-then-drop")
    post = stack.accepted(text, "instagram")
    stack.reaches(post, "unknown", "instagram")
    stack.fault("instagram", "look", "token-revoked", times=None)
    until(lambda: _account(stack, "instagram").status == "reconnect" or None, 30)
    assert stack.state(post, "instagram")["state"] == "unknown"
    stack.control("DELETE", "faults")
    stack.reconnect("instagram")
    stack.reaches(post, "published", "instagram")
    assert len(stack.live(text)) == 1


def test_revoked_before_publishing_waits_and_goes_on(stack: Stack) -> None:
    text = caption()
    stack.tokens("tiktok", "revoked")
    post = stack.accepted(text, "tiktok")
    stack.reaches(post, "blocked")
    assert stack.read(post)["status"] == "retry"
    assert stack.live(text) == []
    stack.reconnect("tiktok")
    stack.reaches(post, "published", seconds=60)
    assert len(stack.live(text)) == 1


def test_an_expired_token_is_refreshed_once_and_goes_on(stack: Stack) -> None:
    text = caption()
    stack.tokens("tiktok", "expired")
    stack.reaches(stack.accepted(text, "tiktok"), "published", seconds=60)
    assert len(stack.live(text)) == 1


def test_a_person_says_publish_again(stack: Stack) -> None:
    text = caption()
    stack.fault("tiktok", "finalize", "drop")
    stack.fault("tiktok", "look", "5xx", times=None)
    post = stack.accepted(text, "tiktok", media=slideshow(stack))
    state = stack.reaches(post, "unknown")
    decide.publish_again(stack.core, UUID(_delivery(stack, post)))
    stack.control("DELETE", "faults")
    assert state["status"] == "pending"
    stack.reaches(post, "published")
    assert len(stack.live(text)) == 1


def test_a_person_says_it_is_live(stack: Stack) -> None:
    text = caption()
    stack.fault("tiktok", "finalize", "effect-then-drop")
    stack.fault("tiktok", "look", "5xx", times=None)
    post = stack.accepted(text, "tiktok", media=slideshow(stack))
    stack.reaches(post, "unknown")
    decide.it_is_live(stack.core, UUID(_delivery(stack, post)), "https://www.tiktok.com/@someone/photo/1")
    assert stack.state(post, "tiktok")["published_url"] == "https://www.tiktok.com/@someone/photo/1"
    with pytest.raises(decide.CannotDecide):
        decide.publish_again(stack.core, UUID(_delivery(stack, post)))
    until(lambda: len(stack.live(text)) == 1 or None, 10)


def test_media_that_is_not_there_is_refused_and_nothing_is_stored(stack: Stack) -> None:
    answer = stack.post(
        caption=caption(), media={"type": "video", "url": stack.media("nothing.mp4")},
        accounts=[{"id": str(stack.accounts["tiktok"])}],
    )  # fmt: skip
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "media_unreachable"
    assert "nothing.mp4" in answer.json()["message"]
    assert "404" in answer.json()["message"]


def _urls(post: dict[str, Any]) -> dict[str, str | None]:
    return {s["platform"]: s["published_url"] for s in post["accounts"]["states"]}


def _killed_at(stack: Stack, gap: str, tmp_path: Path, platform: str = "tiktok") -> str:
    """Publishes with a worker that dies at this point once; another takes over."""
    text = caption()
    once = tmp_path / "once"
    stack.kill("publish")
    stack.start_worker("publish", FAILPOINTS=f"{gap}=kill@{once}")
    media = {"type": "video", "url": stack.media("sample.mp4")}
    post = stack.accepted(text, platform, media=media)
    until(lambda: stack.parts["publish"].poll() is not None or None, 30)
    assert once.exists()
    stack.start_worker("publish")
    stack.becomes(post, "posted", 90)
    assert len(stack.live(text)) == 1
    return post


def _delivery(stack: Stack, post: str) -> str:
    with stack.core.database.begin() as c:
        found = row(c, "SELECT id FROM deliveries WHERE post_id = :id", id=UUID(post))
    assert found is not None
    return str(found.id)


def _states_of(stack: Stack, post: str) -> set[str]:
    """Every state its deliveries were ever in."""
    with stack.core.database.begin() as c:
        found = row(
            c,
            """SELECT array_agg(DISTINCT m.target) AS states FROM moves m JOIN deliveries d ON d.id = m.delivery_id
               WHERE d.post_id = :id""",
            id=UUID(post),
        )
    assert found is not None
    return set(found.states)


def _account(stack: Stack, platform: str) -> Any:
    with stack.core.database.begin() as c:
        return row(c, "SELECT status FROM accounts WHERE id = :id", id=stack.accounts[platform])


