"""The edges of the contract, one table a rule: what is not prepared, cannot be read, goes on for ever or tells nothing.

``conformance`` drives whole publishes against the sandbox. The scripted answers here are those that it never gives.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from adapters.contract import Account, CannotTell, Draft, Pending, Published, Ready
from adapters.errors import OutcomeUnknown, Unavailable
from adapters.youtube.limits import CHUNK, CUTS, RESTARTS
from tests.adapters.drafts import ARMED, NONE_TAKEN
from tests.adapters.facebook import drafts as fb
from tests.adapters.files import Stream, content
from tests.adapters.instagram import drafts as ig
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.linkedin import drafts as li
from tests.adapters.pinterest import drafts as pi
from tests.adapters.platforms import build_adapter
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer
from tests.adapters.tiktok import drafts as tt
from tests.adapters.tiktok import examples as tiktok
from tests.adapters.youtube import drafts as yt
from tests.adapters.youtube import examples as google

State = Mapping[str, Any]
"""A checkpoint; ``BASE`` in it becomes the server's URL."""
ORG, BUSINESS = li.account(), tt.account("business")
PIN_VIDEO = pi.post(pi.video())
START: State = {}
IMAGES: State = {"photos": ["1", "2"]}
SENT_PIN: State = {"board_id": pi.BOARD, "media_id": "12345", "sent": True}
SENT_IMAGE: State = {"media": [{"urn": li.IMAGE, "sent": True}]}
DONE_IMAGE: State = li.build_done_checkpoint(li.IMAGE)
FEED_POST: State = {**IMAGES, "post": fb.POST}
REEL: State = {
    "video_id": "123",
    "upload_url": "https://rupload.facebook.com/video-upload/v25.0/123",
    "offset": 0,
}
CONTAINER: State = {"quota_read": True, "container": ig.CONTAINER}
SESSION: State = {
    "session": f"BASE{google.SESSION}",
    "size": yt.BIG,
    "content_type": "video/mp4",
    "started_at": 1.0,
    "said_at": time.time() + 3600,
}
LAST_CHUNK: State = {**SESSION, "offset": 2 * CHUNK}
ALLOWED: State = {
    "asked_at": time.time(),
    "privacy": ["PUBLIC_TO_EVERYONE"],
    "comment_disabled": False,
    "duet_disabled": False,
    "stitch_disabled": False,
    "longest": 300,
}
LAST_UPLOAD: State = {
    "upload": {
        "publish_id": "v_pub_file~v2-1.123456789",
        "upload_url": "BASE/video/?upload_token=Xza123",
        "url_expires_at": time.time() + 3600,
        "plan": {"size": 1000, "chunk_size": 1000, "chunks": 1},
        "offset": 0,
    },
    "allowed": ALLOWED,
}
BIG_VIDEO = yt.video(bytes=yt.BIG)


def fill(server: ScriptedServer, state: State) -> dict[str, Any]:
    filled: dict[str, Any] = json.loads(json.dumps(state).replace("BASE", server.url))
    return filled


# --- finalize --------------------------------------------------------------------------------------------------------

UNFINISHED_IMAGES: list[State] = [START, SENT_IMAGE, {"media": [{}]}]
NOT_PREPARED: list[tuple[Account, Draft, State]] = [
    (tt.account(), tt.photos(), {}),
    (BUSINESS, tt.video(), {}),
    (ig.account(), ig.photo_post(), {"quota_read": True}),
    *((fb.account(), fb.photos(), state) for state in (START, {"photos": ["1"]}, IMAGES)),
    *((ORG, li.build_draft(), state) for state in UNFINISHED_IMAGES),
    (pi.account(), PIN_VIDEO, SENT_PIN),
    *(
        (yt.account(), BIG_VIDEO, {**LAST_CHUNK, **changes})
        for changes in ({"session": None}, {"unsure": True}, {"offset": 0}, {"offset": yt.BIG})
    ),
]


@pytest.mark.parametrize(("account", "draft", "state"), NOT_PREPARED)
def test_what_is_not_prepared_is_not_sent(
    server: ScriptedServer, account: Account, draft: Draft, state: State
) -> None:
    with pytest.raises(Unavailable) as refusal:
        build_adapter(account.platform, server.url).finalize(draft, account, fill(server, state))
    assert refusal.value.code == "not_prepared"
    assert server.requests == []


