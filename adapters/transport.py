"""One request and what became of it: the wire's troubles turned into errors by the step we are in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from adapters.error_table import Phase, build_unclear_error
from adapters.errors import AdapterError, OutcomeUnknown, Unavailable
from adapters.http import DeadlinePassed, HttpClient, NoResponse, NotSent, Response, SizedBody

Model = TypeVar("Model", bound=BaseModel)

NO_RESPONSE = "no_answer"
"""``platform_code`` of the error that says: bytes left, and no complete answer came."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is to be sent; address, headers and body may hold secrets and stay out of the repr."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, Any] | None = field(default=None, repr=False)
    json: Any = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    body: SizedBody | None = field(default=None, repr=False)
    limit: timedelta | None = None


def send(client: HttpClient, service: str, request: Request, step: Phase) -> Response:
    """The answer, whatever its status.

    Raises Unavailable when nothing left (code ``deadline_passed`` when it no longer might), or when no answer came
    and the step is harmless; OutcomeUnknown when the visible call was left without an answer.
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
            visible=step is Phase.FINALIZE,
            limit=request.limit,
        )
    except DeadlinePassed:
        raise Unavailable(
            "The time to send had run out before the first byte.", code="deadline_passed"
        ) from None
    except NotSent:
        raise build_unreachable_error(service) from None
    except NoResponse:
        raise build_unclear_error(service, step, platform_code=NO_RESPONSE) from None
    except AdapterError:
        if step is Phase.FINALIZE:  # the media's source broke off while the visible call's bytes were leaving
            raise OutcomeUnknown(
                "The media's source broke off during the last upload.", platform_code="source_broke"
            ) from None
        raise


def parse_response(
    answer: Response,
    model: type[Model],
    service: str,
    step: Phase,
    of_answer: Callable[[Response, Phase], AdapterError],
    successes: Collection[int] = (HTTPStatus.OK,),
) -> Model:
    """A success as its model; raises what the platform's tables (``of_answer``) say of any other answer."""
    if answer.status not in successes:
        raise of_answer(answer, step)
    try:
        return model.model_validate_json(answer.body)
    except ValidationError:
        raise build_unclear_error(
            service, step, platform_code="unreadable_answer", status=answer.status
        ) from None


def build_unreachable_error(service: str) -> Unavailable:
    """No connection came about: whatever the step, nothing was done."""
    return Unavailable(f"{service} could not be reached; nothing was sent.", code="platform_unreachable")


def bearer_header(token: str) -> dict[str, str]:
    """The header that carries an access token."""
    return {"Authorization": f"Bearer {token}"}
