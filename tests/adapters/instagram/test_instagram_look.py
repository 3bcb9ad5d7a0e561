"""``look``: every container status, before and after arming, and the post of a PUBLISHED container."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from adapters.contract import CannotTell, Ended, Pending, Published, Ready
from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.instagram import Instagram
from tests.adapters.instagram.drafts import (
    ARMED,
    CONTAINER,
    FINISHED,
    IG,
    MEDIA_ID,
    NONE_TAKEN,
    PERMALINK,
    account,
    carousel,
    node,
    photo_post,
    reel,
    status,
)
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.vendor_server import Told, VendorServer

READY = {"quota_read": True, "container": CONTAINER}
LIVE = {**READY, "media_id": MEDIA_ID}
OURS = node("1", "One picture")


def listing(*nodes: str) -> str:
    return f'{{"data":[{",".join(nodes)}]}}'


# --- after our own clear yes ---------------------------------------------------------------------------------------


def test_the_link_is_read_once_the_media_id_is_known(server: VendorServer, instagram: Instagram) -> None:
    server.tell(f'{{"id":"{MEDIA_ID}","permalink":"{PERMALINK}","timestamp":"2026-11-24T12:00:03+0000"}}')
    said = instagram.look(photo_post(), account(), LIVE, ARMED, NONE_TAKEN)
    assert said == Published(remote_id=MEDIA_ID, url=PERMALINK)
    assert server.calls == [f"GET /graph/v25.0/{MEDIA_ID}"]
    assert server.asked[0].query == {"fields": "id,permalink,timestamp,media_type,media_product_type,caption"}


@pytest.mark.parametrize(
    "answer",
    [
        Told(status=400, body=build_error(100, 33)),
        Told(status=500, body=build_error(2)),
        Told(status=401, body=build_error(190, 463)),
        Told(status=400, body=build_error(4)),
        Told(status=400, body=build_error(10)),
        Told(status=400, body=build_error(31337)),
        Told(drop=True),
        Told(body="<html>"),
    ],
)
def test_a_failed_read_never_unpublishes(server: VendorServer, instagram: Instagram, answer: Told) -> None:
    server.tell(answer)
    said = instagram.look(photo_post(), account(), LIVE, ARMED, NONE_TAKEN)
    assert isinstance(said, Published)
    assert (said.remote_id, said.url) == (MEDIA_ID, None)


# --- armed, outcome unknown ----------------------------------------------------------------------------------------


def test_published_is_found_by_caption_and_time(server: VendorServer, instagram: Instagram) -> None:
    older = node("0", "One picture", "2026-11-24T11:59:00+0000")
    other = node("2", "Another picture")
    server.tell(status("PUBLISHED"), listing(other, OURS, older))
    said = instagram.look(photo_post(), account(), READY, ARMED, NONE_TAKEN)
    assert said == Published(remote_id="1", url="https://www.instagram.com/p/1/")
    assert server.calls == [f"GET /graph/v25.0/{CONTAINER}", f"GET /graph/v25.0/{IG}/media"]
    since = int((ARMED - timedelta(seconds=5)).timestamp())
    assert server.asked[1].query == {
        "fields": "id,caption,timestamp,permalink,media_type",
        "limit": "100",
        "since": str(since),
        "until": str(since + 86400),
    }


def test_spaces_that_instagram_folds_still_match(server: VendorServer, instagram: Instagram) -> None:
    server.tell(status("PUBLISHED"), listing(node("1", "One\\npicture ")))
    said = instagram.look(photo_post("One\n\n picture"), account(), READY, ARMED, NONE_TAKEN)
    assert isinstance(said, Published)
    assert said.remote_id == "1"


def test_what_other_deliveries_own_is_not_ours(server: VendorServer, instagram: Instagram) -> None:
    server.tell(status("PUBLISHED"), listing(OURS, node("9", "One picture")))
    said = instagram.look(photo_post(), account(), READY, ARMED, frozenset({"9"}))
    assert isinstance(said, Published)
    assert said.remote_id == "1"


@pytest.mark.parametrize("nodes", [(), (OURS, node("9", "One picture"))])
def test_none_or_two_candidates_are_asked_again_then_settled_under_the_container(
    server: VendorServer, instagram: Instagram, nodes: tuple[str, ...]
) -> None:
    server.tell(*[status("PUBLISHED"), listing(*nodes)] * 6)
    checkpoint: Any = READY
    waits = []
    for _ in range(5):
        said = instagram.look(photo_post(), account(), checkpoint, ARMED, NONE_TAKEN)
        assert isinstance(said, Pending)
        checkpoint = said.checkpoint
        waits.append(said.wait.total_seconds())
    assert waits == [5, 10, 20, 40, 60]
    assert instagram.look(photo_post(), account(), checkpoint, ARMED, NONE_TAKEN) == Published(
        remote_id=CONTAINER,
        notes={"remote_id_is": "container", "candidates": len(nodes)},
    )


def test_finished_means_the_same_container_again(server: VendorServer, instagram: Instagram) -> None:
    server.tell(FINISHED)
    said = instagram.look(photo_post(), account(), {**READY, "polls": 2}, ARMED, NONE_TAKEN)
    assert said == Ready(checkpoint=READY)


def test_in_progress_waits(server: VendorServer, instagram: Instagram) -> None:
    server.tell(status("IN_PROGRESS"))
    said = instagram.look(photo_post(), account(), READY, ARMED, NONE_TAKEN)
    assert said == Pending(checkpoint={**READY, "polls": 1}, wait=timedelta(seconds=5))


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
    server: VendorServer,
    instagram: Instagram,
    armed_at: datetime | None,
    answer: str,
    kind: type[AdapterError],
    code: str,
) -> None:
    server.tell(answer)
    said = instagram.look(reel(), account(), READY, armed_at, NONE_TAKEN)
    assert isinstance(said, Ended)
    assert type(said.error) is kind
    assert said.error.code == code


@pytest.mark.parametrize("pair", [(100, 33), (24, 2207008)])
def test_no_container_found_proves_nothing_after_arming(
    server: VendorServer, instagram: Instagram, pair: tuple[int, int]
) -> None:
    server.tell(Told(status=400, body=build_error(*pair)))
    assert isinstance(instagram.look(photo_post(), account(), READY, ARMED, NONE_TAKEN), CannotTell)


def test_armed_without_a_container_cannot_be_told(server: VendorServer, instagram: Instagram) -> None:
    children = {"quota_read": True, "children": ["c1", "c2"], "ready": 2}
    assert isinstance(instagram.look(carousel(), account(), children, ARMED, NONE_TAKEN), CannotTell)
    assert server.asked == []


@pytest.mark.parametrize("armed_at", [ARMED, None])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Told(drop=True), Unavailable),
        (Told(status=500, body=""), Unavailable),
        (Told(body='{"status_code":"NEWWORD"}'), Unavailable),
        (Told(status=400, body=build_error(4)), RateLimited),
        (Told(status=401, body=build_error(190)), CredentialsExpired),
        (Told(status=400, body=build_error(10)), PermissionMissing),
    ],
)
def test_a_read_that_fails_is_raised_as_its_class(
    server: VendorServer,
    instagram: Instagram,
    armed_at: datetime | None,
    answer: Told,
    expected: type[AdapterError],
) -> None:
    server.tell(answer)
    with pytest.raises(expected):
        instagram.look(photo_post(), account(), READY, armed_at, NONE_TAKEN)


# --- not armed -------------------------------------------------------------------------------------------------------


def test_unarmed_finished_is_ready(server: VendorServer, instagram: Instagram) -> None:
    server.tell(FINISHED)
    assert instagram.look(photo_post(), account(), READY, None, NONE_TAKEN) == Ready(checkpoint=READY)


def test_unarmed_in_progress_waits_longer_each_time(server: VendorServer, instagram: Instagram) -> None:
    server.tell(status("IN_PROGRESS"))
    said = instagram.look(reel(), account(), {**READY, "polls": 2}, None, NONE_TAKEN)
    assert said == Pending(checkpoint={**READY, "polls": 3}, wait=timedelta(seconds=20))


def test_unarmed_children_are_read_until_prepare_has_something_to_do(
    server: VendorServer, instagram: Instagram
) -> None:
    server.tell(status("FINISHED"), status("FINISHED"))
    at: Any = {"quota_read": True, "children": ["c1", "c2"]}
    for ready in (1, 2):
        said = instagram.look(carousel(), account(), at, None, NONE_TAKEN)
        assert said == Pending(checkpoint={"quota_read": True, "children": ["c1", "c2"], "ready": ready})
        at = said.checkpoint
    assert instagram.look(carousel(), account(), at, None, NONE_TAKEN) == Ready(checkpoint=at)
    assert server.calls == ["GET /graph/v25.0/c1", "GET /graph/v25.0/c2"]


@pytest.mark.parametrize(
    "checkpoint",
    [
        {},
        {"quota_read": True},
        {"restarts": 2},
        {"container": CONTAINER, "upload_uri": "https://rupload.facebook.com/ig-api-upload/v25.0/1"},
    ],
)
def test_unarmed_with_nothing_to_read_goes_back_to_prepare(
    server: VendorServer, instagram: Instagram, checkpoint: dict[str, Any]
) -> None:
    said = instagram.look(reel(), account(), checkpoint, None, NONE_TAKEN)
    assert said == Ready(checkpoint=checkpoint)
    assert server.asked == []


def test_unarmed_but_published_is_published(server: VendorServer, instagram: Instagram) -> None:
    server.tell(status("PUBLISHED"), listing(OURS))
    said = instagram.look(photo_post(), account(), READY, None, NONE_TAKEN)
    assert isinstance(said, Published)
    assert said.remote_id == "1"


@pytest.mark.parametrize("checkpoint", [{}, READY, LIVE, {**READY, "media_id": "7"}])
def test_look_only_ever_reads(server: VendorServer, instagram: Instagram, checkpoint: dict[str, Any]) -> None:
    if checkpoint:
        server.tell(FINISHED)
    instagram.look(photo_post(), account(), checkpoint, None, NONE_TAKEN)
    assert {asked.method for asked in server.asked} <= {"GET"}
