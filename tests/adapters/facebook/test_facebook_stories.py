"""Stories: what makes one visible, and what the Page's list of stories proves of one whose answer was lost."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapters.contract import Absent, CannotTell, Pending, Published
from adapters.errors import OutcomeUnknown, Rejected
from adapters.facebook.adapter import Facebook
from adapters.http import HttpClient
from adapters.listing import Asked
from tests.adapters.drafts import NONE_TAKEN, prepare_to_end
from tests.adapters.facebook.drafts import (
    LIVE,
    PAGE,
    REEL_STARTED,
    SUCCESS,
    UP,
    account,
    build_settings,
    photo,
    photos,
    reel,
    video_status,
)
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.scripted_server import Reply, ScriptedServer

ASKED = {"placement": "story"}
PHOTO, VIDEO = replace(photos(1), options=ASKED), replace(reel(), options=ASKED)
POST = "122100000000000007"
URL = "https://www.facebook.com/stories/134895793791914/UzpfSVND/"
SHOWN = f'{{"success":true,"post_id":"{POST}"}}'
WITH_PHOTO = {"photos": ["11"]}
WITH_VIDEO = {"video_id": "123", "offset": 0, "sent": True}


def stories(*media: str, status: str = "published") -> str:
    """Return a page of stories made now of these photos or videos, as the vendor's page has it."""
    at = str(int(now().timestamp()))
    rows = [
        {
            "post_id": f"post-{one}",
            "status": status,
            "creation_time": at,
            "media_id": one,
            "url": URL,
        }
        for one in media
    ]
    return json.dumps({"data": rows})


def now() -> datetime:
    return datetime.now(UTC)


def test_a_photo_is_uploaded_unpublished_and_shown_by_its_id(
    server: ScriptedServer, facebook: Facebook
) -> None:
    described = replace(PHOTO, media=(replace(PHOTO.media[0], alt_text="A mug"),))
    server.enqueue(photo(11))
    checkpoint = prepare_to_end(lambda: facebook, described, account())
    assert checkpoint == WITH_PHOTO
    server.enqueue(SHOWN)
    client = HttpClient()
    adapter = Facebook(client, build_settings(server.url))
    done = adapter.finalize(described, account(), checkpoint)
    assert [visible for _, _, visible in client.calls] == [True]
    assert server.calls == [
        f"POST /graph/v25.0/{PAGE}/photos",
        f"POST /graph/v25.0/{PAGE}/photo_stories",
    ]
    assert server.requests[0].json() == {"url": "https://cdn.example.com/1.png", "published": False}
    assert server.requests[1].json() == {"photo_id": "11"}
    server.enqueue(stories("10", "11"))
    assert isinstance(done, Pending)
    assert facebook.look(described, account(), done.checkpoint, now(), NONE_TAKEN) == Published(
        remote_id="post-11", url=URL
    )


def test_a_video_is_uploaded_as_a_reel_is_and_finished_as_a_story(
    server: ScriptedServer, facebook: Facebook
) -> None:
    server.enqueue(
        REEL_STARTED, UP.replace("upload_complete", "uploading").replace("complete", "none"), SUCCESS, UP
    )
    checkpoint = prepare_to_end(lambda: facebook, VIDEO, account())
    server.enqueue(SHOWN)
    facebook.finalize(replace(VIDEO, ai_generated=True), account(), checkpoint)
    assert server.calls[0] == f"POST /graph/v25.0/{PAGE}/video_stories"
    assert server.calls[-1] == f"POST /graph/v25.0/{PAGE}/video_stories"
    assert server.requests[0].json() == {"upload_phase": "start"}
    assert server.requests[-1].json() == {
        "upload_phase": "finish",
        "video_id": "123",
        "is_ai_generated": True,
    }


def test_a_photo_that_no_story_shows_is_absent_and_sent_again(
    server: ScriptedServer, facebook: Facebook
) -> None:
    server.enqueue(stories("10", status="PUBLISHED"))
    result = facebook.look(PHOTO, account(), WITH_PHOTO, now(), NONE_TAKEN)
    assert isinstance(result, Absent)
    assert dict(result.checkpoint) == {**WITH_PHOTO, "again": True}
    used = Reply(status=400, body=build_error(1366051))
    server.enqueue(used)
    with pytest.raises(OutcomeUnknown):  # the first attempt may have used it
        facebook.finalize(PHOTO, account(), result.checkpoint)
    server.enqueue(used)
    with pytest.raises(Rejected):
        facebook.finalize(PHOTO, account(), WITH_PHOTO)


def test_a_day_later_the_story_is_over_and_its_absence_proves_nothing(
    server: ScriptedServer, facebook: Facebook
) -> None:
    server.enqueue(stories())
    result = facebook.look(PHOTO, account(), WITH_PHOTO, now() - timedelta(hours=25), NONE_TAKEN)
    assert isinstance(result, CannotTell)


def test_a_confirmed_story_stays_published_without_its_link(
    server: ScriptedServer, facebook: Facebook
) -> None:
    server.enqueue(stories())
    confirmed = {**WITH_PHOTO, "accepted": True, "live": POST}
    assert facebook.look(PHOTO, account(), confirmed, now(), NONE_TAKEN) == Published(remote_id=POST)
    server.enqueue(stories(), LIVE)
    shown = {**WITH_VIDEO, "accepted": True, "live": POST}
    assert facebook.look(VIDEO, account(), shown, now(), NONE_TAKEN) == Published(remote_id=POST)


def test_a_success_without_a_post_id_is_looked_for(server: ScriptedServer, facebook: Facebook) -> None:
    server.enqueue(SUCCESS)
    done = facebook.finalize(PHOTO, account(), WITH_PHOTO)
    assert isinstance(done, Pending)
    server.enqueue(stories())
    early = facebook.look(PHOTO, account(), done.checkpoint, now(), NONE_TAKEN)
    assert isinstance(early, CannotTell)  # it was shown, so it is not absent
    server.enqueue(stories("11"))
    assert facebook.look(PHOTO, account(), done.checkpoint, now(), NONE_TAKEN) == Published(
        remote_id="post-11", url=URL
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(UP, Absent), (video_status("processing", processing="in_progress"), Pending), (LIVE, Published)],
)
def test_the_status_of_a_storys_video_decides_where_no_story_is_listed(
    server: ScriptedServer, facebook: Facebook, answer: str, expected: type[object]
) -> None:
    server.enqueue(stories(), answer)
    late = now() - timedelta(days=2)
    assert isinstance(facebook.look(VIDEO, account(), WITH_VIDEO, late, NONE_TAKEN), expected)


def test_a_story_without_a_handle_is_never_more_than_a_candidate(
    server: ScriptedServer, facebook: Facebook
) -> None:
    assert facebook.look(PHOTO, account(), {}, now(), NONE_TAKEN) == CannotTell(
        reason="no photo or video is known that could have been shown", is_final=True
    )
    server.enqueue(stories("11"), stories("11", status="ARCHIVED"))
    listing = facebook.list_posts(PHOTO, account(), now() - timedelta(hours=1))
    [one] = listing.posts
    assert (one.remote_id, one.url, one.same_caption, one.agrees) == ("post-11", URL, None, False)
    assert facebook.list_posts(PHOTO, account(), now() - timedelta(hours=1)).posts == []
    server.enqueue(stories())
    assert facebook.list_posts(PHOTO, account(), now() - timedelta(hours=25)).asked is Asked.PART
