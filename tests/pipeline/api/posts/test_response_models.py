"""Response models of posts: the public status of every state, alone and together, before and after the due time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from pydantic_core import to_json

from adapters.listing import ListedPost
from pipeline.api.posts.response_models import Post, PostSummary
from pipeline.domain.delivery import Reason
from pipeline.domain.delivery_error import make_restored
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.posts.pages import Totals
from pipeline.store.posts.views import DeliveryView, PostView

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
ERROR = {
    "code": "rejected",
    "class": "Rejected",
    "fault": "customer",
    "retryable": False,
    "message": "Too long.",
    "next_action": None,
    "platform_code": "42",
    "platform_message": "They said so.",
}


def to_dict(model: BaseModel) -> dict[str, Any]:
    """Return the JSON of a model, as a client reads it."""
    parsed: dict[str, Any] = json.loads(to_json(model))
    return parsed


def delivery(state: str, *, due_at: datetime = LATER, reason: str | None = None, **more: Any) -> DeliveryView:
    values: dict[str, Any] = {
        "id": uuid4(),
        "post_id": uuid4(),
        "account_id": uuid4(),
        "username": "ada",
        "platform": "tiktok",
        "state": state,
        "reason": reason,
        "due_at": due_at,
        "held_for": None,
        "next_at": None,
        "armed_at": None,
        "published_at": None,
        "remote_id": None,
        "url": None,
        "delivered_as": None,
        "error": None,
        "last_attempted_at": None,
        "generation": 0,
        "removed": False,
        "url_pending": False,
        **more,
    }
    return DeliveryView(**values)


def post(*deliveries: DeliveryView, due_at: datetime = LATER) -> dict[str, Any]:
    view = PostView(
        id=uuid4(),
        workspace_id=uuid4(),
        caption="c",
        media={"type": "video", "url": "https://x.y/v"},
        music_url=None,
        options={},
        due_at=due_at,
        expires_at=None,
        on_late="publish",
        status="scheduled",
        source="partner_api",
        external_id=None,
        created_at=NOW,
        updated_at=NOW,
        now=NOW,
        deliveries=deliveries,
    )
    return to_dict(Post.from_view(view))


@pytest.mark.parametrize(
    ("state", "reason", "early", "late"),
    [
        ("accepted", None, "scheduled", "pending"),
        ("blocked", "is_it_live", "pending", "pending"),
        ("cancelled", None, "canceled", "canceled"),
    ],
)
def test_a_state_before_and_after_its_time(state: str, reason: str | None, early: str, late: str) -> None:
    """Every state and reason, alone and together: domain/test_post.py."""
    for due_at, word in ((LATER, early), (EARLIER, late), (NOW, late)):
        shown = post(delivery(state, reason=reason, due_at=due_at), due_at=due_at)
        assert shown["status"] == shown["accounts"]["states"][0]["status"] == word
        assert shown["accounts"]["states"][0]["state"] == {"cancelled": "canceled"}.get(state, state)
        assert shown["accounts"]["states"][0]["blocked_reason"] == reason


def test_times_are_utc_with_milliseconds_and_z() -> None:
    shown = post(delivery("published", published_at=NOW, url="https://t.t/1"))
    assert shown["created_at"] == "2026-01-02T03:04:05.678Z"
    assert shown["accounts"]["states"][0]["published_at"] == "2026-01-02T03:04:05.678Z"


def test_an_error_is_shown_until_the_delivery_comes_through() -> None:
    state = post(delivery("failed", error=ERROR))["accounts"]["states"][0]
    assert state["error"] == {**ERROR, "help": "http://127.0.0.1:8000/reference#error-rejected"}
    assert state["error_message"] == "Too long."
    assert "candidates" not in state["error"]
    done = post(delivery("published", error=ERROR))["accounts"]["states"][0]
    assert (done["error"], done["error_message"]) == (None, None)


def test_a_draft_in_an_inbox_is_posted_without_a_url() -> None:
    state = post(delivery("published", delivered_as="inbox_draft", published_at=NOW))["accounts"]["states"][0]
    assert (state["status"], state["published_url"], state["delivered_as"]) == ("posted", None, "inbox_draft")


def test_the_summary_adds_up() -> None:
    by_status = {"pending": 1, "scheduled": 2, "retry": 4, "posted": 8, "partial": 16, "failed": 32}
    found = to_dict(PostSummary.from_totals(Totals(by_status)))
    assert (found["total"], found["pending"], found["published"]) == (63, 7, 24)
    assert found["by_status"]["draft"] == found["by_status"]["canceled"] == 0
    assert found["total_capped"] is False
    assert PostSummary.from_totals(Totals({}, is_capped=True)).total_capped is True


def test_what_a_restore_left_in_doubt_shows_its_candidates_with_links() -> None:
    candidate = ListedPost(
        remote_id="1",
        url="https://t.t/1",
        created_at=NOW,
        same_caption=True,
        same_kind=False,
        same_media=None,
    )
    stored = json.loads(json.dumps(error_to_dict(make_restored("TikTok was asked.", [candidate]))))
    shown = post(delivery("blocked", reason=Reason.IS_IT_LIVE, error=stored))["accounts"]["states"][0][
        "error"
    ]
    assert (
        shown["message"] == "It may have been published before the database was restored. TikTok was asked."
    )
    assert shown["candidates"] == [
        {
            "remote_id": "1",
            "url": "https://t.t/1",
            "created_at": "2026-01-02T03:04:05.678Z",
            "same_caption": True,
            "same_kind": False,
            "same_media": None,
            "same_time": None,
            "likely": False,
        }
    ]
    assert shown["unlikely_candidates"] == 1
