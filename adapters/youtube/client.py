"""What a channel says about itself and its uploads: the reads, one method a request (1 quota unit each).

Source: the discovery document youtube.v3, revision 20261104; against it every request is held in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from adapters.error_table import Phase
from adapters.http import HttpClient
from adapters.transport import Request, bearer_header
from adapters.youtube.limits import PAGE
from adapters.youtube.transport import read
from adapters.youtube.wire import (
    Channel,
    ChannelListResponse,
    PlaylistItemListResponse,
    Video,
    VideoListResponse,
    Wire,
)

WireT = TypeVar("WireT", bound=Wire)


@dataclass(frozen=True, kw_only=True, slots=True)
class Channels:
    """The channels and videos that one token reaches."""

    client: HttpClient
    api: str
    token: str = field(repr=False)

    def mine(self, part: str) -> Sequence[Channel]:
        """The channels of the grant; YouTube's consent page lets the person choose one."""
        return self._ask("channels", ChannelListResponse, part=part, mine="true").items

    def uploads(self, playlist: str, page: str | None) -> PlaylistItemListResponse:
        """A page of everything a channel uploaded, newest first."""
        more = {} if page is None else {"pageToken": page}
        return self._ask(
            "playlistItems",
            PlaylistItemListResponse,
            part="snippet,contentDetails",
            playlistId=playlist,
            maxResults=str(PAGE),
            **more,
        )

    def videos(self, ids: Sequence[str], part: str) -> Sequence[Video]:
        """Those of the videos that exist."""
        return self._ask("videos", VideoListResponse, part=part, id=",".join(ids)).items

    def _ask(self, collection: str, model: type[WireT], **params: str) -> WireT:
        url = f"{self.api}/youtube/v3/{collection}"
        request = Request(method="GET", url=url, params=params, headers=bearer_header(self.token))
        return read(self.client, request, model, Phase.LOOK)
