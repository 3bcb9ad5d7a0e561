"""Pinterest's endpoints, one method a request; what to call when is ``adapter.py``'s business.

Source: Pinterest's OpenAPI description of API v5, 5.23.0 (github.com/pinterest/api-description), read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from pydantic import SecretStr

from adapters.contract import Media
from adapters.error_table import Step
from adapters.errors import AdapterError, Unavailable
from adapters.http import Client, NoAnswer, NotSent
from adapters.pinterest import limits
from adapters.pinterest.errors import GONE, INTERRUPTED, SERVICE, of_answer
from adapters.pinterest.multipart import form_of
from adapters.pinterest.wire import BoardPage, MediaStatus, Pin, PinPage, Registered, UserAccount
from adapters.transport import Model, Request, bearer, read, send, unreachable


class Calls:
    """One account's requests."""

    def __init__(self, client: Client, api: str, token: SecretStr) -> None:
        self._client = client
        self._api = api
        self._token = token

    def register(self) -> Registered:
        """A place for a video's bytes; invisible, may be asked for again."""
        return self._ask("POST", "media", Registered, json={"media_type": "video"})

    def upload(self, media: Media, url: str, parameters: Mapping[str, str]) -> None:
        """The video as a form to the bucket. The token does not go along: the bucket is another party.

        Raises Unavailable (code ``upload_interrupted``) when a new registration is the way on: the line was cut, or
        the bucket took the form for expired or broken.
        """
        content_type, body = form_of(media, parameters)
        limit = timedelta(seconds=30 + body.length / limits.UPLOAD_FLOOR)
        try:
            answer = self._client.call(
                "POST", url, headers={"Content-Type": content_type}, body=body, limit=limit
            )
        except NotSent:
            raise unreachable(SERVICE) from None
        except NoAnswer:
            raise _interrupted("no_answer", None) from None
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise _interrupted(f"http_{answer.status}", answer.status)

    def media(self, media_id: str) -> MediaStatus | None:
        """How far a video is processed; None when Pinterest does not find it."""
        return self._found(f"media/{media_id}", MediaStatus)

    def create_pin(self, body: Mapping[str, Any]) -> Pin:
        """The one visible call."""
        return self._ask("POST", "pins", Pin, step=Step.FINALIZE, json=body)

    def pins(self, board_id: str, bookmark: str | None) -> PinPage:
        """A page of a board."""
        params = {"page_size": str(limits.PAGE), **({"bookmark": bookmark} if bookmark else {})}
        return self._ask("GET", f"boards/{board_id}/pins", PinPage, step=Step.LOOK, params=params)

    def user(self) -> UserAccount:
        """Whose token it is."""
        return self._ask("GET", "user_account", UserAccount)

    def boards(self, bookmark: str | None) -> BoardPage:
        """A page of the account's boards."""
        params = {"page_size": str(limits.PAGE), **({"bookmark": bookmark} if bookmark else {})}
        return self._ask("GET", "boards", BoardPage, params=params)

    def _found(self, path: str, model: type[Model]) -> Model | None:
        try:
            return self._ask("GET", path, model)
        except AdapterError as error:
            if error.code == GONE:
                return None
            raise

    def _ask(
        self, method: str, path: str, model: type[Model], *, step: Step = Step.PREPARE, **what: Any
    ) -> Model:
        headers = bearer(self._token.get_secret_value())
        request = Request(method=method, url=f"{self._api}/{path}", headers=headers, **what)
        answer = send(self._client, SERVICE, request, step)
        return read(answer, model, SERVICE, step, of_answer, (HTTPStatus.OK, HTTPStatus.CREATED))


def _interrupted(platform_code: str, status: int | None) -> Unavailable:
    return Unavailable(
        "The upload of the video to Pinterest broke off.",
        code=INTERRUPTED,
        platform_code=platform_code,
        http_status=status,
    )
