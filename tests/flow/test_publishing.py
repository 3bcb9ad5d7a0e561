"""Publish posts end to end, and assert on the sandbox's ledger."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.flow.ledger import caption, receipts, run_cli
from tests.stack import Stack, until


def list_urls(post: dict[str, Any]) -> dict[str, str | None]:
    """Return platform -> published URL."""
    return {s["platform"]: s["published_url"] for s in post["accounts"]["states"]}


def test_a_video_goes_live_once_on_both_platforms(stack: Stack) -> None:
    text = caption()
    post = stack.await_status(stack.create_post(text, "tiktok", "instagram"), "posted")["id"]
    live = stack.live(text)
    assert sorted(line["platform"] for line in live) == ["instagram", "tiktok"]
    wanted = {line["platform"]: line["url"] for line in live}  # TikTok returns the URL after its moderation
    until(lambda: list_urls(stack.read(post)) == wanted, 40, lambda: f"{list_urls(stack.read(post))}")
    # each account's last receipt names the post in the sandbox's ledger
    there = {line["platform"]: ("published", line["remote_id"], line["url"]) for line in live}

    def read_outcomes() -> dict[str, tuple[str, str, str]]:
        return {r["platform"]: (r["outcome"], r["remote_id"], r["url"]) for r in receipts(stack, post)}

    until(lambda: read_outcomes() == there, 40, lambda: f"{read_outcomes()} of {there}")


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
    ledger = [datetime.fromisoformat(line["at"]) for line in stack.live(text)]
    assert len(ledger) == 2
    assert all(due <= at <= due + timedelta(seconds=15) for at in ledger), (due, ledger)


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
    whose = ("--workspace", str(stack.workspace), "--account", str(stack.accounts["tiktok"]))
    words = ("post", "create", *whose, "--caption", text, "--video", stack.media("sample.mp4"), "--json")
    stack.await_status(json.loads(run_cli(stack, *words))["id"], "posted")
    assert [line["platform"] for line in stack.live(text)] == ["tiktok"]
    assert json.loads(run_cli(stack, *words))["duplicate"] is True
