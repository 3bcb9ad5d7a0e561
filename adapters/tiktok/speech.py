"""One request to TikTok and what became of it: the wire's troubles turned into errors by the step we are in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import ValidationError

from adapters.errors import AdapterError, OutcomeUnknown, Unavailable
from adapters.http import Answer, Client, DeadlinePassed, NoAnswer, NotSent, SizedBody
from adapters.tiktok.errors import Step, of_business, of_creator, unclear
from adapters.tiktok.wire import BusinessEnvelope, Envelope, Wire

WireT = TypeVar("WireT", bound=Wire)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is to be sent; headers and body may hold secrets and stay out of the repr."""

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
            "TikTok could not be reached; nothing was sent.", code="platform_unreachable"
        ) from None
    except NoAnswer:
        raise unclear(step, platform_code="no_answer") from None
    except AdapterError:
        if step is Step.FINALIZE:  # the media's source broke off while the visible call's bytes were leaving
            raise OutcomeUnknown(
                "The media's source broke off during the last upload.", platform_code="source_broke"
            ) from None
        raise


def creator_answer(answer: Answer, step: Step, model: type[WireT]) -> WireT:
    """The ``data`` of a v2 answer. Success iff ``error.code`` is ``ok``: the vendor says not to go by the status."""
    try:
        envelope = Envelope.model_validate_json(answer.body)
    except ValidationError:
        raise of_creator(None, answer.status, step, retry_after(answer)) from None
    if envelope.error.code != "ok":
        raise of_creator(envelope.error.code, answer.status, step, retry_after(answer))
    return _data(model, envelope.data, answer.status, step)


def business_answer(answer: Answer, step: Step, model: type[WireT]) -> WireT:
    """The ``data`` of a Business answer. Success iff ``code`` is 0."""
    try:
        envelope = BusinessEnvelope.model_validate_json(answer.body)
    except ValidationError:
        raise of_business(None, "", answer.status, step, retry_after(answer)) from None
    if envelope.code != 0:
        message = envelope.message or ""
        raise of_business(envelope.code, message, answer.status, step, retry_after(answer))
    return _data(model, envelope.data, answer.status, step)


def _data(model: type[WireT], data: Any, status: int, step: Step) -> WireT:
    if status >= 400:  # noqa: PLR2004 - "ok" under a failing status tells nothing
        raise unclear(step, platform_code=f"http_{status}", status=status)
    try:
        return model.model_validate({} if data is None else data)
    except ValidationError:
        raise unclear(step, platform_code="unreadable_answer", status=status) from None


def retry_after(answer: Answer) -> timedelta | None:
    """The platform's Retry-After where it is a plain number of seconds."""
    value = answer.headers.get("Retry-After", "").strip()
    plain = value.isascii() and value.isdecimal() and len(value) <= 6  # noqa: PLR2004 - eleven days are plenty
    return timedelta(seconds=int(value)) if plain else None
