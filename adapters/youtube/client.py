"""The requests about one channel: the resumable upload, and reads of the channel and its videos.

A probe is a PUT without bytes (``Content-Length: 0``, ``Content-Range: bytes */N``): it asks how many bytes the session
has and changes nothing, so ``look`` may send it. Sources: the guide named in ``upload.py``, and the discovery document
youtube.v3, revision 20261104, against which the tests check every request. A read costs 1 quota unit.

Send a request to Google, and parse the response of a read.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from adapters import transport
from adapters.contract import Draft, Media
from adapters.error_table import Phase
from adapters.errors import PermissionMissing, Rejected, Unavailable
from adapters.http import HttpClient, Response
from adapters.transport import Model, Request, bearer_header, get_size, open_body
from adapters.youtube import payload
from adapters.youtube.checkpoint import Checkpoint
from adapters.youtube.errors import SERVICE, build_unclear_error, translate_error
from adapters.youtube.limits import CHUNK, CHUNK_TIME, PAGE
from adapters.youtube.upload import UploadResponse, parse_upload_response, trust_location
from adapters.youtube.wire import (
    Channel,
    ChannelListResponse,
    PlaylistItemListResponse,
    ThumbnailSetResponse,
    Video,
    VideoListResponse,
    Wire,
)


def send(http: HttpClient, request: Request, phase: Phase) -> Response:
    """Return the response, whatever its status; raise as ``adapters.transport.send``."""
    return transport.send(http, SERVICE, request, phase)


def read(http: HttpClient, request: Request, model: type[Model], phase: Phase) -> Model:
    """Return the response parsed as *model*. Raise Unavailable if it is unreadable, else the table's error."""
    return transport.parse_response(send(http, request, phase), model, SERVICE, phase, translate_error)


WireT = TypeVar("WireT", bound=Wire)


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """The requests that one access token allows."""

    http: HttpClient
    api: str
    token: str = field(repr=False)

    # --- upload ------------------------------------------------------------------------------------------------------

    def start_upload(self, draft: Draft, state: Checkpoint, body: dict[str, Any]) -> Checkpoint:
        """Request an upload session. It makes nothing visible and may be repeated, but may count as an upload."""
        facts = draft.media[0].facts
        if facts is None or facts.bytes <= 0:
            raise Unavailable("The size of the video is not known yet.", code="media_unavailable")
        now = time.time()
        request = Request(
            method="POST",
            url=f"{self.api}/upload/youtube/v3/videos",
            params={"uploadType": "resumable", "part": "snippet,status"},
            headers={
                **bearer_header(self.token),
                "Content-Type": "application/json; charset=UTF-8",
                "X-Upload-Content-Length": str(facts.bytes),
                "X-Upload-Content-Type": facts.content_type,
                "Slug": payload.build_file_name(draft),
            },
            json=body,
        )
        response = send(self.http, request, Phase.PREPARE)
        if response.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
            raise translate_error(response, Phase.PREPARE)
        location = response.headers.get("Location")
        if not location:
            raise build_unclear_error(Phase.PREPARE, platform_code="no_location", status=response.status)
        return state.replace(
            session=trust_location(location, self.api),
            size=facts.bytes,
            content_type=facts.content_type,
            started_at=now,
            said_at=time.time(),
            offset=0,
            unsure=False,
        )

    def send_chunk(self, media: Media, state: Checkpoint, phase: Phase) -> UploadResponse:
        """Send the next chunk; its source is opened first.

        Raise what the source raises: Unavailable if it does not respond, Rejected if the file has changed.
        """
        length = min(CHUNK, state.size - state.offset)
        request = Request(
            method="PUT",
            url=state.session or "",
            headers={
                **bearer_header(self.token),
                "Content-Type": state.content_type,
                "Content-Range": f"bytes {state.offset}-{state.offset + length - 1}/{state.size}",
            },
            body=open_body(media, state.offset, length),
            limit=CHUNK_TIME,
        )
        return parse_upload_response(send(self.http, request, phase), state, self.api)

    def probe_upload(self, state: Checkpoint, phase: Phase) -> UploadResponse:
        """Ask the session how many bytes it has; changes nothing."""
        headers = {**bearer_header(self.token), "Content-Range": f"bytes */{state.size}"}
        request = Request(method="PUT", url=state.session or "", headers=headers)
        return parse_upload_response(send(self.http, request, phase), state, self.api)

    def set_thumbnail(self, video_id: str, image: Media) -> None:
        """Set the thumbnail of a video; the same image again changes nothing."""
        size = get_size(image)
        request = Request(
            method="POST",
            url=f"{self.api}/upload/youtube/v3/thumbnails/set",
            params={"videoId": video_id, "uploadType": "media"},
            headers={
                **bearer_header(self.token),
                "Content-Type": image.facts.content_type if image.facts else "application/octet-stream",
            },
            body=open_body(image, 0, size),
            limit=CHUNK_TIME,
        )
        try:
            read(self.http, request, ThumbnailSetResponse, Phase.PREPARE)
        except PermissionMissing as error:  # it concerns thumbnails only: the account itself can go on
            raise Rejected(
                "YouTube lets this channel set no thumbnail: its phone number is not verified, or the grant lacks it.",
                code="cover_not_allowed",
                platform_code=error.platform_code,
                http_status=error.http_status,
                next_action="Verify the channel at youtube.com/verify, or set the thumbnail in YouTube Studio.",
                platform_message=error.platform_message,
            ) from None

    # --- reads -------------------------------------------------------------------------------------------------------

    def list_own_channels(self, part: str) -> Sequence[Channel]:
        """List the token's channels: the one that the user chose on the consent page."""
        return self._get("channels", ChannelListResponse, part=part, mine="true").items

    def list_uploads(self, playlist: str, page: str | None) -> PlaylistItemListResponse:
        """Read a page of a channel's uploads, newest first."""
        more = {} if page is None else {"pageToken": page}
        return self._get(
            "playlistItems",
            PlaylistItemListResponse,
            part="snippet,contentDetails",
            playlistId=playlist,
            maxResults=str(PAGE),
            **more,
        )

    def list_videos(self, ids: Sequence[str], part: str) -> Sequence[Video]:
        """List the videos of *ids* that exist."""
        return self._get("videos", VideoListResponse, part=part, id=",".join(ids)).items

    def _get(self, collection: str, model: type[WireT], **params: str) -> WireT:
        url = f"{self.api}/youtube/v3/{collection}"
        request = Request(method="GET", url=url, params=params, headers=bearer_header(self.token))
        return read(self.http, request, model, Phase.LOOK)
