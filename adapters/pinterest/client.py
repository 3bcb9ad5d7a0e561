"""Pinterest's endpoints, one method per request.

Source: Pinterest's OpenAPI description of API v5, 5.23.0 (github.com/pinterest/api-description), read 2026-11-24.

The multipart form that uploads a video to Pinterest's bucket, as a stream of known length.

The bucket's policy requires every parameter as a field, and ``file`` as the last one: the bucket ignores the rest.
Source: Pinterest's OpenAPI description 5.23.0 (media/create) and Amazon S3's POST object page, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from itertools import chain
from secrets import token_hex
from typing import Any

from pydantic import SecretStr

from adapters.contract import Media
from adapters.error_table import Phase, build_unclear_error
from adapters.errors import AdapterError, Unavailable
from adapters.http import HttpClient, NoResponse, NotSent, SizedBody
from adapters.pinterest import limits
from adapters.pinterest.errors import GONE, INTERRUPTED, SERVICE, translate_error
from adapters.pinterest.wire import BoardPage, MediaStatus, Pin, PinPage, UploadTarget, UserAccount
from adapters.transport import (
    Model,
    Request,
    bearer_header,
    build_unreachable_error,
    get_size,
    is_web_page,
    open_range,
    parse_response,
    send,
)


def build_form(media: Media, parameters: Mapping[str, str]) -> tuple[str, SizedBody]:
    """Return content type and body, with the source already open.

    Raises Unavailable when the source does not respond, and Rejected when the file has changed.
    """
    boundary, size = f"slipway-{token_hex(16)}", get_size(media)
    head = b"".join(_build_field(boundary, name, value) for name, value in parameters.items())
    head += _build_file_header(boundary, media.facts.content_type if media.facts else "video/mp4")
    tail = f"\r\n--{boundary}--\r\n".encode()
    chunks = chain((head,), open_range(media, 0, size), (tail,))
    return f"multipart/form-data; boundary={boundary}", SizedBody(chunks, len(head) + size + len(tail))


def _build_field(boundary: str, name: str, value: str) -> bytes:
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_quote(name)}"\r\n\r\n{value}\r\n'.encode()
    )


def _build_file_header(boundary: str, content_type: str) -> bytes:
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="video"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    ).encode()


def _quote(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


class Client:
    """Requests with one access token."""

    def __init__(self, http: HttpClient, api: str, token: SecretStr) -> None:
        self._http = http
        self._api = api
        self._token = token

    def register_video(self) -> UploadTarget:
        """Register a video and return its upload target; invisible and safe to repeat."""
        return self._request("POST", "media", UploadTarget, json={"media_type": "video"})

    def upload(self, media: Media, url: str, parameters: Mapping[str, str]) -> None:
        """Send the video as a form to the storage bucket, without the token: the bucket is another party.

        Raises Unavailable (code ``upload_interrupted``) when the video has to be registered again: the connection
        broke, or the bucket refused the form as expired or malformed.
        """
        content_type, body = build_form(media, parameters)
        limit = timedelta(seconds=30 + body.length / limits.UPLOAD_FLOOR)
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
        return self._read_or_none(f"media/{media_id}", MediaStatus)

    def create_pin(self, body: Mapping[str, Any]) -> Pin:
        """Create a pin: the one visible call."""
        return self._request("POST", "pins", Pin, phase=Phase.FINALIZE, json=body)

    def list_pins(self, board_id: str, bookmark: str | None) -> PinPage:
        """Read one page of a board's pins."""
        params = {"page_size": str(limits.PAGE), **({"bookmark": bookmark} if bookmark else {})}
        return self._request("GET", f"boards/{board_id}/pins", PinPage, phase=Phase.LOOK, params=params)

    def list_own_pins(self, bookmark: str | None) -> PinPage:
        """Read one page of the account's pins on all boards."""
        params = {"page_size": str(limits.PAGE), **({"bookmark": bookmark} if bookmark else {})}
        return self._request("GET", "pins", PinPage, phase=Phase.LOOK, params=params)

    def read_user(self) -> UserAccount:
        """Read the account that owns the token."""
        return self._request("GET", "user_account", UserAccount)

    def list_boards(self, bookmark: str | None) -> BoardPage:
        """Read one page of the account's boards."""
        params = {"page_size": str(limits.PAGE), **({"bookmark": bookmark} if bookmark else {})}
        return self._request("GET", "boards", BoardPage, params=params)

    def _read_or_none(self, path: str, model: type[Model]) -> Model | None:
        try:
            return self._request("GET", path, model)
        except AdapterError as error:
            if error.code == GONE:
                return None
            raise

    def _request(
        self, method: str, path: str, model: type[Model], *, phase: Phase = Phase.PREPARE, **options: Any
    ) -> Model:
        headers = bearer_header(self._token.get_secret_value())
        request = Request(method=method, url=f"{self._api}/{path}", headers=headers, **options)
        response = send(self._http, SERVICE, request, phase)
        return parse_response(
            response, model, SERVICE, phase, translate_error, (HTTPStatus.OK, HTTPStatus.CREATED)
        )


def _build_interrupted_error(platform_code: str, status: int | None) -> Unavailable:
    return Unavailable(
        "The upload of the video to Pinterest was interrupted.",
        code=INTERRUPTED,
        platform_code=platform_code,
        http_status=status,
    )
