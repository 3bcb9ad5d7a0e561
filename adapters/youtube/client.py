"""The requests about one channel: the resumable upload, and reads of the channel and its videos.

A probe is a PUT without bytes (``Content-Length: 0``, ``Content-Range: bytes */N``): it asks how many bytes the session
has and changes nothing, so ``look`` may send it. A read costs 1 quota unit. Sources:
developers.google.com/youtube/v3/guides/using_resumable_upload_protocol, read 2026-11-24, and the discovery document
youtube.v3, revision 20261104, against which the tests check every request.

Once an upload is over, its session repeats the response to the last chunk, however often it is asked; the new
``Location`` of a 308: google-api-python-client 2.202.0, googleapiclient/http.py.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

from adapters.contract import Draft, Media
from adapters.error_table import Phase, parse_retry_after
from adapters.errors import PermissionMissing, Rejected, Unavailable
from adapters.http import Model, Response
from adapters.transport import (
    BearerClient,
    get_size,
    is_web_page,
    open_body,
    parse_response,
)
from adapters.youtube import payload, wire
from adapters.youtube.checkpoint import Checkpoint
from adapters.youtube.errors import (
    IN_PLAYLIST,
    SERVICE,
    build_unclear_error,
    find_row,
    parse_reason,
    translate_error,
    translate_playlist_error,
)
from adapters.youtube.limits import CHUNK, CHUNK_TIME, PAGE

GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,15})")
_QUOTA_CODES = frozenset({"quota_exhausted", "daily_limit"})


# --- responses -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Incomplete:
    """308: YouTube has the first ``offset`` bytes, and the upload continues at ``session``."""

    offset: int
    session: str = field(repr=False)
    wait: timedelta | None = None
    """Its Retry-After."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Complete:
    """200 or 201: the video exists."""

    video: wire.Video


@dataclass(frozen=True, slots=True)
class Gone:
    """404 or 410: the session does not exist, or no longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Any other status; the tables of ``errors.py`` give its meaning."""

    response: Response = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """A success or a 308 that cannot be parsed."""

    status: int


UploadResponse = Incomplete | Complete | Gone | Refused | Unreadable


def parse_upload_response(response: Response, state: Checkpoint, api: str) -> UploadResponse:
    """Classify the response of an upload session by its status."""
    if response.status in {HTTPStatus.OK, HTTPStatus.CREATED}:
        video = response.parse(wire.Video)
        return Complete(video=video) if video else Unreadable(status=response.status)
    if response.status == HTTPStatus.PERMANENT_REDIRECT:
        return _parse_incomplete(response, state, api)
    return Gone() if response.status in GONE else Refused(response=response)


def _parse_incomplete(response: Response, state: Checkpoint, api: str) -> UploadResponse:
    """Parse a 308. Without Range nothing is stored; with Location the upload continues there."""
    stored = response.headers.get("Range")
    match = _RANGE.fullmatch(stored.strip()) if stored is not None else None
    if is_web_page(response) or (stored is not None and match is None):
        return Unreadable(status=response.status)
    location = response.headers.get("Location")
    session = trust_location(location, api) if location else state.session or ""
    offset = min(int(match[1]) + 1, state.size) if match else 0
    return Incomplete(offset=offset, session=session, wait=parse_retry_after(response))


def trust_location(location: str, api: str) -> str:
    """Return the session's URI on a host that may receive the token: the configured one, or another Google API's."""
    url = urljoin(f"{api}/", location)
    if url.startswith(f"{api}/") or (_is_google(url) and _is_google(api)):
        return url
    parts = urlsplit(url)
    return f"{api}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def _is_google(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and (parts.hostname or "").endswith(".googleapis.com")


def ends_session(response: Response) -> bool:
    """Return True if a probe's response, in Google's envelope, ends the session without a video.

    A spent quota is included because a session repeats its last response: it would report the quota forever.
    """
    row = find_row(response)
    if parse_reason(response) is None or is_server_error(response):
        return False
    return row is None or row.of_insert or row.code in _QUOTA_CODES


def is_server_error(response: Response) -> bool:
    """Return True for a 5xx."""
    return response.status >= HTTPStatus.INTERNAL_SERVER_ERROR


# --- requests --------------------------------------------------------------------------------------------------------


