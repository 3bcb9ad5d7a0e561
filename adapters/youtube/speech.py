"""One request to Google and what became of it: the wire's troubles turned into errors by the step we are in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import ValidationError

from adapters.errors import AdapterError, OutcomeUnknown, Unavailable
from adapters.http import Answer, Client, DeadlinePassed, NoAnswer, NotSent, SizedBody
from adapters.youtube.errors import Step, of_answer, unclear
from adapters.youtube.wire import Wire

WireT = TypeVar("WireT", bound=Wire)

NO_ANSWER = "no_answer"
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


def send(client: Client, request: Request, step: Step) -> Answer:
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
            visible=step is Step.FINALIZE,
            limit=request.limit,
        )
    except DeadlinePassed:
        raise Unavailable(
            "The time to send had run out before the first byte.", code="deadline_passed"
        ) from None
    except NotSent:
        raise Unavailable(
            "YouTube could not be reached; nothing was sent.", code="platform_unreachable"
        ) from None
    except NoAnswer:
        raise unclear(step, platform_code=NO_ANSWER) from None
    except AdapterError:
        if step is Step.FINALIZE:  # the media's source broke off while the visible call's bytes were leaving
            raise OutcomeUnknown(
                "The media's source broke off during the last upload.", platform_code="source_broke"
            ) from None
        raise


def read(client: Client, request: Request, model: type[WireT], step: Step) -> WireT:
    """A read's answer as ``model``. Unavailable when it cannot be understood, the table's errors otherwise."""
    answer = send(client, request, step)
    if answer.status != HTTPStatus.OK:
        raise of_answer(answer, step)
    try:
        return model.model_validate_json(answer.body)
    except ValidationError:
        raise unclear(step, platform_code="unreadable_answer", status=answer.status) from None


def bearer(token: str) -> dict[str, str]:
    """The header that carries an access token."""
    return {"Authorization": f"Bearer {token}"}
