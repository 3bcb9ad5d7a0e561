"""``look`` for a creator's post: what it concludes from every response, without a change."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Container
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.contract import Absent, CannotTell, Draft, Ended, LookResult, Pending, Published, Ready
from adapters.errors import (
    CredentialsRevoked,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import HttpClient
from adapters.tiktok.adapter import TikTok
from adapters.tiktok.errors import FAIL_REASONS
from pipeline.domain.restore import evaluate_listing
from tests.adapters.drafts import ARMED, through_json
from tests.adapters.scripted_server import ScriptedServer
from tests.adapters.tiktok import examples
from tests.adapters.tiktok.drafts import CAPTION, account, photos, video

Make = Callable[..., TikTok]
STATUS = "/tiktok/v2/post/publish/status/fetch/"
LIST = "/tiktok/v2/video/list/"
PHOTO = {"publish_id": "p_pub_url~v2.123456789"}
ALLOWED = {
    "asked_at": 0.0,
    "privacy": ["PUBLIC_TO_EVERYONE"],
    "comment_disabled": False,
    "duet_disabled": False,
    "stitch_disabled": False,
    "longest": 300,
    "username": "tiktok",
}


def upload(life: float = 1800, **changes: Any) -> dict[str, Any]:
    handle = {
        "publish_id": "v_pub_file~v2-1.123456789",
        "upload_url": "http://127.0.0.1:9/video/?upload_token=Xza123",
        "url_expires_at": time.time() + life,
        "plan": {"size": 25_000_001, "chunk_size": 12_500_000, "chunks": 2},
        "offset": 12_500_000,
        "was_armed": False,
        "recheck": False,
    }
    return {"upload": {**handle, **changes}, "allowed": ALLOWED}


def look(
    tiktok: Make,
    draft: Draft,
    checkpoint: dict[str, Any],
    taken: Container[str] = frozenset(),
    armed_at: datetime | None = ARMED,
) -> LookResult:
    client = HttpClient()
    seen = tiktok(client).look(draft, account(), checkpoint, armed_at, taken)
    assert not any(visible for _, _, visible in client.calls)
    assert {path.rsplit("/", 3)[-2] for _, path, _ in client.calls} <= {"fetch", "list"}
    return seen


# --- by publish id ---------------------------------------------------------------------------------------------------


def test_complete_with_an_id_has_its_address(server: ScriptedServer, tiktok: Make) -> None:
    server.on("POST", STATUS, examples.STATUS_COMPLETE)
    assert look(tiktok, photos(), PHOTO) == Published(
        remote_id="7212345678901234567", url="https://www.tiktok.com/@casa/photo/7212345678901234567"
    )
    assert look(tiktok, video(), upload()) == Published(
        remote_id="7212345678901234567", url="https://www.tiktok.com/@tiktok/video/7212345678901234567"
    )
    assert server.requests[0].json() == {"publish_id": "p_pub_url~v2.123456789"}


@pytest.mark.parametrize("level", ["PUBLIC_TO_EVERYONE", "SELF_ONLY"])
def test_complete_without_an_id_is_published_all_the_same(
    server: ScriptedServer, tiktok: Make, level: str
) -> None:
    server.on("POST", STATUS, examples.status("PUBLISH_COMPLETE"))
    assert look(tiktok, photos(privacy_level=level), PHOTO) == Published(remote_id="p_pub_url~v2.123456789")


def test_a_draft_in_the_inbox_is_delivered(server: ScriptedServer, tiktok: Make) -> None:
    server.on("POST", STATUS, examples.status("SEND_TO_USER_INBOX"))
    assert look(tiktok, photos(post_mode="MEDIA_UPLOAD"), PHOTO) == Published(
        remote_id="p_pub_url~v2.123456789", delivered_as="inbox_draft"
    )


PUBLISHED_TWICE = examples.status("PUBLISH_COMPLETE").replace(
    "[]", "[7212345678901234567,7212345678901234568]"
)


def test_a_draft_that_its_user_finished_twice_stays_a_draft_without_a_link(
    server: ScriptedServer, tiktok: Make
) -> None:
    """Several posts may come of one publish id, so none of them is the delivery's."""
    server.on("POST", STATUS, PUBLISHED_TWICE)
    assert look(tiktok, photos(post_mode="MEDIA_UPLOAD"), PHOTO) == Published(
        remote_id="p_pub_url~v2.123456789", delivered_as="inbox_draft"
    )


