"""Edits, validation and new posts over HTTP count inbox drafts and posts of an account's day apart."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from adapters.contract import Platform
from adapters.tiktok.limits import CAPABILITIES as TIKTOK
from tests.pipeline.api.posts.test_action_routes import patch, steer
from tests.pipeline.api.running_server import Server, Tenant, video

DUE = "2099-01-01T00:00:00Z"
DRAFT, DIRECT = {"post_mode": "MEDIA_UPLOAD"}, {"post_mode": "DIRECT_POST"}


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return server.tenant(platforms=(Platform.TIKTOK,))


def slideshow(tenant: Tenant, tiktok: dict[str, str]) -> dict[str, Any]:
    media = {"type": "slideshow", "urls": ["https://cdn.example.com/1.jpg"]}
    return video(tenant, media=media, tiktok=tiktok, scheduled_at=DUE)


def full_days(answer: requests.Response) -> list[str]:
    """Return the messages of the warnings of a full day."""
    assert answer.ok, answer.text
    warnings = answer.json()["data"].get("warnings", [])
    return [w["message"] for w in warnings if w["code"] == "DAILY_QUOTA_EXCEEDED"]


def fill(server: Server, tenant: Tenant, tiktok: dict[str, str], count: int) -> list[str]:
    """Post so many that fit into the day; return their ids."""
    answers = [server.post(slideshow(tenant, tiktok), tenant.key) for _ in range(count)]
    assert [full_days(answer) for answer in answers] == [[]] * count
    return [answer.json()["data"]["id"] for answer in answers]


def test_an_edit_moves_a_post_from_one_count_to_the_other(server: Server, tenant: Tenant) -> None:
    assert TIKTOK.daily_drafts
    assert TIKTOK.daily_posts
    drafts = fill(server, tenant, DRAFT, TIKTOK.daily_drafts)
    fill(server, tenant, DIRECT, TIKTOK.daily_posts - 1)
    assert full_days(patch(server, tenant, drafts[0], {"tiktok": DIRECT})) == []
    [sixteenth] = full_days(patch(server, tenant, drafts[1], {"tiktok": DIRECT}))
    assert "more than 15 posts fall" in sixteenth
    seventeenth = slideshow(tenant, DIRECT)
    for answer in (steer(server, tenant, "validate", seventeenth), server.post(seventeenth, tenant.key)):
        assert ["more than 15 posts fall" in message for message in full_days(answer)] == [True]
    fill(server, tenant, DRAFT, 2)
    [sixth] = full_days(patch(server, tenant, drafts[1], {"tiktok": DRAFT}))
    assert "more than 5 inbox drafts fall" in sixth
