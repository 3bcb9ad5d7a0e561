"""Publish uploaded files: uploaded to the platform from storage, or fetched by it from their public URL."""

from __future__ import annotations

from collections import Counter
from typing import Any

import requests

from adapters.contract import Platform
from tests.flow.ledger import caption
from tests.stack import Stack


def upload(stack: Stack, kind: str, data: bytes) -> str:
    """Upload a file as a client does, and return its URL."""
    key = {"Authorization": f"Bearer {stack.key}"}
    answer = requests.post(
        f"{stack.api}/api/partner/v1/files", json={"contentType": kind}, headers=key, timeout=30
    )
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["data"]
    stored = requests.put(made["uploadUrl"], data=data, headers={"Content-Type": kind}, timeout=60)
    assert stored.status_code == 200, stored.text
    url: str = made["url"]
    return url


def sample(stack: Stack, name: str) -> bytes:
    answer = requests.get(stack.media(name), timeout=30)
    assert answer.status_code == 200
    return answer.content


def test_an_uploaded_video_goes_live_on_all_six_platforms(stack: Stack) -> None:
    text, url = caption(), upload(stack, "video/mp4", sample(stack, "sample.mp4"))
    post = stack.create_post(text, *Platform, media={"type": "video", "url": url})
    stack.await_status(post, "posted", 100)
    assert Counter(line["platform"] for line in stack.live(text)) == Counter(Platform)


def test_uploaded_images_go_live_where_the_platform_pulls_them(stack: Stack) -> None:
    text, data = caption(), sample(stack, "sample-1.jpg")
    urls = [upload(stack, "image/jpeg", data) for _ in range(2)]
    platforms = (Platform.PINTEREST, Platform.FACEBOOK)
    stack.await_status(
        stack.create_post(text, *platforms, media={"type": "slideshow", "urls": urls}), "posted", 100
    )
    assert Counter(line["platform"] for line in stack.live(text)) == Counter(platforms)
