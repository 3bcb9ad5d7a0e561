"""Send one request and translate network failures into errors by the phase of the publish."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from itertools import chain
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from adapters.contract import Media
from adapters.error_table import Phase, build_unclear_error
from adapters.errors import AdapterError, OutcomeUnknown, Unavailable
from adapters.http import DeadlinePassed, HttpClient, NoResponse, NotSent, Response, SizedBody

Model = TypeVar("Model", bound=BaseModel)

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
    try:
        return model.model_validate_json(response.body)
    except ValidationError:
        raise build_unclear_error(
            service, phase, platform_code="unreadable_answer", status=response.status
        ) from None


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
