"""Send one request and translate network failures into errors by the phase of the publish."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from itertools import chain
from secrets import token_hex
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr

from adapters.contract import Media, PlatformSettings
from adapters.error_table import Phase, build_unclear_error
from adapters.errors import AdapterError, OutcomeUnknown, Unavailable
from adapters.http import DeadlinePassed, HttpClient, Model, NoResponse, NotSent, Response, SizedBody

Value = TypeVar("Value")


class Wire(BaseModel):
    """Base of the models of a platform's JSON: unknown keys are ignored, because vendors add fields without notice.

    The repr never shows values, because some are secrets.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    __str__ = __repr__


NO_RESPONSE = "no_answer"
"""``platform_code`` of the error for a request that left without a complete response."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request to send. URL, headers and body may hold secrets and stay out of the repr."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, Any] | None = field(default=None, repr=False)
    json: Any = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    body: SizedBody | None = field(default=None, repr=False)
    limit: timedelta | None = None


def send(client: HttpClient, service: str, request: Request, phase: Phase) -> Response:
    """Return the response, whatever its status.

    Raise Unavailable if nothing was sent (code ``deadline_passed`` if the deadline had passed), or if no response came
    before or after the visible call; raise OutcomeUnknown if the visible call got no response.
    """
    try:
        return client.call(
            request.method,
            request.url,
            headers=request.headers,
            params=request.params,
            json_body=request.json,
            form=request.form,
            body=request.body,
            visible=phase is Phase.FINALIZE,
            limit=request.limit,
        )
    except DeadlinePassed:
        raise Unavailable(
            "The deadline to send had passed before the first byte.", code="deadline_passed"
        ) from None
    except NotSent:
        raise build_unreachable_error(service) from None
    except NoResponse:
        raise build_unclear_error(service, phase, platform_code=NO_RESPONSE) from None
    except AdapterError:
        if phase is Phase.FINALIZE:  # the media source failed while the visible call's bytes were leaving
            raise OutcomeUnknown(
                "The media source failed during the last part of the upload.", platform_code="source_broke"
            ) from None
        raise


def parse_response(
    response: Response,
    model: type[Model],
    service: str,
    phase: Phase,
    to_error: Callable[[Response, Phase], AdapterError],
    successes: Collection[int] = (HTTPStatus.OK,),
) -> Model:
    """Return a success parsed as *model*; raise *to_error*'s error for any other status."""
    if response.status not in successes:
        raise to_error(response, phase)
    parsed = response.parse(model)
    if parsed is None:
        raise build_unclear_error(service, phase, platform_code="unreadable_answer", status=response.status)
    return parsed


def read_or_none(code: str, read: Callable[[], Value]) -> Value | None:
    """Return what *read* returns, or None if it raises an error with *code*: the platform does not find the object."""
    try:
        return read()
    except AdapterError as error:
        if error.code == code:
            return None
        raise


class BearerClient:
    """Requests with one access token to an API that answers in JSON; a platform's client adds the endpoints."""

    service: ClassVar[str]
    to_error: ClassVar[staticmethod[[Response, Phase], AdapterError]]
    successes: ClassVar[Collection[int]] = (HTTPStatus.OK,)

    def __init__(self, http: HttpClient, settings: PlatformSettings, token: SecretStr) -> None:
        self._http = http
        self._settings = settings
        self._api = settings.hosts["api"]
        self._token = token

    def _send(
        self, method: str, url: str, phase: Phase, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Response:
        bearer = bearer_header(self._token.get_secret_value())
        request = Request(method=method, url=url, headers={**bearer, **(headers or {})}, **options)
        return send(self._http, self.service, request, phase)

    def _read(self, response: Response, model: type[Model], phase: Phase) -> Model:
        return parse_response(response, model, self.service, phase, self.to_error, self.successes)


def is_web_page(response: Response) -> bool:
    """Return True for an HTML page: where a platform sends no envelope, its statuses do not count with one."""
    return response.body[:64].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def build_unreachable_error(service: str) -> Unavailable:
    """Return the error of a connection that was never made: nothing was done, whatever the phase."""
    return Unavailable(f"{service} could not be reached.", code="platform_unreachable")


def bearer_header(token: str) -> dict[str, str]:
    """Return the header that carries an access token."""
    return {"Authorization": f"Bearer {token}"}


UNAVAILABLE = "media_unavailable"
UPLOAD_FLOOR = 1024 * 1024
"""Ours: bytes per second; a slower upload runs into its time limit."""


def open_range(media: Media, first: int, length: int) -> Iterator[bytes]:
    """Return *length* bytes from offset *first*.

    The first piece is read at once, so that a dead source fails before the request is sent. Raise what the source
    raises: Unavailable if it does not respond, Rejected if the file has changed.
    """
    if media.stream is None:
        raise Unavailable("The media file has no source to read from.", code=UNAVAILABLE)
    pieces = media.stream(first, length)
    head = next(pieces, None)
    if head is None:
        raise Unavailable("The media source returned no bytes.", code=UNAVAILABLE)
    return _require_length(chain((head,), pieces), length)


def open_body(media: Media, first: int, length: int) -> SizedBody:
    """Return the same bytes as a request body."""
    return SizedBody(open_range(media, first, length), length)


def get_size(media: Media) -> int:
    """Return the file's size in bytes. Raise Unavailable if the file was not checked yet."""
    if media.facts is None:
        raise Unavailable("The size of the media file is not known yet.", code=UNAVAILABLE)
    return media.facts.bytes


def _require_length(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    seen = 0
    for piece in pieces:
        seen += len(piece)
        if seen > length:
            break
        yield piece
    if seen != length:
        raise Unavailable(f"The media source returned {seen} bytes instead of {length}.", code=UNAVAILABLE)


def compute_upload_limit(length: int) -> timedelta:
    """Return the longest time of a call that sends *length* bytes."""
    return timedelta(seconds=30 + length / UPLOAD_FLOOR)


def build_form(
    fields: Mapping[str, str],
    name: str,
    file_name: str,
    content_type: str,
    content: Iterable[bytes],
    length: int,
) -> tuple[str, SizedBody]:
    """Return content type and streamed body of a form with a file of *length* bytes as its last part."""
    boundary = token_hex(16)
    texts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_escape(field)}"\r\n\r\n{value}\r\n'
        for field, value in fields.items()
    )
    disposition = f'form-data; name="{name}"; filename="{file_name}"'
    header = f"Content-Disposition: {disposition}\r\nContent-Type: {content_type}"
    head = f"{texts}--{boundary}\r\n{header}\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    body = SizedBody(chain((head,), content, (tail,)), len(head) + length + len(tail))
    return f"multipart/form-data; boundary={boundary}", body


def _escape(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
