"""``look``: every container status, before and after arming, and the post of a PUBLISHED container."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.contract import Ended, Pending, Published, Ready
from adapters.errors import (
    AdapterError,
    Rejected,
    Unavailable,
)
from adapters.instagram.adapter import Instagram
from adapters.listing import Asked
from tests.adapters.drafts import NONE_TAKEN
from tests.adapters.instagram.drafts import (
    ARMED,
    CONTAINER,
    FINISHED,
    IG,
    MEDIA_ID,
    PERMALINK,
    account,
    carousel,
    node,
    photo_post,
    reel,
    status,
)
from tests.adapters.scripted_server import ScriptedServer

READY = {"quota_read": True, "container": CONTAINER}
LIVE = {**READY, "media_id": MEDIA_ID}
OURS = node("1", "One picture")


def listing(*nodes: str) -> str:
    return f'{{"data":[{",".join(nodes)}]}}'


# --- after our own clear yes ---------------------------------------------------------------------------------------


def test_the_link_is_read_once_the_media_id_is_known(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(f'{{"id":"{MEDIA_ID}","permalink":"{PERMALINK}","timestamp":"2026-11-24T12:00:03+0000"}}')
    result = instagram.look(photo_post(), account(), LIVE, ARMED, NONE_TAKEN)
    assert result == Published(remote_id=MEDIA_ID, url=PERMALINK)
    assert server.calls == [f"GET /graph/v25.0/{MEDIA_ID}"]
    assert server.requests[0].query == {
        "fields": "id,permalink,timestamp,media_type,media_product_type,caption"
    }


# --- armed, outcome unknown ----------------------------------------------------------------------------------------


def story(media_id: str, media_type: str = "IMAGE", at: str = "2026-11-24T12:00:03+0000") -> str:
    return (
        f'{{"id":"{media_id}","timestamp":"{at}","permalink":"https://www.instagram.com/stories/casa/{media_id}/",'
        f'"media_type":"{media_type}","media_product_type":"STORY"}}'
    )


STORY = replace(photo_post(), options={"placement": "story"})


def test_a_story_is_found_by_its_type_and_time_among_the_stories(
    server: ScriptedServer, instagram: Instagram
) -> None:
    """It has no caption: a video, an earlier story and another delivery's are not it."""
    early = story("4", at="2026-11-24T11:59:00+0000")
    server.enqueue(status("PUBLISHED"), listing(story("1", "VIDEO"), story("2"), story("3"), early))
    result = instagram.look(STORY, account(), READY, ARMED, {"3"})
    assert result == Published(remote_id="2", url="https://www.instagram.com/stories/casa/2/")
    assert server.calls == [f"GET /graph/v25.0/{CONTAINER}", f"GET /graph/v25.0/{IG}/stories"]


def test_two_stories_that_could_be_it_are_not_guessed_between(
    server: ScriptedServer, instagram: Instagram
) -> None:
    server.enqueue(status("PUBLISHED"), listing(story("1"), story("2")))
    assert isinstance(instagram.look(STORY, account(), READY, ARMED, NONE_TAKEN), Pending)
    server.enqueue(status("PUBLISHED"), listing(story("1"), story("2")))
    result = instagram.look(STORY, account(), {**READY, "listings": 5}, ARMED, NONE_TAKEN)
    assert isinstance(result, Published)
    assert (result.remote_id, result.url) == (CONTAINER, None)


def test_stories_from_before_yesterday_are_no_longer_all_listed(
    server: ScriptedServer, instagram: Instagram
) -> None:
    now = datetime.now(UTC)
    server.enqueue(listing(), listing())
    assert instagram.list_posts(STORY, account(), now - timedelta(hours=23)).asked is Asked.ALL
    late = instagram.list_posts(STORY, account(), now - timedelta(hours=25))
    assert (late.asked, late.reason) == (Asked.PART, "stories are listed for 24 hours only")


def test_published_is_found_by_caption_and_time(server: ScriptedServer, instagram: Instagram) -> None:
    older = node("0", "One picture", "2026-11-24T11:59:00+0000")
    other = node("2", "Another picture")
    server.enqueue(status("PUBLISHED"), listing(other, OURS, older))
    result = instagram.look(photo_post(), account(), READY, ARMED, NONE_TAKEN)
    assert result == Published(remote_id="1", url="https://www.instagram.com/p/1/")
    assert server.calls == [f"GET /graph/v25.0/{CONTAINER}", f"GET /graph/v25.0/{IG}/media"]
    since = int((ARMED - timedelta(seconds=5)).timestamp())
    assert server.requests[1].query == {
        "fields": "id,caption,timestamp,permalink,media_type,media_product_type,children{media_type}",
        "limit": "50",
        "since": str(since),
        "until": str(since + 86400),
    }