@pytest.mark.parametrize("state", ["PROCESSING_DOWNLOAD", "PROCESSING_UPLOAD", "SOMETHING_NEW"])
def test_work_in_progress_is_waited_for(server: ScriptedServer, tiktok: Make, state: str) -> None:
    server.on("POST", STATUS, examples.status(state))
    seen = look(tiktok, photos(), PHOTO)
    assert isinstance(seen, Pending)
    assert seen.wait == timedelta(seconds=60)  # armed long ago
    early = look(tiktok, photos(), PHOTO, armed_at=datetime.now(UTC))
    assert isinstance(early, Pending)
    assert early.wait == timedelta(seconds=5)


FAILURES = {
    "file_format_check_failed": Rejected,
    "duration_check_failed": Rejected,
    "frame_rate_check_failed": Rejected,
    "picture_size_check_failed": Rejected,
    "internal": Unavailable,
    "video_pull_failed": Unavailable,
    "photo_pull_failed": Unavailable,
    "video_download_failed": Unavailable,
    "photo_download_failed": Unavailable,
    "publish_cancelled": Rejected,
    "auth_removed": CredentialsRevoked,
    "spam_risk": Rejected,
    "spam_risk_too_many_posts": RateLimited,
    "spam_risk_user_banned_from_posting": Rejected,
    "spam_risk_text": Rejected,
}


def test_every_fail_reason_of_the_table_is_tested() -> None:
    assert set(FAILURES) == set(FAIL_REASONS)


@pytest.mark.parametrize(
    ("reason", "error"), [*FAILURES.items(), ("something_new", Rejected), ("spam_risk_new", Rejected)]
)
def test_fail_reasons(server: ScriptedServer, tiktok: Make, reason: str, error: type[Exception]) -> None:
    server.on("POST", STATUS, examples.status("FAILED", reason=reason))
    seen = look(tiktok, photos(), PHOTO)
    assert isinstance(seen, Ended)
    assert type(seen.error) is error


# --- armed uploads that are not complete -----------------------------------------------------------------------------


def test_an_incomplete_upload_is_absent_and_goes_on_with_the_same_handle(
    server: ScriptedServer, tiktok: Make
) -> None:
    server.on("POST", STATUS, examples.status("PROCESSING_UPLOAD", 12_500_000))
    seen = look(tiktok, video(), upload(offset=25_000_001))
    assert isinstance(seen, Absent)
    kept = through_json(seen.checkpoint)["upload"]
    assert kept["publish_id"] == "v_pub_file~v2-1.123456789"
    assert kept["offset"] == 12_500_000
    assert kept["was_armed"] is True


def test_a_dying_upload_is_waited_for_and_a_dead_one_is_absent(server: ScriptedServer, tiktok: Make) -> None:
    server.on("POST", STATUS, examples.status("PROCESSING_UPLOAD", 0))
    for life in (100, -200):
        crashing = look(tiktok, video(), upload(life))
        assert isinstance(crashing, Pending)
        assert crashing.wait >= timedelta(seconds=99)
    assert look(tiktok, video(), upload(-301)) == Absent()


@pytest.mark.parametrize("stored", [25_000_001, None])
def test_a_complete_or_silent_upload_is_waited_for(
    server: ScriptedServer, tiktok: Make, stored: int | None
) -> None:
    server.on("POST", STATUS, examples.status("PROCESSING_UPLOAD", stored))
    assert isinstance(look(tiktok, video(), upload()), Pending)


# --- not armed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draft", "made", "kind"),
    [
        (video(), dict, Pending),
        (video(), lambda: upload(offset=0), Pending),
        (video(), upload, Ready),
        (video(), lambda: upload(100), Absent),
        (video(), lambda: upload(-1000, was_armed=True), Absent),
        (video(), lambda: upload(100, was_armed=True), Pending),
        (photos(), dict, Pending),
        (photos(), lambda: {"allowed": ALLOWED}, Ready),
        (photos(post_mode="MEDIA_UPLOAD"), dict, Ready),
    ],
)
def test_what_was_never_armed_is_never_published(
    server: ScriptedServer,
    tiktok: Make,
    draft: Draft,
    made: Callable[[], dict[str, Any]],
    kind: type[LookResult],
) -> None:
    server.on("POST", STATUS, examples.STATUS_COMPLETE)
    assert isinstance(look(tiktok, draft, made(), armed_at=None), kind)
    assert server.requests == []


# --- without the id --------------------------------------------------------------------------------------------------


def listed(number: int, *, after: float = 5, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(7_212_345_678_901_234_000 + number),
        "title": CAPTION,
        "video_description": CAPTION,
        "create_time": int(ARMED.timestamp() + after),
        "share_url": f"https://www.tiktok.com/@casa/photo/{number}",
        "duration": 0,
        **changes,
    }


