"""A Page's publishing endpoints, one method a request; what to call when is ``adapter.py``'s business.

Sources: developers.facebook.com/docs/pages-api/posts and .../docs/video-api/guides/reels-publishing, both 2026-09-11,
.../docs/graph-api/reference/page/{photos,videos}; the form ``published=false`` then ``is_published=true`` of a feed
post is undocumented and known from a third party's probe of Graph v25.0, 2026-09-05.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import chain
from typing import Any

from pydantic import ValidationError

from adapters.contract import Account, Draft, Media, PlatformSettings
from adapters.errors import Unsupported
from adapters.facebook import limits
from adapters.facebook.checkpoint import Progress
from adapters.facebook.errors import TABLE, WRONG_OFFSET
from adapters.facebook.wire import (
    Created,
    Offsets,
    PostNode,
    Posts,
    ReelStarted,
    Success,
    VideoNode,
    VideoStarted,
)
from adapters.graph_api import Graph, Reply, answered, fault_of, rebased, refusal, rupload, usage_of
from adapters.http import Client, SizedBody
from adapters.upload_source import opened


class Page:
    """One Page's photos, posts and videos."""

    def __init__(self, client: Client, settings: PlatformSettings, account: Account) -> None:
        self._client = client
        self._settings = settings
        self._id = account.remote_id
        self.www = settings.hosts["www"]
        self._token = account.credentials.access_token.get_secret_value()
        self._graph = self._host("graph")
        self._videos = self._host("graph_video")

    # --- invisible ---------------------------------------------------------------------------------------------------

    def create_photo(self, media: Media) -> Reply[Created]:
        """An unpublished photo; it lives about 24 hours."""
        fields = {"url": media.url, "published": False}
        return self._graph.change(Created, f"{self._id}/photos", self._token, json_body=fields)

    def create_post(self, draft: Draft, photos: Sequence[str]) -> Reply[Created]:
        """An unpublished post over unpublished photos."""
        fields = {**_post(draft, photos), "published": False}
        return self._graph.change(Created, f"{self._id}/feed", self._token, json_body=fields)

    def start_reel(self) -> Reply[ReelStarted]:
        """A video id and an address for the bytes."""
        fields = {"upload_phase": "start"}
        return self._graph.change(ReelStarted, f"{self._id}/video_reels", self._token, json_body=fields)

    def send_reel(self, media: Media, upload_url: str, offset: int) -> None:
        """The rest of the bytes, or the URL for Facebook to pull from."""
        url = rebased(upload_url, self._settings.hosts["rupload"])
        if not self._settings.options.get("byte_upload") or media.stream is None or media.facts is None:
            headers = {"file_url": media.url}
            return rupload(self._client, "Facebook", url, self._token, TABLE, headers=headers)
        size = media.facts.bytes
        return rupload(
            self._client,
            "Facebook",
            url,
            self._token,
            TABLE,
            headers={"offset": str(offset), "file_size": str(size)},
            chunks=opened(media, offset, size - offset),
            length=size - offset,
            limit=_time_for(size - offset),
        )

    def start_video(self, media: Media) -> Reply[VideoStarted]:
        """A video id, a session, and which bytes are wanted first."""
        if media.facts is None or media.stream is None:
            raise Unsupported("A Facebook video is sent as bytes, and its size and bytes are not at hand")
        fields = {"upload_phase": "start", "file_size": media.facts.bytes}
        return self._videos.change(VideoStarted, f"{self._id}/videos", self._token, json_body=fields)

    def transfer(self, media: Media, at: Progress) -> Reply[Offsets]:
        """One chunk; answers which is wanted next, also when this one was not (its answer had been lost)."""
        length = at.end - at.start
        fields = {
            "upload_phase": "transfer",
            "upload_session_id": at.session or "",
            "start_offset": str(at.start),
        }
        kind, body = _multipart(fields, opened(media, at.start, length), length)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        url = f"{self._settings.hosts['graph_video']}/{self._settings.version}/{self._id}/videos"
        answer = answered(
            self._client,
            "Facebook",
            "POST",
            url,
            visible=False,
            headers=headers,
            body=body,
            limit=_time_for(length),
        )
        fault = fault_of(answer)
        wanted = fault.error_data if fault and fault.error_subcode == WRONG_OFFSET else answer.body
        try:
            return Reply(data=_offsets(wanted), usage=usage_of(answer.headers))
        except ValidationError:
            raise refusal("Facebook", answer, TABLE, visible=False, token=self._token) from None

    # --- the visible calls -------------------------------------------------------------------------------------------

    def show_post(self, post: str) -> None:
        """The unpublished post becomes visible; saying it twice shows no second one."""
        self._graph.publish(Success, post, self._token, {"is_published": True})

    def post(self, draft: Draft, photos: Sequence[str]) -> str:
        """The direct form: the post appears with this call."""
        return self._graph.publish(Created, f"{self._id}/feed", self._token, _post(draft, photos)).data.id

    def finish_reel(self, draft: Draft, video_id: str) -> None:
        """The reel appears when Facebook has processed it."""
        fields = {
            "upload_phase": "finish",
            "video_id": video_id,
            "video_state": "PUBLISHED",
            "description": draft.caption,
        }
        self._graph.publish(Success, f"{self._id}/video_reels", self._token, fields)

    def finish_video(self, draft: Draft, session: str) -> None:
        """The video appears when Facebook has processed it."""
        fields = {"upload_phase": "finish", "upload_session_id": session, "description": draft.caption}
        self._videos.publish(Success, f"{self._id}/videos", self._token, fields)

    # --- reads -------------------------------------------------------------------------------------------------------

    def read_post(self, post: str) -> Reply[PostNode]:
        """Whether a post is visible, and its link."""
        return self._graph.read(PostNode, post, self._token, fields="id,is_published,permalink_url")

    def read_video(self, video_id: str) -> Reply[VideoNode]:
        """Where a video stands, and its link."""
        fields = "status,published,post_id,permalink_url,created_time"
        return self._graph.read(VideoNode, video_id, self._token, fields=fields)

    def newest(self, since: int) -> Sequence[PostNode]:
        """The Page's visible posts since a unix time, newest first."""
        fields = "id,message,created_time,permalink_url"
        path = f"{self._id}/published_posts"
        asked = {"fields": fields, "since": str(since), "limit": "100"}
        return self._graph.read(Posts, path, self._token, **asked).data.data

    def _host(self, name: str) -> Graph:
        base = f"{self._settings.hosts[name]}/{self._settings.version}"
        return Graph(self._client, service="Facebook", base=base, table=TABLE)


