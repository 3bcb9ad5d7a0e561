"""LinkedIn's endpoints, one method a request; what to call when is ``adapter.py``'s business.

Source: learn.microsoft.com/linkedin/marketing/community-management/shares/{images-api,videos-api,posts-api}, through
digests of 2026-06 to 2026-10, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from adapters.contract import Media
from adapters.error_table import Step
from adapters.errors import AdapterError
from adapters.http import Answer, Client, SizedBody
from adapters.linkedin import limits
from adapters.linkedin.errors import GONE, SERVICE, of_answer, of_upload, unclear
from adapters.linkedin.wire import (
    ImageStarted,
    ImageUpload,
    Me,
    MediaStatus,
    Organization,
    Part,
    Person,
    Post,
    Posts,
    Role,
    Roles,
    VideoStarted,
    VideoUpload,
)
from adapters.transport import Model, Request, bearer, read, send
from adapters.upload_source import bytes_of, size_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Calls:
    """One token's requests."""

    client: Client
    api: str
    version: str
    token: SecretStr

    def start_image(self, owner: str) -> ImageUpload:
        """An address for an image's bytes; invisible, may be asked for again."""
        body = {"initializeUploadRequest": {"owner": owner}}
        return self._ask("POST", "images?action=initializeUpload", ImageStarted, json=body).value

    def start_video(self, owner: str, media: Media) -> VideoUpload:
        """Addresses for a video's parts; invisible, may be asked for again."""
        request = {
            "owner": owner,
            "fileSizeBytes": size_of(media),
            "uploadCaptions": False,
            "uploadThumbnail": False,
        }
        body = {"initializeUploadRequest": request}
        return self._ask("POST", "videos?action=initializeUpload", VideoStarted, json=body).value

    def send_image(self, media: Media, url: str) -> None:
        """The whole image; this address wants the token."""
        content_type = media.facts.content_type if media.facts else "application/octet-stream"
        headers = {"Content-Type": content_type, **self._bearer()}
        self._put(url, headers, bytes_of(media, 0, size_of(media)))

    def send_part(self, media: Media, part: Part) -> str:
        """One part of a video; these addresses want no token. Answers the part's id, its ETag without the quotes."""
        body = bytes_of(media, part.firstByte, part.lastByte - part.firstByte + 1)
        answer = self._put(part.uploadUrl, {"Content-Type": "application/octet-stream"}, body)
        etag = answer.headers.get("ETag", "").strip().strip('"')
        if not etag:
            raise unclear(Step.PREPARE, platform_code="no_etag", status=answer.status)
        return etag

    def close_video(self, video: str, token: str, part_ids: Sequence[str]) -> None:
        """Tells that all parts are there, in their order."""
        request = {"video": video, "uploadToken": token, "uploadedPartIds": list(part_ids)}
        body = {"finalizeUploadRequest": request}
        answer = self._send("POST", "videos?action=finalizeUpload", json=body)
        if answer.status != HTTPStatus.OK:
            raise of_answer(answer, Step.PREPARE)

    def status(self, urn: str) -> MediaStatus | None:
        """How far an image or a video is processed; None when LinkedIn does not find it."""
        kind = "videos" if urn.startswith("urn:li:video:") else "images"
        try:
            return self._ask("GET", f"{kind}/{quote(urn, safe='')}", MediaStatus)
        except AdapterError as error:
            if error.code == GONE:
                return None
            raise

    def create_post(self, body: Mapping[str, Any]) -> Answer:
        """The one visible call. Its success has no body: the post's name is in the header ``x-restli-id``."""
        return self._send("POST", "posts", step=Step.FINALIZE, json=body)

    def posts(self, author: str) -> Sequence[Post]:
        """An organization's posts, the last changed first; a member's cannot be listed."""
        params = {"q": "author", "author": author, "count": str(limits.LISTED), "sortBy": "LAST_MODIFIED"}
        finder = {"X-RestLi-Method": "FINDER"}
        return self._ask("GET", "posts", Posts, step=Step.LOOK, params=params, more_headers=finder).elements

    def member(self, *, basic: bool) -> Person | Me:
        """Whose token it is (unversioned): by scope ``r_basicprofile``, else by OpenID Connect."""
        url = f"{self.api}/v2/{'me' if basic else 'userinfo'}"
        answer = self._speak(Request(method="GET", url=url, headers=self._bearer()), Step.PREPARE)
        return self._read(answer, Me, Step.PREPARE) if basic else self._read(answer, Person, Step.PREPARE)

    def roles(self) -> Sequence[Role]:
        """What the person may do for which organizations."""
        params = {"q": "roleAssignee", "state": "APPROVED", "count": "100"}
        return self._ask("GET", "organizationAcls", Roles, params=params).elements

    def organization(self, number: str) -> Organization:
        """An organization's names."""
        return self._ask("GET", f"organizations/{quote(number, safe='')}", Organization)

    def _ask(
        self, method: str, path: str, model: type[Model], *, step: Step = Step.PREPARE, **what: Any
    ) -> Model:
        return self._read(self._send(method, path, step=step, **what), model, step)

    def _send(
        self,
        method: str,
        path: str,
        *,
        step: Step = Step.PREPARE,
        more_headers: Mapping[str, str] | None = None,
        **what: Any,
    ) -> Answer:
        headers = {
            **self._bearer(),
            "LinkedIn-Version": self.version,
            "X-Restli-Protocol-Version": "2.0.0",
            "Content-Type": "application/json",
            **(more_headers or {}),
        }
        return self._speak(
            Request(method=method, url=f"{self.api}/rest/{path}", headers=headers, **what), step
        )

    def _put(self, url: str, headers: Mapping[str, str], body: SizedBody) -> Answer:
        limit = timedelta(seconds=30 + body.length / limits.UPLOAD_FLOOR)
        request = Request(method="PUT", url=url, headers=headers, body=body, limit=limit)
        answer = self._speak(request, Step.PREPARE)
        if answer.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise of_upload(answer)
        return answer

    def _speak(self, request: Request, step: Step) -> Answer:
        return send(self.client, SERVICE, request, step)

    def _read(self, answer: Answer, model: type[Model], step: Step) -> Model:
        return read(answer, model, SERVICE, step, of_answer)

    def _bearer(self) -> dict[str, str]:
        return bearer(self.token.get_secret_value())