DUPLICATE_OF = li.DUPLICATE.replace
UNCLEAR: list[tuple[Account, Draft, State, list[Reply]]] = [
    (
        tt.account(),
        tt.photos(),
        {"allowed": ALLOWED},
        [Reply('{"data":{},' + tiktok.OK + "}"), Reply(tiktok.PHOTO_INIT, status=500)],
    ),
    (
        BUSINESS,
        tt.video(),
        {"allowed": ALLOWED},
        [Reply('{"code":0,"message":"OK","data":{}}'), Reply('{"code":0,"message":"OK"}')],
    ),
    (
        ORG,
        li.build_draft(),
        DONE_IMAGE,
        [
            Reply(status=201, body=""),  # seen elsewhere: reported as posted, and nothing appeared
            Reply(status=201, body="", headers={"x-restli-id": ""}),
            Reply(status=201, body="", headers={"x-restli-id": "urn:li:image:1"}),
            Reply(status=204, body="", headers={"x-restli-id": li.SHARE}),
            Reply(status=422, body=DUPLICATE_OF("urn:li:share:6789", "another")),
            Reply(status=422, body=DUPLICATE_OF("urn:li:share:6789", "urn:li:share:1 or urn:li:share:2")),
        ],
    ),
    (
        pi.account(),
        pi.post(),
        {},
        [Reply(status=201, body="{}"), Reply(status=200, body='{"id":"not a number"}')],
    ),
    (
        yt.account(),
        BIG_VIDEO,
        LAST_CHUNK,
        [
            Reply('{"kind":"youtube#video"}', status=201),
            Reply(status=308, headers={"Range": f"bytes=0-{yt.BIG - 1}"}),
            Reply(status=308, headers={"Range": "rubbish"}),
        ],
    ),
]


@pytest.mark.parametrize(("account", "draft", "state", "replies"), UNCLEAR)
def test_an_answer_that_names_no_post_is_an_unknown_outcome(
    server: ScriptedServer, account: Account, draft: Draft, state: State, replies: list[Reply]
) -> None:
    for reply in replies:
        server.enqueue(reply)
        with pytest.raises(OutcomeUnknown):
            build_adapter(account.platform, server.url).finalize(draft, account, fill(server, state))
    assert len(server.requests) == len(replies)


def dead(_first: int, _length: int) -> Iterator[bytes]:
    yield from ()
    raise Unavailable("no answer", code="media_unreachable")