def _post(draft: Draft, photos: Sequence[str]) -> dict[str, Any]:
    return {"message": draft.caption, "attached_media": [{"media_fbid": photo} for photo in photos]}


def _time_for(length: int) -> timedelta:
    return timedelta(seconds=30 + length / limits.UPLOAD_FLOOR)


def _offsets(said: Any) -> Offsets:
    if isinstance(said, bytes):
        return Offsets.model_validate_json(said)
    if isinstance(said, str):  # error_data was seen as an object and as JSON in a string
        return Offsets.model_validate_json(said)
    return Offsets.model_validate(said)


def _multipart(fields: dict[str, str], chunk: Iterator[bytes], length: int) -> tuple[str, SizedBody]:
    """A form with one file, streamed: the content type and the body."""
    boundary = secrets.token_hex(16)
    parts = [
        f"--{boundary}\r\nContent-Disposition: form-data; name={json.dumps(name)}\r\n\r\n{value}\r\n"
        for name, value in fields.items()
    ]
    file = 'form-data; name="video_file_chunk"; filename="chunk"\r\nContent-Type: application/octet-stream'
    head = ("".join(parts) + f"--{boundary}\r\nContent-Disposition: {file}\r\n\r\n").encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    body = SizedBody(chain([head], chunk, [tail]), len(head) + length + len(tail))
    return f"multipart/form-data; boundary={boundary}", body