def page(*videos: dict[str, Any], cursor: int = 0, has_more: bool = False) -> str:
    data = {"videos": videos, "cursor": cursor, "has_more": has_more}
    return f'{{"data":{json.dumps(data)},{examples.OK}}}'


def test_exactly_one_post_that_fits_is_ours(server: ScriptedServer, tiktok: Make) -> None:
    other = listed(2, title="Other", video_description="Other")
    server.on("POST", LIST, page(other, listed(1), listed(3, after=-61)))
    assert look(tiktok, photos(), {"allowed": ALLOWED}) == Published(
        remote_id="7212345678901234001", url="https://www.tiktok.com/@casa/photo/1", is_searched=True
    )
    assert server.requests[0].query == {"fields": "id,title,create_time,share_url,video_description,duration"}
    assert server.requests[0].json() == {"max_count": 20}


@pytest.mark.parametrize(
    "items",
    [
        [],
        [listed(1), listed(2)],
        [listed(1, after=-61)],
        [listed(1, title="Me and me")],
        [listed(1, video_description="Me and me casa #cat #dog")],
        [listed(1, title="", video_description="")],
    ],
    ids=["none", "two", "too old", "title begins so", "text goes on", "no texts"],
)
def test_anything_but_one_whole_match_proves_nothing(
    server: ScriptedServer, tiktok: Make, items: list[dict[str, Any]]
) -> None:
    server.on("POST", LIST, page(*items))
    assert isinstance(look(tiktok, photos(), {}), CannotTell)


def test_a_long_text_is_known_by_what_tiktok_shows_of_it(server: ScriptedServer, tiktok: Make) -> None:
    caption = "long words " * 30
    draft = photos(caption=caption, title="T")
    server.on("POST", LIST, page(listed(1, title="T", video_description=caption[:150])))
    assert isinstance(look(tiktok, draft, {}), Published)
    server.on("POST", LIST, page(listed(1, title="T", video_description=caption[:100])))
    assert isinstance(look(tiktok, draft, {}), CannotTell)


def test_after_a_restore_the_candidate_with_the_text_as_tiktok_cuts_it_comes_first(
    server: ScriptedServer, tiktok: Make
) -> None:
    caption = "long words " * 30
    draft = replace(video(), caption=caption)
    length = 600  # of no listed video: none is proven, each is a candidate
    others = [listed(n, title="Other", video_description=f"Other {n}", duration=length) for n in range(2, 61)]
    cut = listed(1, title="", video_description=caption[:150], duration=0)
    listing_pages = [[*others[:20]], [*others[20:40]], [*others[40:], cut]]
    server.on(
        "POST",
        LIST,
        *(
            page(*items, cursor=n, has_more=n < len(listing_pages))
            for n, items in enumerate(listing_pages, 1)
        ),
    )
    client = HttpClient()
    listing = tiktok(client).list_posts(draft, account(), ARMED)
    until = ARMED + timedelta(hours=1)
    found = evaluate_listing(
        listing, "TikTok", since=ARMED, due=ARMED, until=until, taken=frozenset(), is_twin=False
    )
    assert isinstance(found, CannotTell)
    assert found.reason.endswith(
        "It lists 1 that could be this one; nothing proves it; 59 more differ in text, kind, media or time."
    )
    assert len(found.candidates) == 60
    assert (found.candidates[0].url, found.candidates[0].same_caption) == (cut["share_url"], True)


def test_pages_are_read_until_they_are_older_than_the_attempt(server: ScriptedServer, tiktok: Make) -> None:
    newer = [listed(n, title="x", video_description="x") for n in range(10, 30)]
    older = listed(2, after=-3600)
    server.on(
        "POST", LIST, page(*newer, cursor=17, has_more=True), page(listed(1), older, cursor=18, has_more=True)
    )
    assert isinstance(look(tiktok, photos(), {}), Published)
    assert [seen.json() for seen in server.requests] == [{"max_count": 20}, {"cursor": 17, "max_count": 20}]


def test_a_list_without_end_proves_nothing(server: ScriptedServer, tiktok: Make) -> None:
    server.on("POST", LIST, page(listed(1), cursor=1, has_more=True))
    assert isinstance(look(tiktok, photos(), {}), CannotTell)
    assert len(server.requests) == 5


@pytest.mark.parametrize(
    "draft", [photos(privacy_level="SELF_ONLY"), photos(post_mode="MEDIA_UPLOAD"), video()]
)
def test_what_is_not_listed_is_not_looked_for(server: ScriptedServer, tiktok: Make, draft: Draft) -> None:
    seen = look(tiktok, draft, {})
    assert isinstance(seen, CannotTell)
    assert seen.is_final, "no later look can tell"
    assert server.requests == []