def short(first: int, length: int) -> Iterator[bytes]:
    yield content(first, length // 2)


def long(first: int, length: int) -> Iterator[bytes]:
    yield content(first, length)
    yield b"x"


def breaking(first: int, length: int) -> Iterator[bytes]:
    yield content(first, length // 2)
    raise Unavailable("broke off")


UPLOADED_AT_LAST: list[tuple[Account, Callable[[Stream], Draft], State]] = [
    (tt.account(), lambda source: tt.video(source=source), LAST_UPLOAD),
    (yt.account(), lambda source: yt.video(bytes=yt.BIG, source=source), LAST_CHUNK),
]
"""Where the visible call ends the upload."""


@pytest.mark.parametrize(("account", "make", "state"), UPLOADED_AT_LAST)
def test_a_dead_source_is_noticed_before_the_visible_call_and_one_that_breaks_leaves_it_unknown(
    server: ScriptedServer, account: Account, make: Callable[[Stream], Draft], state: State
) -> None:
    adapter, kept = build_adapter(account.platform, server.url), fill(server, state)
    for path in ("/video/", google.SESSION.partition("?")[0]):
        server.on("PUT", path, Reply(google.VIDEO, status=201))
    with pytest.raises(Unavailable) as trouble:
        adapter.finalize(make(dead), account, kept)
    assert trouble.value.code == "media_unreachable"
    assert server.requests == []
    for source in (short, long, breaking):
        with pytest.raises(OutcomeUnknown):
            adapter.finalize(make(source), account, kept)


# --- look ------------------------------------------------------------------------------------------------------------

UNARMED: list[tuple[Account, Draft, State]] = [
    *((fb.account(), fb.photos(), state) for state in (START, {"photos": ["1"]}, IMAGES)),
    *(
        (ig.account(), ig.reel(), state)
        for state in (
            START,
            {"quota_read": True},
            {"restarts": 2},
            {"container": ig.CONTAINER, "upload_uri": "https://rupload.facebook.com/ig-api-upload/v25.0/1"},
        )
    ),
    *(
        (ORG, li.build_draft(), state)
        for state in (START, {"media": [{"urn": li.IMAGE, "url": "x"}]}, {"media": [{}], "restarts": 1})
    ),
    *((pi.account(), draft, {"board_id": pi.BOARD}) for draft in (pi.post(), PIN_VIDEO)),
    *((yt.account(), BIG_VIDEO, state) for state in (START, LAST_CHUNK, {**SESSION, "unsure": True})),
]


@pytest.mark.parametrize(("account", "draft", "state"), UNARMED)
def test_before_arming_a_look_with_nothing_to_read_sends_prepare_on(
    server: ScriptedServer, account: Account, draft: Draft, state: State
) -> None:
    kept = fill(server, state)
    result = build_adapter(account.platform, server.url).look(draft, account, kept, None, NONE_TAKEN)
    assert result == Ready(checkpoint=kept)
    assert server.requests == []


NO_HANDLE: list[tuple[Account, Draft, State]] = [
    (fb.account(), fb.photos(), {}),
    (ig.account(), ig.carousel(), {"quota_read": True, "children": ["c1", "c2"], "ready": 2}),
    (pi.account(), pi.post(board=None), {}),
    (BUSINESS, tt.photos(privacy_level="SELF_ONLY"), {}),
    (BUSINESS, tt.photos(post_mode="MEDIA_UPLOAD"), {}),
]


@pytest.mark.parametrize(("account", "draft", "state"), NO_HANDLE)
def test_armed_without_a_handle_it_cannot_be_told(
    server: ScriptedServer, account: Account, draft: Draft, state: State
) -> None:
    seen = build_adapter(account.platform, server.url).look(draft, account, state, ARMED, NONE_TAKEN)
    assert isinstance(seen, CannotTell)
    assert server.requests == []


def refuse(code: int, subcode: int | None = None, status: int = 400) -> Reply:
    return Reply(build_error(code, subcode), status=status)


UNREADABLE: list[tuple[Account, Draft, State, list[Reply]]] = [
    (fb.account(), fb.photos(), FEED_POST, [refuse(100, 33), Reply(f'{{"id":"{fb.POST}"}}')]),
    *(
        (fb.account(), draft, {**REEL, "sent": True}, [refuse(100, 33)])
        for draft in (fb.reel(), fb.landscape())
    ),
    (ig.account(), ig.photo_post(), CONTAINER, [refuse(100, 33), refuse(24, 2207008)]),
    (
        ORG,
        li.build_draft(),
        DONE_IMAGE,
        [Reply(li.DENIED, status=403), li.build_error(404, "RESOURCE_NOT_FOUND")],
    ),
    (
        pi.account(),
        pi.post(),
        {"board_id": pi.BOARD},
        [Reply(pi.build_error(code, "…"), status=status) for status, code in ((404, 40), (403, 29))],
    ),
    (
        tt.account(),
        tt.photos(),
        {"publish_id": "p_pub_url~v2.1"},
        [
            Reply(tiktok.error(code), status=400)
            for code in ("invalid_publish_id", "token_not_authorized_for_specified_publish_id")
        ],
    ),
    (tt.account(), tt.photos(), {}, [Reply(tiktok.error("scope_not_authorized"), status=401)]),
    (BUSINESS, tt.video(), {"publish_id": "v_pub_url~v1.1"}, [Reply(tiktok.business_error(40002))]),
    (BUSINESS, tt.video(), {}, [Reply(tiktok.business_error(40001))]),
]


@pytest.mark.parametrize(("account", "draft", "state", "replies"), UNREADABLE)
def test_a_handle_or_a_list_that_may_not_be_read_proves_nothing(
    server: ScriptedServer, account: Account, draft: Draft, state: State, replies: list[Reply]
) -> None:
    for reply in replies:
        server.enqueue(reply)
        seen = build_adapter(account.platform, server.url).look(draft, account, state, ARMED, NONE_TAKEN)
        assert isinstance(seen, CannotTell), reply


LIVE: list[tuple[Account, Draft, State, Published]] = [
    (fb.account(), fb.photos(), {**FEED_POST, "live": fb.POST}, Published(remote_id=fb.POST)),
    (ig.account(), ig.photo_post(), {**CONTAINER, "media_id": ig.MEDIA_ID}, Published(remote_id=ig.MEDIA_ID)),
    (
        yt.account(),
        BIG_VIDEO,
        {**LAST_CHUNK, "video_id": google.VIDEO_ID},
        Published(remote_id=google.VIDEO_ID, url=f"https://www.youtube.com/shorts/{google.VIDEO_ID}"),
    ),
]


@pytest.mark.parametrize(("account", "draft", "state", "live"), LIVE)
@pytest.mark.parametrize(
    "reply",
    [
        DROP,
        Reply(status=401),
        Reply(status=500),
        Reply("<html>"),
        Reply(status=418),
        refuse(100, 33),
        refuse(4),
    ],
)
def test_a_failed_read_never_unpublishes(
    server: ScriptedServer, account: Account, draft: Draft, state: State, live: Published, reply: Reply
) -> None:
    server.enqueue(reply)
    adapter = build_adapter(account.platform, server.url)
    seen = adapter.look(draft, account, fill(server, state), ARMED, NONE_TAKEN)
    assert isinstance(seen, Published)
    assert (seen.remote_id, seen.url) == (live.remote_id, live.url)


# --- prepare ---------------------------------------------------------------------------------------------------------

GIVEN_UP: list[tuple[Account, Draft, State, Reply, str]] = [
    (fb.account(), fb.photos(), {**FEED_POST, "polls": 5, "restarts": 3}, refuse(100, 33), ""),
    (fb.account(), fb.reel(), {**REEL, "cuts": 5}, DROP, ""),
    (
        ORG,
        li.build_draft(),
        {"media": [{"urn": li.IMAGE, "url": "BASE/dms-uploads/1"}], "restarts": 3},
        Reply(status=403, body=""),
        "upload_expired",
    ),
    (
        pi.account(),
        PIN_VIDEO,
        {
            **{name: value for name, value in SENT_PIN.items() if name != "sent"},
            "upload_url": "BASE/s3/",
            "upload_parameters": {"key": "uploads/1"},
            "restarts": 4,
        },
        DROP,
        "upload_interrupted",
    ),
    (yt.account(), BIG_VIDEO, {**SESSION, "cuts": CUTS}, DROP, ""),
    (yt.account(), BIG_VIDEO, {**SESSION, "restarts": RESTARTS}, Reply(status=404), ""),
]


@pytest.mark.parametrize(("account", "draft", "state", "reply", "code"), GIVEN_UP)
def test_nothing_is_begun_anew_for_ever(
    server: ScriptedServer, account: Account, draft: Draft, state: State, reply: Reply, code: str
) -> None:
    server.enqueue(reply)
    with pytest.raises(Unavailable) as trouble:
        build_adapter(account.platform, server.url).prepare(draft, account, fill(server, state))
    assert code in ("", trouble.value.code)


READ_AGAIN: list[tuple[Account, Draft, State, str, int]] = [
    (ORG, li.build_draft(), SENT_IMAGE, li.build_media_status("PROCESSING"), 1),
    (ORG, li.build_draft(), SENT_IMAGE, li.build_media_status("WAITING_UPLOAD"), 1),
    (pi.account(), PIN_VIDEO, SENT_PIN, pi.build_media_status("processing"), 5),
    (ig.account(), ig.photo_post(), CONTAINER, ig.status("IN_PROGRESS"), 1),
    (ig.account(), ig.reel(), CONTAINER, ig.status("IN_PROGRESS"), 5),
]


@pytest.mark.parametrize(("account", "draft", "state", "reply", "first"), READ_AGAIN)
def test_reads_of_a_status_grow_apart_up_to_a_minute(
    server: ScriptedServer, account: Account, draft: Draft, state: State, reply: str, first: int
) -> None:
    adapter = build_adapter(account.platform, server.url)
    for polls, seconds in ((0, first), (1, 2 * first), (3, 8 * first), (50, 60)):
        kept, again = {**state, "polls": polls}, {**state, "polls": polls + 1}
        waits = Pending(checkpoint=again, wait=timedelta(seconds=seconds))
        server.enqueue(reply, reply)
        assert adapter.prepare(draft, account, kept) == waits
        assert adapter.look(draft, account, kept, None, NONE_TAKEN) == waits
