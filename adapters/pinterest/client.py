"""Pinterest's endpoints, one method per request.

Source: Pinterest's OpenAPI description of API v5, 5.23.0 (github.com/pinterest/api-description), read 2026-11-24.

The multipart form that uploads a video to Pinterest's bucket, as a stream of known length.

The bucket's policy requires every parameter as a field, and ``file`` as the last one: the bucket ignores the rest.
Source: Pinterest's OpenAPI description 5.23.0 (media/create) and Amazon S3's POST object page, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from adapters.contract import Media
from adapters.error_table import Phase, build_unclear_error
from adapters.errors import Unavailable
from adapters.http import Model, NoResponse, NotSent
from adapters.pinterest import limits
from adapters.pinterest.errors import GONE, INTERRUPTED, SERVICE, translate_error
from adapters.pinterest.wire import Board, MediaStatus, Page, Pin, UploadTarget, UserAccount
from adapters.transport import (
    BearerClient,
    build_form,
    build_unreachable_error,
    compute_upload_limit,
    get_size,
    is_web_page,
    open_range,
    read_or_none,
)


class Client(BearerClient):
    """Requests with one access token."""

    service = SERVICE
    to_error = staticmethod(translate_error)
    successes = (HTTPStatus.OK, HTTPStatus.CREATED)

    def build_url(self, pin_id: str) -> str:
        """Return the public address of a pin."""
        return f"{self._settings.hosts['www']}/pin/{pin_id}/"

    def register_video(self) -> UploadTarget:
        """Register a video and return its upload target; invisible and safe to repeat."""
        return self._request("POST", "media", UploadTarget, json={"media_type": "video"})

    def upload(self, media: Media, url: str, parameters: Mapping[str, str]) -> None:
        """Send the video as a form to the storage bucket, without the token: the bucket is another party.

        Raises Unavailable (code ``upload_interrupted``) when the video has to be registered again: the connection
        broke, or the bucket refused the form as expired or malformed.
        """
        size = get_size(media)
        file_type = media.facts.content_type if media.facts else "video/mp4"
        content_type, body = build_form(
            parameters, "file", "video", file_type, open_range(media, 0, size), size
        )
        limit = compute_upload_limit(body.length)
        try:
            response = self._http.call(
                "POST", url, headers={"Content-Type": content_type}, body=body, limit=limit
            )
        except NotSent:
            raise build_unreachable_error(SERVICE) from None
        except NoResponse:
            raise _build_interrupted_error("no_answer", None) from None
        is_foreign = is_web_page(response) or response.status == HTTPStatus.OK  # the bucket's success is 204
        if is_foreign:
            raise build_unclear_error(
                SERVICE, Phase.PREPARE, platform_code=f"http_{response.status}", status=response.status
            )
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            raise _build_interrupted_error(f"http_{response.status}", response.status)

    def read_status(self, media_id: str) -> MediaStatus | None:
        """Read a video's status; None when Pinterest does not find the video."""
        return read_or_none(GONE, lambda: self._request("GET", f"media/{media_id}", MediaStatus))

    def create_pin(self, body: Mapping[str, Any]) -> Pin:
        """Create a pin: the one visible call."""
        return self._request("POST", "pins", Pin, phase=Phase.FINALIZE, json=body)

    def list_pins(self, board_id: str, bookmark: str | None, section: str | None = None) -> Page[Pin]:
        """Read one page of the pins of a board, or of a section of it."""
        path = f"boards/{board_id}/sections/{section}" if section else f"boards/{board_id}"
        return self._list(f"{path}/pins", Page[Pin], bookmark, Phase.LOOK)

    def list_own_pins(self, bookmark: str | None) -> Page[Pin]:
        """Read one page of the account's pins on all boards."""
        return self._list("pins", Page[Pin], bookmark, Phase.LOOK)

    def read_user(self) -> UserAccount:
        """Read the account that owns the token."""
        return self._request("GET", "user_account", UserAccount)

    def list_boards(self, bookmark: str | None) -> Page[Board]:
        """Read one page of the account's boards."""
        return self._list("boards", Page[Board], bookmark, Phase.PREPARE)

    def _list(self, path: str, model: type[Model], bookmark: str | None, phase: Phase) -> Model:
        params = {"page_size": str(limits.PAGE), **({"bookmark": bookmark} if bookmark else {})}
        return self._request("GET", path, model, phase=phase, params=params)

    def _request(
        self, method: str, path: str, model: type[Model], *, phase: Phase = Phase.PREPARE, **options: Any
    ) -> Model:
        return self._read(self._send(method, f"{self._api}/{path}", phase, **options), model, phase)


def _build_interrupted_error(platform_code: str, status: int | None) -> Unavailable:
    return Unavailable(
        "The upload of the video to Pinterest was interrupted.",
        code=INTERRUPTED,
        platform_code=platform_code,
        http_status=status,
    )