class Client(BearerClient):
    """The requests that one access token allows."""

    service = SERVICE
    to_error = staticmethod(translate_error)

    # --- upload ------------------------------------------------------------------------------------------------------

    def start_upload(self, draft: Draft, state: Checkpoint, body: dict[str, Any]) -> Checkpoint:
        """Request an upload session. It makes nothing visible and may be repeated, but may count as an upload."""
        facts = draft.media[0].facts
        if facts is None or facts.bytes <= 0:
            raise Unavailable("The size of the video is not known yet.", code="media_unavailable")
        now, is_quiet = time.time(), draft.options.get("notify_subscribers") is False
        response = self._send(
            "POST",
            f"{self._api}/upload/youtube/v3/videos",
            Phase.PREPARE,
            params={
                "uploadType": "resumable",
                "part": "snippet,status",
                **({"notifySubscribers": "false"} if is_quiet else {}),
            },
            headers={
                "Content-Type": "application/json; charset=UTF-8",
                "X-Upload-Content-Length": str(facts.bytes),
                "X-Upload-Content-Type": facts.content_type,
                "Slug": payload.build_file_name(draft),
            },
            json=body,
        )
        if response.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
            raise translate_error(response, Phase.PREPARE)
        location = response.headers.get("Location")
        if not location:
            raise build_unclear_error(Phase.PREPARE, platform_code="no_location", status=response.status)
        return state.replace(
            session=trust_location(location, self._api),
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
        response = self._send(
            "PUT",
            state.session or "",
            phase,
            headers={
                "Content-Type": state.content_type,
                "Content-Range": f"bytes {state.offset}-{state.offset + length - 1}/{state.size}",
            },
            body=open_body(media, state.offset, length),
            limit=CHUNK_TIME,
        )
        return parse_upload_response(response, state, self._api)

    def probe_upload(self, state: Checkpoint, phase: Phase) -> UploadResponse:
        """Ask the session how many bytes it has; changes nothing."""
        headers = {"Content-Range": f"bytes */{state.size}"}
        response = self._send("PUT", state.session or "", phase, headers)
        return parse_upload_response(response, state, self._api)

    def set_thumbnail(self, video_id: str, image: Media) -> None:
        """Set the thumbnail of a video; the same image again changes nothing."""
        size = get_size(image)
        content_type = image.facts.content_type if image.facts else "application/octet-stream"
        response = self._send(
            "POST",
            f"{self._api}/upload/youtube/v3/thumbnails/set",
            Phase.PREPARE,
            params={"videoId": video_id, "uploadType": "media"},
            headers={"Content-Type": content_type},
            body=open_body(image, 0, size),
            limit=CHUNK_TIME,
        )
        try:
            self._read(response, wire.ThumbnailSetResponse, Phase.PREPARE)
        except PermissionMissing as error:  # it concerns thumbnails only: the account itself can go on
            raise Rejected(
                "YouTube lets this channel set no thumbnail: its phone number is not verified, or the grant lacks it.",
                code="cover_not_allowed",
                next_action="Verify the channel at youtube.com/verify, or set the thumbnail in YouTube Studio.",
                **error.reported,
            ) from None

    def is_in_playlist(self, playlist: str, video_id: str) -> bool:
        """Return True if the playlist has the video."""
        params = {"part": "id", "playlistId": playlist, "videoId": video_id, "maxResults": "1"}
        return bool(self._call_playlist("GET", wire.PlaylistItemListResponse, params).items)

    def insert_into_playlist(self, playlist: str, video_id: str) -> None:
        """Insert a video at the end of a playlist; one that is there already is left as it is."""
        resource = {"kind": "youtube#video", "videoId": video_id}
        body = {"snippet": {"playlistId": playlist, "resourceId": resource}}
        try:
            self._call_playlist("POST", wire.PlaylistItem, {"part": "snippet"}, json=body)
        except Rejected as error:
            if error.code != IN_PLAYLIST:
                raise

    def _call_playlist(
        self, method: str, model: type[Model], params: dict[str, str], **options: Any
    ) -> Model:
        url = f"{self._api}/youtube/v3/playlistItems"
        response = self._send(method, url, Phase.PREPARE, params=params, **options)
        try:
            return parse_response(response, model, SERVICE, Phase.PREPARE, translate_playlist_error)
        except PermissionMissing as error:  # it concerns playlists only: the account itself can go on
            raise Rejected(
                "YouTube lets us add nothing to this playlist: the grant does not include it.",
                code="playlist_not_allowed",
                next_action="Connect the channel again with the permission to manage it, or add the video in "
                "YouTube Studio.",
                **error.reported,
            ) from None

    # --- reads -------------------------------------------------------------------------------------------------------

    def list_own_channels(self, part: str) -> Sequence[wire.Channel]:
        """List the token's channels: the one that the user chose on the consent page."""
        return self._get("channels", wire.ChannelListResponse, part=part, mine="true").items

    def list_uploads(self, playlist: str, page: str | None) -> wire.PlaylistItemListResponse:
        """Read a page of a channel's uploads, newest first."""
        more = {} if page is None else {"pageToken": page}
        return self._get(
            "playlistItems",
            wire.PlaylistItemListResponse,
            part="snippet,contentDetails",
            playlistId=playlist,
            maxResults=str(PAGE),
            **more,
        )

    def list_videos(self, ids: Sequence[str], part: str) -> Sequence[wire.Video]:
        """List the videos of *ids* that exist."""
        return self._get("videos", wire.VideoListResponse, part=part, id=",".join(ids)).items

    def _get(self, collection: str, model: type[Model], **params: str) -> Model:
        url = f"{self._api}/youtube/v3/{collection}"
        return self._read(self._send("GET", url, Phase.LOOK, params=params), model, Phase.LOOK)
