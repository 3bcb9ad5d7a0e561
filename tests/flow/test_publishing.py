"""Publish posts end to end, and assert on the sandbox's ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.contract import Platform
from tests.flow.ledger import caption, receipts, slideshow, urls
from tests.stack import Stack, until


def parse_time(text: str) -> datetime:
    """Parse a time of the API or of the ledger."""
    return datetime.fromisoformat(text)


def test_a_video_goes_live_once_on_both_platforms(stack: Stack) -> None:
    text = caption()
    post = stack.await_status(stack.create_post(text, "tiktok", "instagram"), "posted")
    live = stack.live(text)
    assert sorted(line["platform"] for line in live) == ["instagram", "tiktok"]
    wanted = {line["platform"]: line["url"] for line in live}  # TikTok returns the URL after its moderation
    until(
        lambda: urls(stack.read(post["id"])) == wanted or None, 40, lambda: f"{urls(stack.read(post['id']))}"
    )
    await_receipts(stack, post["id"], live)


def await_receipts(stack: Stack, post: str, live: list[dict[str, Any]]) -> None:
    """Wait until each account's last receipt names the post in the sandbox's ledger."""
    there = {line["platform"]: ("published", line["remote_id"], line["url"]) for line in live}

    def read_outcomes() -> dict[str, tuple[str, str, str]]:
        return {r["platform"]: (r["outcome"], r["remote_id"], r["url"]) for r in receipts(stack, post)}

    until(lambda: read_outcomes() == there, 40, lambda: f"{read_outcomes()} of {there}")


def test_a_video_goes_live_once_on_all_six_platforms(stack: Stack) -> None:
    text = caption()
    post = stack.create_post(text, *Platform)
    stack.await_status(post, "posted", 100)
    assert sorted(line["platform"] for line in stack.live(text)) == sorted(Platform)


def test_a_slideshow_goes_live_once_wherever_there_are_slideshows(stack: Stack) -> None:
    text = caption()
    platforms = [platform for platform in Platform if platform is not Platform.YOUTUBE]
    stack.await_status(stack.create_post(text, *platforms, media=slideshow(stack, 3)), "posted", 100)
    assert sorted(line["platform"] for line in stack.live(text)) == sorted(platforms)


def test_a_slideshow_becomes_a_carousel_and_photos(stack: Stack) -> None:
    text = caption()
    stack.await_status(stack.create_post(text, "tiktok", "instagram", media=slideshow(stack, 3)), "posted")
    assert {line["platform"]: line["kind"] for line in stack.live(text)} == {
        "instagram": "carousel",
        "tiktok": "photos",
    }


def test_texts_links_and_documents_go_live_once_where_they_are_taken(stack: Stack) -> None:
    text, carded, paged = caption(), caption(), caption()
    link = {"link": "https://example.com/jobs"}
    document = {"type": "document", "url": stack.media("sample.pdf"), "title": "Catalogue"}
    posts = [
        stack.create_post(text, "linkedin", "facebook", media={"type": "text"}),
        stack.create_post(
            carded, "linkedin", "facebook", media={"type": "text"}, linkedin=link, facebook=link
        ),
        stack.create_post(paged, "linkedin", media=document),
    ]
    for post in posts:
        stack.await_status(post, "posted", 100)
    kinds = [{line["platform"]: line["kind"] for line in stack.live(one)} for one in (text, carded, paged)]
    assert kinds == [
        {"linkedin": "text", "facebook": "text"},
        {"linkedin": "article", "facebook": "text"},
        {"linkedin": "document"},
    ]
    assert [len(stack.live(one)) for one in (text, carded, paged)] == [2, 2, 1]


def test_a_large_video_goes_up_in_chunks(stack: Stack) -> None:
    text = caption()
    media = {"type": "video", "url": stack.media("sample-large.mp4")}
    stack.await_status(stack.create_post(text, "tiktok", media=media), "posted")
    assert len(stack.live(text)) == 1


def test_a_draft_lands_in_the_inbox(stack: Stack) -> None:
    text = caption()
    post = stack.create_post(text, "tiktok", media=slideshow(stack), tiktok={"post_mode": "MEDIA_UPLOAD"})
    state = stack.await_state(post, "published")
    assert state["published_url"] is None
    assert state["delivered_as"] == "inbox_draft"
    assert [line["kind"] for line in stack.live(text)] == ["draft"]


def test_a_scheduled_post_is_never_early_and_hardly_late(stack: Stack) -> None:
    text = caption()
    # 30 s or less counts as immediate, and accepting takes a while, most of all where others start their systems
    due = datetime.now(UTC) + timedelta(seconds=60)
    answer = stack.post(
        caption=text,
        media={"type": "video", "url": stack.media("sample.mp4")},
        accounts=[{"id": str(stack.accounts[p])} for p in ("tiktok", "instagram")],
        scheduled_at=due.isoformat(),
    )
    # read a moment later it may be pending: it is prepared before it is due
    assert answer.json()["data"]["status"] == "scheduled", answer.text
    stack.await_status(answer.json()["data"]["id"], "posted", 95)
    ledger = [parse_time(line["at"]) for line in stack.live(text)]
    assert len(ledger) == 2
    assert all(due <= at <= due + timedelta(seconds=15) for at in ledger), (due, ledger)


def test_one_platform_failing_makes_the_post_partial(stack: Stack) -> None:
    text = caption()
    stack.fault("instagram", "prepare", "fail-processing", times=None, reason="2207026")
    post = stack.await_status(stack.create_post(text, "tiktok", "instagram"), "partial", 60)
    states = {s["platform"]: s for s in post["accounts"]["states"]}
    assert states["tiktok"]["status"] == "posted"
    assert states["instagram"]["status"] == "failed"
    assert states["instagram"]["error_message"]
    assert [line["platform"] for line in stack.live(text)] == ["tiktok"]


def test_media_that_is_not_there_is_refused_and_nothing_is_stored(stack: Stack) -> None:
    answer = stack.post(
        caption=caption(),
        media={"type": "video", "url": stack.media("nothing.mp4")},
        accounts=[{"id": str(stack.accounts["tiktok"])}],
    )
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "media_unreachable"
    assert "nothing.mp4" in answer.json()["message"]
    assert "404" in answer.json()["message"]


def test_a_post_of_the_command_line_goes_live_once(stack: Stack) -> None:
    text = caption()
    words = (
        "--workspace",
        str(stack.workspace),
        "--account",
        str(stack.accounts["tiktok"]),
        "--caption",
        text,
    )
    made = run_slipway(stack, "post", "create", *words, "--video", stack.media("sample.mp4"), "--json")
    stack.await_status(json.loads(made)["id"], "posted")
    assert [line["platform"] for line in stack.live(text)] == ["tiktok"]
    again = run_slipway(stack, "post", "create", *words, "--video", stack.media("sample.mp4"), "--json")
    assert json.loads(again)["duplicate"] is True


def run_slipway(stack: Stack, *words: str) -> str:
    """Run a command as an operator does; return its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *words],
        env=stack.environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout
