"""LinkedIn's endpoints, one method per request.

Source: learn.microsoft.com/linkedin/marketing/community-management/shares/{images-api,videos-api,documents-api,
posts-api}, through digests of 2026-06 to 2026-10, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from adapters.contract import Media
from adapters.error_table import Phase
from adapters.errors import Rejected
from adapters.http import Model, Response, SizedBody
from adapters.linkedin import limits, payload, wire
from adapters.linkedin.errors import (
    GONE,
    SERVICE,
    build_unclear_error,
    translate_error,
    translate_upload_error,
)
from adapters.transport import (
    BearerClient,
    Request,
    bearer_header,
    compute_upload_limit,
    get_size,
    is_web_page,
    open_body,
    read_or_none,
    send,
)

_ROLES, _MAX_ROLE_PAGES = 100, 50
"""Roles of one page, and most pages that are read."""


class Client(BearerClient):
    """Requests with one access token."""

    service = SERVICE
    to_error = staticmethod(translate_error)

    @property
    def www(self) -> str:
        """The host of posts' addresses."""
        return self._settings.hosts["www"]

    def start_whole(self, owner: str, media: Media) -> wire.WholeUpload:
        """Request an upload address for an image or a document; invisible and safe to repeat."""
        path, body = f"{media.kind}s?action=initializeUpload", payload.build_whole_start(owner)
        return self._request("POST", path, wire.StartedWhole, json=body).value

    def start_video(self, owner: str, media: Media, *, has_cover: bool) -> wire.VideoUpload:
        """Request upload addresses for a video's parts and its thumbnail; invisible and safe to repeat."""
        body = payload.build_video_start(owner, get_size(media), has_cover=has_cover)
        video = self._request("POST", "videos?action=initializeUpload", wire.StartedVideo, json=body).value
        if has_cover and not video.thumbnailUploadUrl:
            raise build_unclear_error(Phase.PREPARE, platform_code="no_thumbnail_address")
        return video

    def send_whole(self, media: Media, url: str) -> None:
        """Send an image or a document whole: parts would damage it. The address requires the token."""
        content_type = media.facts.content_type if media.facts else "application/octet-stream"
        headers = {"Content-Type": content_type, **bearer_header(self._token.get_secret_value())}
        response = self._put(url, headers, open_body(media, 0, get_size(media)))
        if response.status != HTTPStatus.CREATED:  # LinkedIn's own success; a proxy's page has 200
            raise build_unclear_error(
                Phase.PREPARE, platform_code=f"http_{response.status}", status=response.status
            )

    def send_part(self, media: Media, part: wire.Part) -> str:
        """Send one part of a video and return its id: the ETag without quotes. Its address takes no token."""
        body = open_body(media, part.firstByte, part.lastByte - part.firstByte + 1)
        response = self._put(part.uploadUrl, {"Content-Type": "application/octet-stream"}, body)
        etag = response.headers.get("ETag", "").strip().strip('"')
        if not etag:
            raise build_unclear_error(Phase.PREPARE, platform_code="no_etag", status=response.status)
        return etag

    def send_cover(self, cover: Media, url: str) -> None:
        """Send a video's thumbnail, before its upload is completed. Its address takes no token."""
        headers = {"Content-Type": "application/octet-stream", "media-type-family": "STILLIMAGE"}
        response = self._put(url, headers, open_body(cover, 0, get_size(cover)))
        if is_web_page(response):  # a proxy's
            raise build_unclear_error(Phase.PREPARE, platform_code="web_page", status=response.status)

    def close_video(self, video: str, token: str, part_ids: Sequence[str]) -> None:
        """Complete a video's upload with the ids of all parts, in their order."""
        body = payload.build_video_close(video, token, part_ids)
        response = self._call("POST", "videos?action=finalizeUpload", json=body)
        if response.status != HTTPStatus.OK:
            raise translate_error(response, Phase.PREPARE)

    def read_status(self, urn: str) -> wire.MediaStatus | None:
        """Read the status of an image, a video or a document; None when LinkedIn does not find it."""
        kind = urn.removeprefix("urn:li:").partition(":")[0]
        path = f"{kind}s/{quote(urn, safe='')}"
        return read_or_none(GONE, lambda: self._request("GET", path, wire.MediaStatus))

    def create_post(self, body: Mapping[str, Any]) -> Response:
        """Create a post: the one visible call. A success has no body; the header ``x-restli-id`` holds the URN."""
        return self._call("POST", "posts", phase=Phase.FINALIZE, json=body)

    def read_post(self, urn: str) -> wire.Post | None:
        """Read an organization's post; None when LinkedIn does not find it."""
        path = f"posts/{quote(urn, safe='')}"
        return read_or_none(GONE, lambda: self._request("GET", path, wire.Post, phase=Phase.LOOK))

    def list_posts(self, author: str, start: int = 0) -> Sequence[wire.Post]:
        """List an organization's posts from place *start* on, the last changed first; a member's cannot be listed."""
        place = {"count": str(limits.LISTED), "start": str(start)}
        params = {"q": "author", "author": author, "sortBy": "LAST_MODIFIED", **place}
        finder = {"X-RestLi-Method": "FINDER"}
        return self._request(
            "GET", "posts", wire.Posts, phase=Phase.LOOK, params=params, more_headers=finder
        ).elements

    def read_member(self, *, is_basic: bool) -> wire.Person | wire.Me:
        """Read the token's member: from ``/v2/me`` (scope ``r_basicprofile``), else by OpenID Connect."""
        url = f"{self._api}/v2/{'me' if is_basic else 'userinfo'}"
        response = self._send("GET", url, Phase.PREPARE)
        if is_basic:
            return self._read(response, wire.Me, Phase.PREPARE)
        return self._read(response, wire.Person, Phase.PREPARE)

    def list_roles(self) -> Sequence[wire.Role]:
        """List the member's approved roles in organizations, on all pages. Raises Rejected for too many."""
        found: list[wire.Role] = []
        for _ in range(_MAX_ROLE_PAGES):
            params = {
                "q": "roleAssignee",
                "state": "APPROVED",
                "start": str(len(found)),
                "count": str(_ROLES),
            }
            page = self._request("GET", "organizationAcls", wire.Roles, params=params)
            found += page.elements
            is_full = len(found) >= page.total if page.total else len(page.elements) < _ROLES
            if not page.elements or is_full:
                return found
        raise Rejected(f"This member has more than {len(found):,} roles in organizations; none was taken.")

    def read_organization(self, number: str) -> wire.Organization:
        """Read an organization's names."""
        return self._request("GET", f"organizations/{quote(number, safe='')}", wire.Organization)

    def _request(
        self, method: str, path: str, model: type[Model], *, phase: Phase = Phase.PREPARE, **options: Any
    ) -> Model:
        return self._read(self._call(method, path, phase=phase, **options), model, phase)

    def _call(
        self,
        method: str,
        path: str,
        *,
        phase: Phase = Phase.PREPARE,
        more_headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Response:
        headers = {
            "LinkedIn-Version": self._settings.version,
            "X-Restli-Protocol-Version": "2.0.0",
            "Content-Type": "application/json",
            **(more_headers or {}),
        }
        return self._send(method, f"{self._api}/rest/{path}", phase, headers, **options)

    def _put(self, url: str, headers: Mapping[str, str], body: SizedBody) -> Response:
        limit = compute_upload_limit(body.length)
        request = Request(method="PUT", url=url, headers=headers, body=body, limit=limit)
        response = send(self._http, SERVICE, request, Phase.PREPARE)
        if response.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise translate_upload_error(response)
        return response