def test_spaces_that_instagram_folds_still_match(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(status("PUBLISHED"), listing(node("1", "One\\npicture ")))
    result = instagram.look(photo_post("One\n\n picture"), account(), READY, ARMED, NONE_TAKEN)
    assert isinstance(result, Published)
    assert result.remote_id == "1"


def test_what_other_deliveries_own_is_not_ours(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(status("PUBLISHED"), listing(OURS, node("9", "One picture")))
    result = instagram.look(photo_post(), account(), READY, ARMED, frozenset({"9"}))
    assert isinstance(result, Published)
    assert result.remote_id == "1"


@pytest.mark.parametrize("nodes", [(), (OURS, node("9", "One picture"))])
def test_none_or_two_candidates_are_asked_again_then_settled_under_the_container(
    server: ScriptedServer, instagram: Instagram, nodes: tuple[str, ...]
) -> None:
    server.enqueue(*[status("PUBLISHED"), listing(*nodes)] * 6)
    checkpoint: Any = READY
    waits = []
    for _ in range(5):
        result = instagram.look(photo_post(), account(), checkpoint, ARMED, NONE_TAKEN)
        assert isinstance(result, Pending)
        checkpoint = result.checkpoint
        waits.append(result.wait.total_seconds())
    assert waits == [5, 10, 20, 40, 60]
    assert instagram.look(photo_post(), account(), checkpoint, ARMED, NONE_TAKEN) == Published(
        remote_id=CONTAINER,
        notes={"remote_id_is": "container", "candidates": len(nodes)},
    )


def test_finished_means_the_same_container_again(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(FINISHED)
    result = instagram.look(photo_post(), account(), {**READY, "polls": 2}, ARMED, NONE_TAKEN)
    assert result == Ready(checkpoint=READY)


def test_in_progress_waits(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(status("IN_PROGRESS"))
    result = instagram.look(photo_post(), account(), READY, ARMED, NONE_TAKEN)
    assert result == Pending(checkpoint={**READY, "polls": 1}, wait=timedelta(seconds=5))


@pytest.mark.parametrize("armed_at", [ARMED, None])
@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (status("EXPIRED"), Unavailable, "container_expired"),
        (status("ERROR", "Error: … 2207026"), Rejected, "rejected"),
        (status("ERROR", "Error: … error code 2207053"), Unavailable, "container_failed"),
        (status("ERROR", "Error: … 2207050"), Rejected, "rejected"),
        (status("ERROR", "Error"), Unavailable, "container_failed"),
    ],
)
def test_an_end_without_a_post_says_whether_to_try_again(
    server: ScriptedServer,
    instagram: Instagram,
    armed_at: datetime | None,
    answer: str,
    kind: type[AdapterError],
    code: str,
) -> None:
    server.enqueue(answer)
    result = instagram.look(reel(), account(), READY, armed_at, NONE_TAKEN)
    assert isinstance(result, Ended)
    assert type(result.error) is kind
    assert result.error.code == code


# --- not armed -------------------------------------------------------------------------------------------------------


def test_unarmed_finished_is_ready(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(FINISHED)
    assert instagram.look(photo_post(), account(), READY, None, NONE_TAKEN) == Ready(checkpoint=READY)


def test_after_each_child_that_is_done_prepare_goes_on_at_once(
    server: ScriptedServer, instagram: Instagram
) -> None:
    server.enqueue(status("FINISHED"), status("FINISHED"))
    state: Any = {"quota_read": True, "children": ["c1", "c2"]}
    for ready in (1, 2):
        result = instagram.look(carousel(), account(), state, None, NONE_TAKEN)
        assert result == Ready(checkpoint={"quota_read": True, "children": ["c1", "c2"], "ready": ready})
        state = result.checkpoint
    assert instagram.look(carousel(), account(), state, None, NONE_TAKEN) == Ready(checkpoint=state)
    assert server.calls == ["GET /graph/v25.0/c1", "GET /graph/v25.0/c2"]


def test_unarmed_but_published_is_published(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(status("PUBLISHED"), listing(OURS))
    result = instagram.look(photo_post(), account(), READY, None, NONE_TAKEN)
    assert isinstance(result, Published)
    assert result.remote_id == "1"
