"""A live video joins a playlist once, whatever was lost; a refusal concerns the playlist only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from adapters.contract import AddsToPlaylist
from adapters.errors import AdapterError, RateLimited, Rejected, Unavailable
from adapters.http import HttpClient
from adapters.youtube.adapter import YouTube
from adapters.youtube.oauth import MANAGE_SCOPE
from tests.adapters.scripted_server import Reply, ScriptedServer
from tests.adapters.youtube import examples
from tests.adapters.youtube.drafts import BIG, account, build_settings, video
from tests.adapters.youtube.upload_session import Session

Make = Callable[..., YouTube]
ITEMS = "/youtube/youtube/v3/playlistItems"
VIDEO, PLAYLIST = "dQw4w9WgXcQ", "PLabc"
EMPTY = '{"kind":"youtube#playlistItemListResponse","items":[]}'
INSERTED = '{"kind":"youtube#playlistItem","id":"UExh"}'


def add(youtube: Make) -> None:
    youtube().add_to_playlist(account(), VIDEO, PLAYLIST)


def test_the_playlist_is_read_before_the_video_is_inserted(server: ScriptedServer, youtube: Make) -> None:
    server.on("GET", ITEMS, EMPTY)
    server.on("POST", ITEMS, INSERTED)
    add(youtube)
    read, insert = server.requests
    assert read.query == {"part": "id", "playlistId": PLAYLIST, "videoId": VIDEO, "maxResults": "1"}
    assert insert.query == {"part": "snippet"}
    assert insert.json() == {
        "snippet": {"playlistId": PLAYLIST, "resourceId": {"kind": "youtube#video", "videoId": VIDEO}}
    }


def test_a_video_that_another_try_inserted_meanwhile_is_no_failure(
    server: ScriptedServer, youtube: Make
) -> None:
    server.on("GET", ITEMS, EMPTY)
    server.on("POST", ITEMS, Reply(examples.error(409, "videoAlreadyInPlaylist"), status=409))
    add(youtube)


@pytest.mark.parametrize(
    ("status", "reason", "kind", "code"),
    [
        (404, "playlistNotFound", Rejected, "playlist_not_found"),
        (403, "playlistItemsNotAccessible", Rejected, "playlist_not_found"),
        (403, "playlistContainsMaximumNumberOfVideos", Rejected, "playlist_full"),
        (400, "manualSortRequired", Rejected, "playlist_not_writable"),
        (400, "playlistOperationUnsupported", Rejected, "playlist_not_writable"),
        (403, "insufficientPermissions", Rejected, "playlist_not_allowed"),
        (404, "videoNotFound", Rejected, "video_not_found"),
        (403, "quotaExceeded", RateLimited, "quota_exhausted"),
        (503, "backendError", Unavailable, "platform_unavailable"),
    ],
)
def test_what_an_insertion_may_be_answered(
    server: ScriptedServer, youtube: Make, status: int, reason: str, kind: type[AdapterError], code: str
) -> None:
    server.on("GET", ITEMS, EMPTY)
    server.on("POST", ITEMS, Reply(examples.error(status, reason), status=status))
    with pytest.raises(kind) as error:
        add(youtube)
    assert error.value.code == code


def test_a_draft_names_its_playlist_and_whether_subscribers_are_told(
    server: ScriptedServer, youtube: Make, session: Callable[[int], Session]
) -> None:
    session(BIG)
    adapter = youtube()
    assert isinstance(adapter, AddsToPlaylist)
    draft = video(bytes=BIG)
    assert adapter.get_playlist(draft) is None
    for told, query in ((None, {}), (True, {}), (False, {"notifySubscribers": "false"})):
        asked = replace(draft, options={"playlist_id": PLAYLIST, "notify_subscribers": told})
        assert adapter.get_playlist(asked) == PLAYLIST
        youtube().prepare(asked, account(), {})
        assert server.requests[-1].query == {"uploadType": "resumable", "part": "snippet,status", **query}


def test_only_an_operator_who_says_so_asks_for_the_scope_of_playlists(server: ScriptedServer) -> None:
    for options, is_asked in (({}, False), ({"playlists": False}, False), ({"playlists": True}, True)):
        adapter = YouTube(HttpClient(), build_settings(server.url, **options))
        url = adapter.authorize_url("https://us.example/callback", "state", None)
        assert ("youtube.force-ssl" in url) is is_asked
    assert MANAGE_SCOPE.endswith("youtube.force-ssl")
