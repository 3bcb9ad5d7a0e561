"""LinkedIn's endpoints, one method a request; what to call when is ``adapter.py``'s business.

Source: learn.microsoft.com/linkedin/marketing/community-management/shares/{images-api,videos-api,posts-api}, through
digests of 2026-06 to 2026-10, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import SecretStr, ValidationError

from adapters.contract import Media
from adapters.errors import AdapterError, Unavailable
from adapters.http import Answer, Client, DeadlinePassed, NoAnswer, NotSent, SizedBody
from adapters.linkedin import limits
from adapters.linkedin.errors import GONE, Step, of_answer, of_upload, unclear
from adapters.linkedin.source import bytes_of, size_of
from adapters.linkedin.wire import (
    ImageStarted,
    ImageUpload,
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
    Wire,
)

WireT = TypeVar("WireT", bound=Wire)


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
        return self._ask("POST", "images?action=initializeUpload", ImageStarted, json_body=body).value

    def start_video(self, owner: str, media: Media) -> VideoUpload:
        """Addresses for a video's parts; invisible, may be asked for again."""
        request = {
            "owner": owner,
            "fileSizeBytes": size_of(media),
            "uploadCaptions": False,
            "uploadThumbnail": False,
        }
        body = {"initializeUploadRequest": request}
        return self._ask("POST", "videos?action=initializeUpload", VideoStarted, json_body=body).value

    def send_image(self, media: Media, url: str) -> None:
        """The whole image; this address wants the token."""
        content_type = media.facts.content_type if media.facts else "application/octet-stream"
        headers = {"Content-Type": content_type, "Authorization": self._bearer()}
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
        answer = self._send("POST", "videos?action=finalizeUpload", json_body=body)
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
        return self._send("POST", "posts", step=Step.FINALIZE, json_body=body)

    def posts(self, author: str) -> Sequence[Post]:
        """An organization's posts, the last changed first; a member's cannot be listed."""
        params = {"q": "author", "author": author, "count": str(limits.LISTED), "sortBy": "LAST_MODIFIED"}
        finder = {"X-RestLi-Method": "FINDER"}
        return self._ask("GET", "posts", Posts, step=Step.LOOK, params=params, more_headers=finder).elements

    def person(self) -> Person:
        """Whose token it is (OpenID Connect, unversioned)."""
        headers = {"Authorization": self._bearer()}
        answer = send(self.client, "GET", f"{self.api}/v2/userinfo", step=Step.PREPARE, headers=headers)
        return read(answer, Person, Step.PREPARE)

    def roles(self) -> Sequence[Role]:
        """What the person may do for which organizations."""
        params = {"q": "roleAssignee", "state": "APPROVED", "count": "100"}
        return self._ask("GET", "organizationAcls", Roles, params=params).elements

    def organization(self, number: str) -> Organization:
        """An organization's names."""
        return self._ask("GET", f"organizations/{quote(number, safe='')}", Organization)

    def _ask(
        self, method: str, path: str, model: type[WireT], *, step: Step = Step.PREPARE, **what: Any
    ) -> WireT:
        return read(self._send(method, path, step=step, **what), model, step)

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
            "Authorization": self._bearer(),
            "LinkedIn-Version": self.version,
            "X-Restli-Protocol-Version": "2.0.0",
            "Content-Type": "application/json",
            **(more_headers or {}),
        }
        return send(self.client, method, f"{self.api}/rest/{path}", step=step, headers=headers, **what)

    def _put(self, url: str, headers: Mapping[str, str], body: SizedBody) -> Answer:
        limit = timedelta(seconds=30 + body.length / limits.UPLOAD_FLOOR)
        answer = send(self.client, "PUT", url, step=Step.PREPARE, headers=headers, body=body, limit=limit)
        if answer.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise of_upload(answer)
        return answer

    def _bearer(self) -> str:
        return f"Bearer {self.token.get_secret_value()}"


def send(client: Client, method: str, url: str, *, step: Step, **what: Any) -> Answer:
    """The answer, whatever its status.

    Raises Unavailable when nothing left (code ``deadline_passed`` when it no longer might), or when no answer came
    and the step is harmless; OutcomeUnknown when the visible call was left without an answer.
    """
    try:
        return client.call(method, url, visible=step is Step.FINALIZE, **what)
    except DeadlinePassed:
        raise Unavailable(
            "The time to send had run out before the first byte.", code="deadline_passed"
        ) from None
    except NotSent:
        raise Unavailable(
            "LinkedIn could not be reached; nothing was sent.", code="platform_unreachable"
        ) from None
    except NoAnswer:
        raise unclear(step, platform_code="no_answer") from None


def read(answer: Answer, model: type[WireT], step: Step) -> WireT:
    """A success as its model; raises what any other answer means."""
    if answer.status != HTTPStatus.OK:
        raise of_answer(answer, step)
    try:
        return model.model_validate_json(answer.body)
    except ValidationError:
        raise unclear(step, platform_code="unreadable_answer", status=answer.status) from None
